// The keywords of JSON schema as they are known here: which of them ask for something, of which kind of value, and which
// cannot be enforced. Pure. Before it: nothing; after it: all that reads schemas.
import { GrammarError } from './grammar-error.ts';

export type Schema = Readonly<Record<string, unknown>>;

// Assertions that we do not enforce. Whatever is neither here nor known is an annotation by the standard's rules.
const unsupported: readonly string[] = ['$dynamicRef', '$recursiveRef'];

const assertionsOf: Readonly<Record<string, readonly string[]>> = {
  object: [
    ...['properties', 'required', 'additionalProperties', 'unevaluatedProperties', 'patternProperties'],
    ...['propertyNames', 'minProperties', 'maxProperties'],
    'absent', // ours (schema-rewrite.ts): names that are not there
  ],
  array: [
    ...['items', 'prefixItems', 'minItems', 'maxItems', 'unevaluatedItems'],
    ...['contains', 'minContains', 'maxContains', 'uniqueItems'],
  ],
  string: [
    ...['minLength', 'maxLength', 'pattern', 'format'],
    ...['allPatterns', 'notPatterns', 'notEnum'], // ours: lists of what holds and what does not
  ],
  number: [
    'minimum',
    'maximum',
    'exclusiveMinimum',
    'exclusiveMaximum',
    'multipleOf',
    'notEnum',
    'notInteger',
  ],
};
// Written in others before anything is read (schema-rewrite.ts).
const conditions = ['not', 'if', 'dependentRequired', 'dependentSchemas', 'dependencies', 'additionalItems'];

export const assertions: readonly string[] = [
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

const known = [...assertions, ...conditions, 'then', 'else', ...unsupported];

/** Without what asks for nothing: what is left is small, however much else a schema says. */
export function askedOf(schema: Schema): Schema {
  const asked: Record<string, unknown> = {};
  for (const keyword of known) if (schema[keyword] !== undefined) asked[keyword] = schema[keyword];
  return asked;
}

/** Those of the keywords we cannot enforce that ask for something here. */
export function unsupportedKeywords(schema: Schema): string[] {
  return unsupported.filter((name) => schema[name] !== undefined && schema[name] !== false);
}

/** Whether the keyword asks for something, as far as it is known here. */
export function isAssertion(keyword: string): boolean {
  return assertions.includes(keyword) || conditions.includes(keyword) || unsupported.includes(keyword);
}

/** Whether the schema asks for anything at all, but for what is in `except`. */
export function asksMoreThan(schema: Schema, except: readonly string[]): boolean {
  return Object.entries(schema).some(
    ([keyword, value]) => value !== undefined && isAssertion(keyword) && !except.includes(keyword),
  );
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

export function isOfType(value: unknown, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isSchemaObject(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}
