// Several JSON schemas that must all hold → one that says the same, where that can be written: the parts of `allOf`, and
// what stands beside it or beside a `$ref`. Pure, in portions. Before it: json-schema.ts; after it: json-schema.ts reads the result.
import { isDeepStrictEqual } from 'node:util';
import type { Pace, Portioned } from './pace.ts';
import { isSchemaObject, type Schema } from './schema-keywords.ts';

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

const membersMax = 8_000_000; // names and values looked at meanwhile
const keptMax = 500_000; // in all alternatives: each may take thousands along

class Budget {
  readonly #pace: Pace;
  #merges = mergesMax;
  #members = membersMax;
  #kept = keptMax;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** Before two schemas are merged: false when there have been too many. */
  take(): boolean {
    return --this.#merges >= 0 && this.#members >= 0;
  }

  /** What an alternative has become: false when all of them hold too much. */
  keep(schema: unknown): boolean {
    if (isSchemaObject(schema)) this.#kept -= membersOf(schema);
    return this.#kept >= 0;
  }

  /** After looking at so many names and values. */
  *spend(members: number): Portioned<void> {
    this.#members -= members;
    if (this.#pace.due(1 + members)) yield;
  }
}

/** null: it cannot be written as one schema. */
export function* mergeSchemas(
  parts: readonly unknown[],
  pace: Pace,
  budget = new Budget(pace),
): Portioned<unknown> {
  let merged: unknown = true;
  for (const part of parts) {
    merged = merged === true ? part : part === true ? merged : yield* mergeTwo(merged, part, pace, budget);
    if (merged === null) return null;
  }
  return merged;
}

function* mergeTwo(a: unknown, b: unknown, pace: Pace, budget: Budget): Portioned<unknown> {
  if (!budget.take()) return null;
  if (a === false || b === false) return false;
  if (!isSchemaObject(a) || !isSchemaObject(b)) return null;
  if ('const' in a || 'const' in b) return yield* mergeTwo(asEnum(a), asEnum(b), pace, budget);
  for (const keyword of alternatives) {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const choices = one[keyword];
      if (!Array.isArray(choices)) continue;
      const { [keyword]: _choices, ...rest } = one;
      // Each alternative takes along what must hold beside it.
      const each: unknown[] = [];
      for (const choice of choices) {
        const taken = yield* mergeSchemas([rest, choice, other], pace, budget);
        if (taken === null || !budget.keep(taken)) return null;
        each.push(taken);
      }
      return { [keyword]: each };
    }
  }
  yield* budget.spend(membersOf(a) + membersOf(b));
  return mergedPlain(a, b);
}

/** How many names and values its keywords list. */
function membersOf(schema: Schema): number {
  let members = 0;
  for (const value of Object.values(schema)) {
    if (Array.isArray(value)) members += value.length;
    else if (isSchemaObject(value)) members += Object.keys(value).length;
  }
  return members;
}

/** Of two without alternatives. */
function mergedPlain(a: Schema, b: Schema): unknown {
  if (!isDeepStrictEqual(a['prefixItems'], b['prefixItems'])) return null;
  const [one, other] = [declaring(a, b), declaring(apart(a, b), a)];
  if (one === null || other === null) return null;
  const merged: Record<string, unknown> = { ...one };
  for (const [keyword, value] of Object.entries(other)) {
    if (keyword === 'pattern' && 'pattern' in merged && merged['pattern'] !== value) {
      merged['allPatterns'] = withPatterns(merged, value);
      continue;
    }
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

/** With the names that only the other part declares, as far as this one has something to say of them; null: it cannot be said. */
function declaring(schema: Schema, other: Schema): Schema | null {
  const { additionalProperties: more, patternProperties: patterns, properties: own } = schema;
  if (more === undefined || more === true) return schema;
  const named = isSchemaObject(own) ? own : {};
  const theirs = isSchemaObject(other['properties']) ? Object.keys(other['properties']) : [];
  const missing = theirs.filter((name) => !Object.hasOwn(named, name));
  const samePatterns = isDeepStrictEqual(patterns, other['patternProperties']);
  if (!samePatterns && other['patternProperties'] !== undefined) return null; // whose names these are is not known
  if (missing.length === 0) return schema;
  if (patterns !== undefined) return null;
  return { ...schema, properties: { ...named, ...Object.fromEntries(missing.map((name) => [name, more])) } };
}

// Of which a schema has one: the other's stands in a part of its own.
const singles = [['$ref'], ['not'], ['if', 'then', 'else']];

/** `other` with what it has of these, as this one has too, in its `allOf`. */
function apart(schema: Schema, other: Schema): Schema {
  const moved: object[] = [];
  let rest: Schema = other;
  for (const group of singles) {
    if (!(group[0]! in schema) || !(group[0]! in other)) continue;
    const own = Object.entries(rest).filter(([keyword]) => group.includes(keyword));
    moved.push(Object.fromEntries(own));
    rest = Object.fromEntries(Object.entries(rest).filter(([keyword]) => !group.includes(keyword)));
  }
  if (moved.length === 0) return other;
  return {
    ...rest,
    allOf: [...(Array.isArray(rest['allOf']) ? (rest['allOf'] as unknown[]) : []), ...moved],
  };
}

const lists = new Set(['absent', 'notPatterns', 'notEnum', 'allPatterns']); // all of them hold

/** Two patterns that both hold. */
function withPatterns(a: Record<string, unknown>, pattern: unknown): readonly unknown[] {
  const known = Array.isArray(a['allPatterns']) ? (a['allPatterns'] as unknown[]) : [];
  return [...known, pattern];
}

/** null: not to be written as one value. */
function mergeValue(keyword: string, a: unknown, b: unknown): unknown {
  if (annotations.has(keyword) || notes.has(keyword) || isDeepStrictEqual(a, b)) return a;
  if (lists.has(keyword) && Array.isArray(a) && Array.isArray(b)) return [...new Set([...a, ...b])];
  if (keyword === 'allOf' && Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (keyword === 'multipleOf') return commonMultiple(a, b);
  if (keyword === 'uniqueItems') return a === true || b === true;
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
  if (named.has(keyword) && isSchemaObject(a) && isSchemaObject(b)) {
    const merged: Record<string, unknown> = { ...a };
    for (const [name, schema] of Object.entries(b)) {
      merged[name] = Object.hasOwn(a, name) ? { allOf: [a[name], schema] } : schema;
    }
    return merged;
  }
  return schemas.has(keyword) && !Array.isArray(a) && !Array.isArray(b) ? { allOf: [a, b] } : null;
}

const named = new Set(['properties', 'patternProperties']); // schemas by name
const schemas = new Set([
  'items',
  'additionalProperties',
  'propertyNames',
  'unevaluatedProperties',
  'unevaluatedItems',
]);

/** Of whole numbers; null: of others. */
function commonMultiple(a: unknown, b: unknown): number | null {
  if (typeof a !== 'number' || typeof b !== 'number' || a < 1 || b < 1) return null;
  if (!Number.isSafeInteger(a) || !Number.isSafeInteger(b)) return null;
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  const multiple = (a / divisor) * b;
  return Number.isSafeInteger(multiple) ? multiple : null;
}

/** The kinds that both allow; false: none. */
function mergeTypes(a: unknown, b: unknown): unknown {
  const [left, right] = [a, b].map((type) => (Array.isArray(type) ? (type as unknown[]) : [type]));
  const has = (types: readonly unknown[], type: unknown) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  const shared = [...left!.filter((type) => has(right!, type)), ...right!.filter((type) => has(left!, type))];
  return shared.length === 0 ? false : [...new Set(shared)];
}
