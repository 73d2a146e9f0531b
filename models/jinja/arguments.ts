// The arguments of a filter, method or function, matched to its parameters' names as Python does. Used by filters.ts,
// list-filters.ts, methods.ts and globals.ts.
import { JinjaError } from './jinja-error.ts';
import { isInteger, toNumber, typeName, type Value } from './values.ts';

export class Parameters {
  readonly #values = new Map<string, Value>();

  /** Throws JinjaError for too many, unknown or doubled ones. */
  constructor(
    names: readonly string[],
    positional: readonly Value[],
    named: ReadonlyMap<string, Value> = new Map(),
  ) {
    if (positional.length > names.length) {
      throw new JinjaError(`takes at most ${names.length} arguments, not ${positional.length}`);
    }
    for (const [index, value] of positional.entries()) this.#values.set(names[index]!, value);
    for (const [name, value] of named) {
      if (!names.includes(name)) throw new JinjaError(`unexpected argument ${JSON.stringify(name)}`);
      if (this.#values.has(name))
        throw new JinjaError(`multiple values for argument ${JSON.stringify(name)}`);
      this.#values.set(name, value);
    }
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  get(name: string, absent?: Value): Value {
    const value = this.#values.get(name) ?? absent;
    if (value === undefined) {
      if (this.#values.has(name)) return null;
      throw new JinjaError(`missing argument ${JSON.stringify(name)}`);
    }
    return this.#values.get(name) === null ? null : value;
  }

  text(name: string, absent?: string): string {
    const value = this.get(name, absent);
    if (typeof value === 'string') return value;
    throw new JinjaError(`${name}: expected str, not ${typeName(value)}`);
  }

  integer(name: string, absent?: number): number {
    const value = this.get(name, absent);
    if (isInteger(value) || typeof value === 'boolean') return toNumber(value)!;
    throw new JinjaError(`${name}: expected int, not ${typeName(value)}`);
  }
}
