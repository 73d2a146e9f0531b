// Reads a JSON schema safely: bounds on its size, references, keywords that we cannot enforce (an error if strict,
// otherwise noted and ignored), types of values. Knows nothing of grammars. Before and after it: json-schema.ts.
import type { GrammarBounds } from './bounds.ts';
import { GrammarError } from './grammar-error.ts';
import type { Pace, Portioned } from './pace.ts';
import {
  askedOf,
  asksMoreThan,
  assertions,
  isOfType,
  isSchemaObject,
  type Schema,
  typesOf,
} from './schema-keywords.ts';
import { mergeSchemas } from './schema-merge.ts';

export interface IgnoredKeyword {
  readonly path: string; // JSON pointer of the schema it stands in
  readonly keyword: string;
}

const depthMax = 100; // nesting of the JSON text
const subschemasMax = 20_000; // a schema within its other bounds has about as many
const mergedDepthMax = 32;

export class SchemaReader {
  readonly ignored: IgnoredKeyword[] = [];
  readonly #root: unknown;
  readonly #bounds: GrammarBounds;
  readonly #strict: boolean;
  readonly #pace: Pace;
  readonly #listed = new Map<Schema, readonly unknown[] | null>(); // what finiteValues found
  #subschemas = 0;
  #properties = 0;

  /** Of a schema that measureSchema has let through. */
  constructor(
    root: unknown,
    strict: boolean,
    { bounds, pace }: { readonly bounds: GrammarBounds; readonly pace: Pace },
  ) {
    this.#bounds = bounds;
    this.#pace = pace;
    this.#root = root;
    this.#strict = strict;
  }

  enter(path: string): void {
    if (++this.#subschemas > subschemasMax) {
      throw new GrammarError('too-large', `more than ${subschemasMax} subschemas`, { path });
    }
  }

  /** A keyword that asks for nothing by the standard's rules, and is not enforced here. */
  note(path: string, keyword: string): void {
    this.ignored.push({ path, keyword });
  }

  /** A keyword that we cannot enforce. */
  cannot(path: string, keyword: string, why = 'cannot be enforced'): void {
    if (this.#strict) throw new GrammarError('unsupported', why, { path, keyword });
    this.ignored.push({ path, keyword });
  }

  /** Runs what may not be possible: null and a note if it is unsupported and we are not strict. */
  attempt<T>({ path, keyword }: IgnoredKeyword, make: () => T): T | null {
    try {
      return make();
    } catch (error) {
      const isOurs = error instanceof GrammarError && error.code === 'unsupported';
      if (!isOurs || this.#strict) throw error;
      this.ignored.push({ path, keyword });
      return null;
    }
  }

  /** Assertions beside one that decides alone. */
  onlyWith(
    schema: Schema,
    { path, keyword, allowed }: IgnoredKeyword & { allowed: readonly string[] },
  ): void {
    for (const name of assertions) {
      if (name === keyword || allowed.includes(name) || schema[name] === undefined) continue;
      // Repeating the type of the alternatives is common and harmless.
      if (name === 'type' && keyword !== '$ref') continue;
      this.cannot(path, name);
    }
  }

  /** The schemas that must all hold for this one to: references and `allOf`s at its top are opened. */
  flattened(schema: unknown, path: string, depth = 0): readonly unknown[] {
    if (!isSchemaObject(schema)) return [schema];
    const { $ref: reference, allOf, ...rest } = closedAlone(askedOf(schema), path);
    if (reference === undefined && !Array.isArray(allOf))
      return [{ ...rest, ...(allOf !== undefined && { allOf }) }];
    if (depth > mergedDepthMax) {
      const message = `references behind references, more than ${mergedDepthMax}`;
      throw new GrammarError('too-large', message, { path, keyword: 'allOf' });
    }
    this.enter(path);
    const open = (part: unknown) => this.flattened(part, path, depth + 1);
    const target = reference === undefined ? [] : open(this.resolve(reference, path).target);
    return [rest, ...target, ...(Array.isArray(allOf) ? (allOf as readonly unknown[]).flatMap(open) : [])];
  }

  resolve(reference: unknown, path: string): { target: unknown; pointer: string } {
    const place = { path, keyword: '$ref' };
    if (typeof reference !== 'string') throw new GrammarError('invalid', 'expected a string', place);
    if (reference !== '#' && !reference.startsWith('#/')) {
      throw new GrammarError('unsupported', 'only references within the schema (#/…) are followed', place);
    }
    let target = this.#root;
    for (const part of reference.split('/').slice(1)) {
      const key = decodePointer(part, place);
      const holds = typeof target === 'object' && target !== null && Object.hasOwn(target, key);
      if (!holds) throw new GrammarError('invalid', `${reference} leads nowhere`, place);
      target = (target as Record<string, unknown>)[key];
    }
    return { target, pointer: reference };
  }

  objectParts(
    schema: Schema,
    path: string,
  ): {
    readonly declared: readonly (readonly [name: string, schema: unknown, path: string])[];
    readonly required: ReadonlySet<string>;
    readonly absent: readonly string[]; // names that may not come
    readonly additional: unknown; // false: none
  } {
    const { properties = {}, required = [], absent = [], unevaluatedProperties } = schema;
    const { additionalProperties = unevaluatedProperties } = schema;
    const declaresNone = schema['properties'] === undefined && schema['required'] === undefined;
    if (!isSchemaObject(properties)) {
      throw new GrammarError('invalid', 'expected an object', { path, keyword: 'properties' });
    }
    if (!Array.isArray(required) || !required.every((name) => typeof name === 'string')) {
      throw new GrammarError('invalid', 'expected an array of names', { path, keyword: 'required' });
    }
    const away = new Set(absent as readonly string[]);
    const listed = new Set(required.filter((name) => !Object.hasOwn(properties, name)));
    let additional = additionalProperties ?? (declaresNone || schema['patternProperties'] !== undefined);
    const declared: (readonly [string, unknown, string])[] = Object.keys(properties).map((name) => [
      name,
      away.has(name) ? false : properties[name],
      `${path}/properties/${encodePointer(name)}`,
    ]);
    const declare = (name: string) =>
      declared.push([
        name,
        away.has(name) ? false : (additionalProperties ?? true),
        `${path}/additionalProperties`,
      ]);
    for (const name of listed) declare(name);
    // Keys that are listed are as good as declared.
    const keys =
      schema['patternProperties'] === undefined ? this.finiteValues(schema['propertyNames'], path) : null;
    if (keys !== null && additional !== false) {
      const known = new Set(declared.map(([name]) => name));
      for (const key of keys) if (typeof key === 'string' && !known.has(key)) declare(key);
      additional = false;
    }
    this.#properties += declared.length;
    const { schemaPropertiesMax: most } = this.#bounds;
    if (this.#properties > most) {
      throw new GrammarError('too-large', `more than ${most} properties (--schema-properties)`, { path });
    }
    this.#pace.spend(declared.length + away.size);
    const named = new Set(declared.map(([name]) => name));
    const forbidden = [...away].filter((name) => !named.has(name));
    return { declared, required: new Set(required), absent: forbidden, additional };
  }

  /** All values of a schema that lists them; null: it does not. */
  finiteValues(schema: unknown, path: string, depth = 0): readonly unknown[] | null {
    if (!isSchemaObject(schema) || depth > mergedDepthMax) return null;
    let values = this.#listed.get(schema);
    if (values === undefined) {
      values = this.#valuesOf(schema, path, depth);
      this.#listed.set(schema, values);
    }
    return values;
  }

  #valuesOf(schema: Schema, path: string, depth: number): readonly unknown[] | null {
    if (schema['$ref'] !== undefined && !asksMoreThan(schema, ['$ref']))
      return this.finiteValues(this.resolve(schema['$ref'], path).target, path, depth + 1);
    if (asksMoreThan(schema, ['type', 'const', 'enum'])) return null;
    const { type, const: only, enum: values } = schema;
    if (only === undefined && values === undefined) return type === 'boolean' ? [true, false] : null;
    const all = only === undefined ? values : [only];
    if (!Array.isArray(all)) return null;
    this.#pace.spend(all.length);
    if (new Set(all.map((one) => JSON.stringify(one))).size < all.length) return null;
    const types = type === undefined ? null : typesOf(schema, path);
    return types === null ? all : all.filter((one) => types.some((kind) => isOfType(one, kind)));
  }

  /** A schema whose references and parts are opened, as one; null: it cannot be written so. */
  *oneSchema(schema: unknown, path: string): Portioned<Schema | null> {
    const one = yield* mergeSchemas(this.flattened(schema, path), this.#pace);
    return isSchemaObject(one) && one['anyOf'] === undefined && one['oneOf'] === undefined ? one : null;
  }

  count(schema: Schema, place: IgnoredKeyword): number | null {
    const value = this.number(schema, place);
    if (value !== null && (value < 0 || !Number.isInteger(value))) {
      throw new GrammarError('invalid', 'expected an integer of at least 0', place);
    }
    if (value !== null && value > countMax) {
      // A minimum that high cannot be met; a maximum that high is none.
      if (place.keyword.startsWith('min')) throw new GrammarError('too-large', `above ${countMax}`, place);
      return null;
    }
    return value;
  }

  number(schema: Schema, place: IgnoredKeyword): number | null {
    const value = schema[place.keyword];
    if (value === undefined) return null;
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new GrammarError('invalid', 'expected a number', place);
    }
    return value;
  }
}

const countMax = 1_000_000;

function decodePointer(part: string, place: IgnoredKeyword): string {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch (error) {
    if (error instanceof URIError) throw new GrammarError('invalid', 'is badly escaped', place);
    throw error;
  }
}

function encodePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Without recursion, so that no depth can hurt. Throws GrammarError 'too-large'. */
export function* measureSchema(
  root: unknown,
  { bounds, pace }: { readonly bounds: GrammarBounds; readonly pace: Pace },
): Portioned<void> {
  const { schemaValuesMax, schemaSizeMax } = bounds;
  const todo: [value: unknown, depth: number][] = [[root, 1]];
  let values = 0;
  let text = 0;
  const place = { path: '#' };
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const [value, depth] = next;
    if (pace.due()) yield;
    if (depth > depthMax) throw new GrammarError('too-large', `nested deeper than ${depthMax}`, place);
    if (++values > schemaValuesMax) {
      throw new GrammarError('too-large', `more than ${schemaValuesMax} values (--schema-values)`, place);
    }
    if (typeof value === 'string') text += value.length;
    if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        text += key.length;
        todo.push([inner, depth + 1]);
      }
    }
    if (text > schemaSizeMax) {
      throw new GrammarError('too-large', `more than ${schemaSizeMax} characters (--schema-size)`, place);
    }
  }
}

/** What a part of several says of its own unevaluated properties and items: it evaluates none but those it names itself. */
function closedAlone(schema: Schema, path: string): Schema {
  let closed = schema;
  for (const [keyword, own] of [
    ['unevaluatedProperties', 'additionalProperties'],
    ['unevaluatedItems', 'items'],
  ] as const) {
    const { [keyword]: value, ...rest } = closed;
    if (value === undefined) continue;
    if (['$ref', 'allOf', 'anyOf', 'oneOf', 'if'].some((name) => schema[name] !== undefined))
      throw new GrammarError('unsupported', 'cannot be enforced within one of several schemas', {
        path,
        keyword,
      });
    closed = { ...rest, [own]: rest[own] ?? value };
  }
  return closed;
}
