// Several JSON schemas that must all hold → one that says the same, where that can be written: the parts of `allOf`, and
// what stands beside it or beside a `$ref`. Pure. Before it: json-schema.ts; after it: schema-reader.ts reads the result.
import { isSchemaObject, type Schema } from './schema-reader.ts';

const annotations = new Set([
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
]);
const notes = new Set([
  '$schema',
  '$id',
  '$comment',
  '$anchor',
  '$defs',
  'definitions',
  'x-order',
  'nullable',
]);
const lower = new Set(['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties']);
const upper = new Set(['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties']);
const mergesMax = 1000; // alternatives beside alternatives multiply
const alternatives = ['anyOf', 'oneOf'] as const;

/** null: it cannot be written as one schema. */
export function mergeSchemas(parts: readonly unknown[], budget = { merges: mergesMax }): unknown {
  let merged: unknown = true;
  for (const part of parts) {
    merged = merged === true ? part : part === true ? merged : mergeTwo(merged, part, budget);
    if (merged === null) return null;
  }
  return merged;
}

function mergeTwo(a: unknown, b: unknown, budget: { merges: number }): unknown {
  if (--budget.merges < 0) return null;
  if (a === false || b === false) return false;
  if (!isSchemaObject(a) || !isSchemaObject(b)) return null;
  if ('const' in a || 'const' in b) return mergeTwo(asEnum(a), asEnum(b), budget);
  for (const keyword of alternatives) {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const choices = one[keyword];
      if (!Array.isArray(choices)) continue;
      const { [keyword]: _choices, ...rest } = one;
      // Each alternative takes along what must hold beside it.
      const each = choices.map((choice) => mergeSchemas([rest, choice, other], budget));
      return each.includes(null) ? null : { [keyword]: each };
    }
  }
  if (!declaresTogether(a, b) || JSON.stringify(a['prefixItems']) !== JSON.stringify(b['prefixItems']))
    return null;
  const merged: Record<string, unknown> = { ...a };
  for (const [keyword, value] of Object.entries(b)) {
    const both = keyword in merged ? mergeValue(keyword, merged[keyword], value) : value;
    if (both === null) return null;
    if (both === false && (keyword === 'type' || keyword === 'enum')) return false;
    merged[keyword] = both;
  }
  return merged;
}

function asEnum(schema: Schema): Schema {
  if (!('const' in schema)) return schema;
  const { const: value, ...rest } = schema;
  return 'enum' in rest ? { allOf: [rest, { enum: [value] }] } : { ...rest, enum: [value] };
}

/** Names that one part declares must be allowed by the other, which says so only for those it does not declare. */
function declaresTogether(a: Schema, b: Schema): boolean {
  const isOpen = ({ additionalProperties: more }: Schema) => more === undefined || more === true;
  return (isOpen(a) && isOpen(b)) || namesOf(a) === namesOf(b);
}

function namesOf({ properties }: Schema): string {
  return JSON.stringify(isSchemaObject(properties) ? Object.keys(properties).sort() : []);
}

/** null: not to be written as one value. */
function mergeValue(keyword: string, a: unknown, b: unknown): unknown {
  if (JSON.stringify(a) === JSON.stringify(b) || annotations.has(keyword) || notes.has(keyword)) return a;
  if (typeof a === 'number' && typeof b === 'number') {
    if (lower.has(keyword)) return Math.max(a, b);
    return upper.has(keyword) ? Math.min(a, b) : null;
  }
  if (keyword === 'type') return mergeTypes(a, b);
  if (keyword === 'required' && Array.isArray(a) && Array.isArray(b)) return [...new Set([...a, ...b])];
  if (keyword === 'enum' && Array.isArray(a) && Array.isArray(b)) {
    const allowed = new Set(b.map((value) => JSON.stringify(value)));
    const shared = a.filter((value) => allowed.has(JSON.stringify(value)));
    return shared.length === 0 ? false : shared;
  }
  if (keyword === 'properties' && isSchemaObject(a) && isSchemaObject(b)) {
    const merged: Record<string, unknown> = { ...a };
    for (const [name, schema] of Object.entries(b)) {
      merged[name] = Object.hasOwn(a, name) ? { allOf: [a[name], schema] } : schema;
    }
    return merged;
  }
  const isSchemaKeyword = keyword === 'items' || keyword === 'additionalProperties';
  return isSchemaKeyword && !Array.isArray(a) && !Array.isArray(b) ? { allOf: [a, b] } : null;
}

/** The kinds that both allow; false: none. */
function mergeTypes(a: unknown, b: unknown): unknown {
  const [left, right] = [a, b].map((type) => (Array.isArray(type) ? (type as unknown[]) : [type]));
  const has = (types: readonly unknown[], type: unknown) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  const shared = [...left!.filter((type) => has(right!, type)), ...right!.filter((type) => has(left!, type))];
  return shared.length === 0 ? false : [...new Set(shared)];
}
