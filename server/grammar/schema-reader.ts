// Reads a JSON schema safely: bounds on its size, references, keywords that we cannot enforce (an error if strict,
// otherwise noted and ignored), types of values. Knows nothing of grammars. Before and after it: json-schema.ts.
import type { GrammarBounds } from './bounds.ts';
import { GrammarError } from './grammar-error.ts';
import type { Pace, Portioned } from './pace.ts';

export type Schema = Readonly<Record<string, unknown>>;

export interface IgnoredKeyword {
  readonly path: string; // JSON pointer of the schema it stands in
  readonly keyword: string;
}

const depthMax = 100; // nesting of the JSON text
const subschemasMax = 20_000; // a schema within its other bounds has about as many
const mergedDepthMax = 32;

// Assertions that we do not enforce. Whatever is neither here nor known is an annotation by the standard's rules.
const unsupported = [
  'not',
  'if',
  'then',
  'else',
  'dependentRequired',
  'dependentSchemas',
  'dependencies',
  'patternProperties',
  'propertyNames',
  'unevaluatedProperties',
  'unevaluatedItems',
  'minProperties',
  'maxProperties',
  'contains',
  'minContains',
  'maxContains',
  'uniqueItems',
  'additionalItems',
  '$dynamicRef',
  '$recursiveRef',
] as const;

const assertionsOf: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};
const assertions = [
  'type',
  'enum',
  'const',
  '$ref',
  'anyOf',
  'oneOf',
  'allOf',
  ...Object.values(assertionsOf).flat(),
];

export function isSchemaObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Those of the keywords we cannot enforce that ask for something here. */
export function unsupportedKeywords(schema: Schema): string[] {
  return unsupported.filter((name) => {
    const value = schema[name];
    if (value === undefined || value === false) return false;
    const required = Array.isArray(schema['required']) ? schema['required'].length : 0;
    return !(name === 'minProperties' && typeof value === 'number' && value <= required);
  });
}

/** As declared, or as the other keywords suggest; null: any. */
export function typesOf(schema: Schema, path: string): readonly string[] | null {
  const { type } = schema;
  if (typeof type === 'string') return [type];
  if (Array.isArray(type) && type.length > 0 && type.every((one) => typeof one === 'string'))
    return [...new Set(type)];
  if (type !== undefined)
    throw new GrammarError('invalid', 'expected a name or an array of names', { path, keyword: 'type' });
  const suggested = Object.keys(assertionsOf).filter((name) =>
    assertionsOf[name]!.some((keyword) => schema[keyword] !== undefined),
  );
  return suggested.length === 0 ? null : suggested;
}

export class SchemaReader {
  readonly ignored: IgnoredKeyword[] = [];
  readonly #root: unknown;
  readonly #bounds: GrammarBounds;
  readonly #strict: boolean;
  #subschemas = 0;
  #properties = 0;

  /** Of a schema that measureSchema has let through. */
  constructor(root: unknown, strict: boolean, bounds: GrammarBounds) {
    this.#bounds = bounds;
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
  cannot(path: string, keyword: string): void {
    if (this.#strict) throw new GrammarError('unsupported', 'cannot be enforced', { path, keyword });
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

  hasAssertions(schema: Schema): boolean {
    return [...assertions, ...unsupported].some((name) => schema[name] !== undefined);
  }

  /** The schemas that must all hold for this one to: references and `allOf`s at its top are opened. */
  flattened(schema: unknown, path: string, depth = 0): readonly unknown[] {
    if (!isSchemaObject(schema)) return [schema];
    const { $ref: reference, allOf, ...rest } = schema;
    if (reference === undefined && !Array.isArray(allOf)) return [schema];
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
    readonly additional: unknown; // false: none
  } {
    const { properties = {}, required = [], additionalProperties } = schema;
    const declaresNone = schema['properties'] === undefined && schema['required'] === undefined;
    if (!isSchemaObject(properties)) {
      throw new GrammarError('invalid', 'expected an object', { path, keyword: 'properties' });
    }
    if (!Array.isArray(required) || !required.every((name) => typeof name === 'string')) {
      throw new GrammarError('invalid', 'expected an array of names', { path, keyword: 'required' });
    }
    const names = Object.keys(properties);
    const additional = additionalProperties ?? declaresNone;
    const declared: (readonly [string, unknown, string])[] = names.map((name) => [
      name,
      properties[name],
      `${path}/properties/${encodePointer(name)}`,
    ]);
    for (const name of new Set<string>(required)) {
      if (!Object.hasOwn(properties, name)) {
        declared.push([name, additionalProperties ?? true, `${path}/additionalProperties`]);
      }
    }
    this.#properties += declared.length;
    const { schemaPropertiesMax: most } = this.#bounds;
    if (this.#properties > most) {
      throw new GrammarError('too-large', `more than ${most} properties (--schema-properties)`, { path });
    }
    return { declared, required: new Set(required), additional };
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

/** Whether a value might match two of the alternatives, as far as types and constant properties tell. */
export function* mayOverlap(parts: readonly unknown[], path: string, pace: Pace): Portioned<boolean> {
  const shapes: Shape[] = [];
  for (const part of parts) {
    if (!isSchemaObject(part)) return parts.length > 1;
    shapes.push(shapeOf(part, path));
    if (pace.due()) yield;
  }
  for (const [i, a] of shapes.entries()) {
    for (let j = i + 1; j < shapes.length; j++) {
      if (!areDisjoint(a, shapes[j]!)) return true;
      if (pace.due()) yield;
    }
  }
  return false;
}

/** What tells one alternative from others. */
interface Shape {
  readonly kinds: ReadonlySet<string> | null; // null: any
  readonly fixed: ReadonlyMap<string, ReadonlySet<string>>; // required properties of constant values, of an object
}

function shapeOf(schema: Schema, path: string): Shape {
  const { properties, required } = schema;
  const fixed = new Map<string, ReadonlySet<string>>();
  if (isSchemaObject(properties) && Array.isArray(required)) {
    for (const name of required) {
      const values = Object.hasOwn(properties, name) ? constantsOf(properties[name]) : null;
      if (values !== null) fixed.set(name, new Set(values));
    }
  }
  return { kinds: kindsOf(schema, path), fixed };
}

function areDisjoint(a: Shape, b: Shape): boolean {
  if (a.kinds === null || b.kinds === null) return false;
  const shared = [...a.kinds].filter((kind) => b.kinds!.has(kind));
  if (shared.length === 0) return true;
  if (shared.join() !== 'object') return false;
  for (const [name, values] of a.fixed) {
    const others = b.fixed.get(name);
    if (others !== undefined && [...values].every((value) => !others.has(value))) return true;
  }
  return false;
}

function kindsOf(schema: Schema, path: string): ReadonlySet<string> | null {
  const types = schema['type'] === undefined ? null : typesOf(schema, path);
  return types && new Set(types.map((type) => (type === 'integer' ? 'number' : type)));
}

function constantsOf(schema: unknown): string[] | null {
  if (!isSchemaObject(schema)) return null;
  if (schema['const'] !== undefined) return [JSON.stringify(schema['const'])];
  return Array.isArray(schema['enum']) ? schema['enum'].map((value) => JSON.stringify(value)) : null;
}
