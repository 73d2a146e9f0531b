// What a value must be not to fit a JSON schema, written as a schema: for `not`, `else`, and alternatives of which one alone may
// hold. Owns which assertions can be turned round. What it writes may ask for more than needed (some values that do not fit
// are left out), never for less. Pure. Before it: schema-rewrite.ts; after it: schema-merge.ts.
import { isSchemaObject, type Schema } from './schema-keywords.ts';

export interface NegateOptions {
  /** The target of a `$ref` within the whole schema; undefined: it leads nowhere. */
  readonly resolve: (reference: unknown) => unknown;
  readonly isAssertion: (keyword: string) => boolean;
}

const depthMax = 16; // of schemas within schemas and references
const kinds = ['null', 'boolean', 'number', 'string', 'array', 'object'] as const;

/** null: no way to write it. */
export function negated(schema: unknown, options: NegateOptions, depth = 0): unknown {
  if (schema === true) return false;
  if (schema === false) return true;
  if (!isSchemaObject(schema) || depth > depthMax) return null;
  const ways: unknown[] = [];
  let asserts = false;
  for (const [keyword, value] of Object.entries(schema)) {
    if (!options.isAssertion(keyword)) continue;
    const found = waysToBreak(keyword, value, (inner) => negated(inner, options, depth + 1), options);
    if (found === null) asserts = true;
    else {
      asserts ||= found.length > 0;
      ways.push(...found);
    }
  }
  if (!asserts) return false; // everything fits
  if (ways.length === 0) return null;
  return ways.length === 1 ? ways[0] : { anyOf: ways };
}

/** Schemas of which any breaks the assertion; none: nothing does; null: it cannot be said. */
function waysToBreak(
  keyword: string,
  value: unknown,
  negate: (schema: unknown) => unknown,
  { resolve }: NegateOptions,
): readonly unknown[] | null {
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
      return isSchemaObject(value) ? brokenProperties(value, negate) : null;
    case 'pattern':
      return [{ type: 'string', notPatterns: [value] }];
    case 'items':
      return one(negate(value), (contains) => ({ type: 'array', contains }));
    case 'contains':
      return one(negate(value), (items) => ({ type: 'array', items }));
    case 'anyOf':
    case 'oneOf':
      return Array.isArray(value) ? allBroken(value, negate) : null;
    case 'allOf':
      return Array.isArray(value) ? anyBroken(value, negate) : null;
    case 'not':
      return [value];
    case '$ref':
      return one(negate(resolve(value)), (schema) => schema);
    default:
      return brokenBound(keyword, value);
  }
}

function brokenBound(keyword: string, value: unknown): readonly unknown[] | null {
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
function brokenProperties(
  properties: Schema,
  negate: (schema: unknown) => unknown,
): readonly unknown[] | null {
  const ways = Object.entries(properties).map(([name, schema]) => [name, negate(schema)] as const);
  const possible = ways.filter(([, broken]) => broken !== null && broken !== false);
  if (possible.length === 0 && ways.some(([, broken]) => broken === null)) return null;
  return possible.map(([name, broken]) => ({
    type: 'object',
    required: [name],
    properties: { [name]: broken },
  }));
}

function allBroken(
  parts: readonly unknown[],
  negate: (schema: unknown) => unknown,
): readonly unknown[] | null {
  const broken = parts.map(negate);
  if (broken.includes(null)) return null;
  return broken.includes(false) ? [] : [{ allOf: broken }];
}

function anyBroken(
  parts: readonly unknown[],
  negate: (schema: unknown) => unknown,
): readonly unknown[] | null {
  const broken = parts.map(negate);
  const possible = broken.filter((part) => part !== null && part !== false);
  return possible.length === 0 && broken.includes(null) ? null : possible;
}

function one(broken: unknown, write: (schema: unknown) => unknown): readonly unknown[] | null {
  if (broken === null) return null;
  return broken === false ? [] : [write(broken)];
}

function strings(value: unknown): readonly string[] | null {
  return Array.isArray(value) && value.every((name) => typeof name === 'string') ? value : null;
}
