// What a value must be not to fit a JSON schema, written as a schema: for `not`, `else`, and alternatives of which one alone may
// hold. Owns which assertions can be turned round. What it writes may ask for more than needed (some values that do not fit
// are left out), never for less. Pure. Before it: schema-rewrite.ts; after it: schema-merge.ts.
import type { Pace, Portioned } from './pace.ts';
import { askedOf, isAssertion, isSchemaObject, type Schema } from './schema-keywords.ts';

export interface NegateOptions {
  /** The target of a `$ref` within the whole schema; undefined: it leads nowhere. */
  readonly resolve: (reference: unknown) => unknown;
  readonly pace: Pace;
}

/** Where a schema stands that is turned round. */
interface Depth {
  readonly level: number; // of schemas within schemas and references
  readonly referred: boolean; // behind a reference
  readonly budget: { left: number };
}

type Negate = (schema: unknown, behindReference?: boolean) => Portioned<unknown>;
type Ways = readonly unknown[] | null; // of which any breaks the assertion; none: nothing does; null: it cannot be said

const levelMax = 16;
const referredMax = 1_000; // schemas behind references, for one: a few that lead back multiply with every level
const kinds = ['null', 'boolean', 'number', 'string', 'array', 'object'] as const;

/** null: no way to write it. */
export function* negated(
  schema: unknown,
  options: NegateOptions,
  depth: Depth = { level: 0, referred: false, budget: { left: referredMax } },
): Portioned<unknown> {
  if (schema === true) return false;
  if (schema === false) return true;
  if (!isSchemaObject(schema) || depth.level > levelMax) return null;
  if (depth.referred && --depth.budget.left < 0) return null;
  const negate: Negate = (inner, behindReference = false) =>
    negated(inner, options, {
      level: depth.level + 1,
      referred: depth.referred || behindReference,
      budget: depth.budget,
    });
  const ways: unknown[] = [];
  let asserts = false;
  for (const [keyword, value] of Object.entries(askedOf(schema))) {
    if (!isAssertion(keyword)) continue; // `then` and `else` say nothing alone
    const found = yield* waysToBreak(keyword, value, negate, options);
    asserts ||= found === null || found.length > 0;
    for (const way of found ?? []) ways.push(way);
    if (options.pace.due(1 + (found?.length ?? 0))) yield;
  }
  if (!asserts) return false; // everything fits
  if (ways.length === 0) return null;
  return ways.length === 1 ? ways[0] : { anyOf: ways };
}

function* waysToBreak(
  keyword: string,
  value: unknown,
  negate: Negate,
  { resolve }: NegateOptions,
): Portioned<Ways> {
  switch (keyword) {
    case 'type':
      return otherTypes(Array.isArray(value) ? value : [value]);
    case 'const':
      return otherValues([value]);
    case 'enum':
      return Array.isArray(value) ? otherValues(value) : null;
    case 'required':
      return strings(value)?.map((name) => ({ type: 'object', absent: [name] })) ?? null;
    case 'properties':
      return isSchemaObject(value) ? yield* brokenProperties(value, negate) : null;
    case 'pattern':
      return [{ type: 'string', notPatterns: [value] }];
    case 'items':
      return one(yield* negate(value), (contains) => ({ type: 'array', contains }));
    case 'contains':
      return one(yield* negate(value), (items) => ({ type: 'array', items }));
    case 'anyOf':
    case 'oneOf':
      return Array.isArray(value) ? yield* allBroken(value, negate) : null;
    case 'allOf':
      return Array.isArray(value) ? yield* anyBroken(value, negate) : null;
    case 'not':
      return [value];
    case '$ref':
      return one(yield* negate(resolve(value), true), (schema) => schema);
    default:
      return brokenBound(keyword, value);
  }
}

function brokenBound(keyword: string, value: unknown): Ways {
  if (typeof value !== 'number') return null;
  const bound = bounds[keyword];
  if (bound === undefined) return null;
  const [type, other, step] = bound;
  if (step < 0 && value + step < 0) return []; // nothing is shorter than nothing
  return [{ type, [other]: value + step }];
}

const bounds: Readonly<Record<string, readonly [type: string, other: string, step: number]>> = {
  minimum: ['number', 'exclusiveMaximum', 0],
  maximum: ['number', 'exclusiveMinimum', 0],
  exclusiveMinimum: ['number', 'maximum', 0],
  exclusiveMaximum: ['number', 'minimum', 0],
  minLength: ['string', 'maxLength', -1],
  maxLength: ['string', 'minLength', 1],
  minItems: ['array', 'maxItems', -1],
  maxItems: ['array', 'minItems', 1],
  minProperties: ['object', 'maxProperties', -1],
  maxProperties: ['object', 'minProperties', 1],
};

function otherTypes(types: readonly unknown[]): readonly unknown[] {
  const isWhole = types.includes('integer') && !types.includes('number');
  const left = kinds.filter((kind) => !types.includes(kind) && !(kind === 'number' && isWhole));
  return [
    ...(left.length === 0 ? [] : [{ type: left }]),
    ...(isWhole ? [{ type: 'number', notInteger: true }] : []),
  ];
}

/** Objects and arrays are left out altogether where one of them is among the values. */
function otherValues(values: readonly unknown[]): readonly unknown[] {
  const taken = new Set<string>(values.map(kindOf));
  const left = kinds.filter((kind) => !taken.has(kind));
  const ways: unknown[] = left.length === 0 ? [] : [{ type: left }];
  for (const type of ['string', 'number'] as const)
    if (taken.has(type)) ways.push({ type, notEnum: values.filter((value) => kindOf(value) === type) });
  if (taken.has('boolean')) {
    const booleans = [true, false].filter((value) => !values.includes(value));
    if (booleans.length > 0) ways.push({ enum: booleans });
  }
  return ways;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** One of them is there and does not fit. */
function* brokenProperties(properties: Schema, negate: Negate): Portioned<Ways> {
  const ways: unknown[] = [];
  let isUnknown = false;
  for (const [name, schema] of Object.entries(properties)) {
    const broken = yield* negate(schema);
    isUnknown ||= broken === null;
    if (broken !== null && broken !== false)
      ways.push({ type: 'object', required: [name], properties: { [name]: broken } });
  }
  return ways.length === 0 && isUnknown ? null : ways;
}

function* allBroken(parts: readonly unknown[], negate: Negate): Portioned<Ways> {
  const broken: unknown[] = [];
  for (const part of parts) broken.push(yield* negate(part));
  if (broken.includes(null)) return null;
  return broken.includes(false) ? [] : [{ allOf: broken }];
}

function* anyBroken(parts: readonly unknown[], negate: Negate): Portioned<Ways> {
  const broken: unknown[] = [];
  for (const part of parts) broken.push(yield* negate(part));
  const possible = broken.filter((part) => part !== null && part !== false);
  return possible.length === 0 && broken.includes(null) ? null : possible;
}

function one(broken: unknown, write: (schema: unknown) => unknown): Ways {
  if (broken === null) return null;
  return broken === false ? [] : [write(broken)];
}

function strings(value: unknown): readonly string[] | null {
  return Array.isArray(value) && value.every((name) => typeof name === 'string') ? value : null;
}
