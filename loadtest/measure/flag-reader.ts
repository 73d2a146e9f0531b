// FlagReader: flags as commander gives them, as checked values; each refusal says what would have been taken.
import { flagName } from '../../server/base/flag-name.ts';
import { FlagError } from '../base/flag-error.ts';
import { parseTimeMs } from './play/slo.ts';

/** Flags as commander gives them: text, or absent. */
export class FlagReader {
  readonly #flags: Readonly<Record<string, unknown>>;

  constructor(flags: Readonly<Record<string, unknown>>) {
    this.#flags = flags;
  }

  flag(name: string): boolean {
    return this.#flags[name] === true;
  }

  text(name: string): string | null {
    const value = this.#flags[name];
    return typeof value === 'string' ? value : null;
  }

  /** Of a flag that may be given several times. */
  texts(name: string): readonly string[] {
    const value = this.#flags[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  number(name: string, min: number, max: number): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!(value >= min && value <= max))
      throw new FlagError(flagName(name), text, `a number from ${min} to ${max}`);
    return value;
  }

  integer(name: string, min: number, max: number): number | null {
    const value = this.number(name, min, max);
    if (value !== null && !Number.isInteger(value)) {
      throw new FlagError(flagName(name), this.text(name)!, `a whole number from ${min} to ${max}`);
    }
    return value;
  }

  numbers(name: string, min: number, max: number): readonly number[] | null {
    const text = this.text(name);
    if (text === null) return null;
    return text.split(',').map((part) => {
      const value = part.trim() === '' ? Number.NaN : Number(part);
      if (!(value >= min && value <= max)) {
        throw new FlagError(flagName(name), text, `numbers from ${min} to ${max}, separated by commas`);
      }
      return value;
    });
  }

  /** `10%` or `0.1`. */
  share(name: string): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const value = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
    if (!(value >= 0 && value <= 1) || text.trim() === '')
      throw new FlagError(flagName(name), text, 'a share, such as 10% or 0.1');
    return value;
  }

  timeMs(name: string): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const value = parseTimeMs(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text); // seconds, as people say them
    if (value === null) throw new FlagError(flagName(name), text, 'a time, such as 30s, 500ms or 5m');
    return value;
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | null {
    const text = this.text(name);
    if (text === null) return null;
    const choice = choices.find((known) => known === text);
    if (choice === undefined) throw new FlagError(flagName(name), text, choices.join(', '));
    return choice;
  }
}
