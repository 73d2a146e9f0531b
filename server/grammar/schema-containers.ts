// Objects and arrays of a JSON schema: which keys may stand for what, what of each has to be there, how many there are. Owns
// what is a restriction of ours: declared properties come in the schema's order, different items in that of their list. That
// free keys differ from those before them the constraint sees to. Before it: json-schema.ts; after it:
// json-containers.ts.
import type { Regex } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import {
  arrayExpression,
  containingExpression,
  distinctExpression,
  type JsonProperty,
  leadingExpression,
  type ObjectParts,
  objectExpression,
} from './json-containers.ts';
import { oneOfTexts, textThen } from './json-terminals.ts';
import type { Portioned } from './pace.ts';
import { compilePattern, prepareClasses } from './pattern.ts';
import { type Expression, rule, terminal } from './rules.ts';
import type { SchemaContext } from './schema-context.ts';
import { isSchemaObject, type Schema } from './schema-keywords.ts';
import type { SchemaReader } from './schema-reader.ts';
import { matches, stringBody } from './schema-scalars.ts';

export interface ContainerParts {
  readonly reader: SchemaReader;
  readonly context: SchemaContext;
  readonly value: (schema: unknown, path: string) => Portioned<Expression>;
}

const patternsMax = 6; // each doubles the kinds of key
const listedMax = 32; // keys of patterns that are listed as if they were declared
const listedBytesMax = 64; // of each
const listingStepsMax = 4_000; // to find them
const distinctMax = 1000; // items of a list without repetition

/** A key with its colon. In the strict spelling, so that no declared one slips through in another. */
export function anyKey(
  { table, terminals }: SchemaContext,
  but: Regex | null = null,
  body: Regex | null = null,
): Regex {
  const any = body ?? table.repeat(terminals.strictCharacter, 0);
  const free = but === null ? any : table.and([any, table.not(but)]);
  return table.sequence(terminals.quote, free, terminals.quote, table.text(':'), terminals.space);
}

export function* objectValue(schema: Schema, path: string, parts: ContainerParts): Portioned<Expression> {
  const { reader, context, value } = parts;
  const { table, terminals } = context;
  const { declared, required, absent, additional } = reader.objectParts(schema, path);
  const patterns = yield* keyPatterns(schema, path, parts);
  const names = yield* namesBody(schema, path, parts);
  const properties: ObjectParts['properties'][number][] = [];
  for (const [name, inner, at] of declared) {
    const fits = names === null || (yield* fitsKey(names, name, context));
    const held = [inner];
    for (const { regex, schema: asked } of patterns)
      if (yield* fitsKey(regex, name, context)) held.push(asked);
    const written = fits
      ? yield* value(held.length === 1 ? inner : { allOf: held }, at)
      : terminal(table.never);
    const key = yield* textThen(`${JSON.stringify(name)}:`, terminals.space, context);
    properties.push({ key, value: written, required: required.has(name) });
  }
  const taken = [...declared.map(([name]) => name), ...absent];
  const { listed, extras } = yield* extraProperties({ taken, names, patterns, additional }, path, parts);
  properties.push(...listed);
  const min = reader.count(schema, { path, keyword: 'minProperties' }) ?? 0;
  const max = reader.count(schema, { path, keyword: 'maxProperties' }) ?? Number.POSITIVE_INFINITY;
  // Further keys differ from each other as long as all of them are remembered (key-memory.ts).
  const most = properties.length + context.bounds.objectKeysMax;
  const isTooMany = extras.length > 0 && min > most;
  if (isTooMany) {
    const why = `more than ${context.bounds.objectKeysMax} free keys cannot be told apart (--object-keys)`;
    reader.cannot(path, 'minProperties', why);
  }
  return objectExpression({ properties, extras, min: isTooMany ? most : min, max }, context);
}

interface KeyPattern {
  readonly regex: Regex; // of the key's text
  readonly schema: unknown;
  readonly path: string;
}

function* keyPatterns(
  schema: Schema,
  path: string,
  { reader, context }: ContainerParts,
): Portioned<readonly KeyPattern[]> {
  const { patternProperties: given = {} } = schema;
  const place = { path, keyword: 'patternProperties' };
  if (!isSchemaObject(given)) throw new GrammarError('invalid', 'expected an object', place);
  const { table, bounds } = context;
  const known: KeyPattern[] = [];
  for (const [source, inner] of Object.entries(given)) {
    const at = `${path}/patternProperties/${source.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    yield* prepareClasses(source, context);
    const regex = reader.attempt(place, () =>
      compilePattern(source, { table, form: 'json', path: at, search: true, bounds }),
    );
    if (regex !== null) known.push({ regex, schema: inner, path: at });
    if (context.pace.due(source.length)) yield;
  }
  if (known.length <= patternsMax) return known;
  throw new GrammarError('too-large', `more than ${patternsMax} patterns`, place);
}

/** What keys are like by `propertyNames`; null: as they want. */
function* namesBody(schema: Schema, path: string, parts: ContainerParts): Portioned<Regex | null> {
  const { propertyNames: given } = schema;
  if (given === undefined || given === true) return null;
  const { reader, context } = parts;
  const { table } = context;
  const at = `${path}/propertyNames`;
  if (given === false) return table.never;
  const one = yield* reader.oneSchema(given, at);
  if (one === null) {
    reader.cannot(path, 'propertyNames');
    return null;
  }
  const { enum: values, const: only, ...rest } = one;
  const texts = only !== undefined ? [only] : values;
  const body = yield* stringBody(rest, at, { ...parts, strict: true });
  if (!Array.isArray(texts)) return body;
  const fitting = texts.filter((text) => typeof text === 'string');
  const inside = fitting.map((text) => JSON.stringify(text).slice(1, -1));
  return table.and([body, yield* oneOfTexts(inside, context)]);
}

function fitsKey(regex: Regex, name: string, context: SchemaContext): Portioned<boolean> {
  return matches(regex, JSON.stringify(name).slice(1, -1), context);
}

/** The few texts of an expression, as they stand inside a JSON string; null: they are many, or without end. */
function* fewTexts(
  regex: Regex,
  countMax: number,
  { table, pace }: SchemaContext,
): Portioned<readonly string[] | null> {
  const texts: string[] = [];
  const path: number[] = [];
  let steps = 0;
  function* walk(left: Regex): Portioned<boolean> {
    if (left.nullable && texts.push(Buffer.from(path).toString()) > countMax) return false;
    if (left.kind === 'empty') return true;
    if (path.length === listedBytesMax) return false;
    for (let byte = 0x20; byte < 0x100; byte++) {
      const next = table.derive(left, byte);
      if (next.kind === 'never') continue;
      if (++steps > listingStepsMax) return false;
      if (pace.due()) yield;
      path.push(byte);
      if (!(yield* walk(next))) return false;
      path.pop();
    }
    return true;
  }
  return (yield* walk(regex)) ? texts : null;
}

/**
 * Keys that are not declared: for each choice of patterns that a key may fit, those that fit these and no others. Where
 * patterns leave but a few, these are listed, each once and in their order.
 */
function* extraProperties(
  {
    taken,
    names,
    patterns,
    additional,
  }: {
    readonly taken: readonly string[];
    readonly names: Regex | null;
    readonly patterns: readonly KeyPattern[];
    readonly additional: unknown;
  },
  path: string,
  { context, value }: ContainerParts,
): Portioned<Pick<ObjectParts, 'extras'> & { readonly listed: ObjectParts['properties'] }> {
  const { table } = context;
  const inside = taken.map((name) => JSON.stringify(name).slice(1, -1));
  const but = taken.length === 0 ? null : yield* oneOfTexts(inside, context);
  const extras: JsonProperty[] = [];
  const listed: ObjectParts['properties'][number][] = [];
  for (let chosen = 0; chosen < 2 ** patterns.length; chosen++) {
    const met = patterns.filter((_, index) => (chosen & (1 << index)) !== 0);
    const unmet = patterns.filter((_, index) => (chosen & (1 << index)) === 0);
    if (met.length === 0 && additional === false) continue;
    const held = met.map((one) => one.schema);
    const at = met.length === 0 ? `${path}/additionalProperties` : met[0]!.path;
    const inner = met.length === 0 ? additional : held.length === 1 ? held[0] : { allOf: held };
    const regexes = [...met.map(({ regex }) => regex), ...unmet.map(({ regex }) => table.not(regex))];
    if (names !== null) regexes.push(names);
    const any = table.repeat(context.terminals.strictCharacter, 0);
    const body = regexes.length === 0 ? null : table.and([any, ...regexes]);
    const written = yield* value(inner, at);
    const texts = met.length === 0 ? null : yield* fewTexts(body!, listedMax - listed.length, context);
    if (texts === null) {
      extras.push({ key: anyKey(context, but, body), value: written });
      continue;
    }
    const name = `listed ${context.rules.size}`;
    context.rules.set(name, written);
    for (const text of texts) {
      if (inside.includes(text)) continue;
      const key = yield* textThen(`"${text}":`, context.terminals.space, context);
      listed.push({ key, value: rule(name), required: false });
    }
  }
  return { listed, extras };
}

export function* arrayValue(schema: Schema, path: string, parts: ContainerParts): Portioned<Expression> {
  const { reader, context, value } = parts;
  const { prefixItems = [], items = schema['unevaluatedItems'] ?? true } = schema;
  if (!Array.isArray(prefixItems)) {
    throw new GrammarError('invalid', 'expected an array', { path, keyword: 'prefixItems' });
  }
  const min = reader.count(schema, { path, keyword: 'minItems' }) ?? 0;
  const max = reader.count(schema, { path, keyword: 'maxItems' }) ?? Number.POSITIVE_INFINITY;
  if (schema['uniqueItems'] === true && max > 1) {
    const values =
      prefixItems.length > 0 || schema['contains'] !== undefined ? null : reader.finiteValues(items, path);
    if (values !== null && values.length <= distinctMax) {
      const written: Expression[] = [];
      for (const one of values)
        written.push(terminal(yield* textThen(JSON.stringify(one), context.table.empty, context)));
      return distinctExpression({ items: written, min, max }, context);
    }
    reader.cannot(path, 'uniqueItems');
  }
  const prefix: Expression[] = [];
  for (const [i, item] of prefixItems.entries()) prefix.push(yield* value(item, `${path}/prefixItems/${i}`));
  const item = yield* value(items, `${path}/items`);
  if (schema['contains'] === undefined) return arrayExpression({ prefix, item, min, max }, context);
  if (prefix.length > 0) {
    reader.cannot(path, 'contains');
    return arrayExpression({ prefix, item, min, max }, context);
  }
  return yield* containing(schema, path, { items, item, min, max }, parts);
}

/** Some of the items are of a kind: where their number is open they stand anywhere, else first. */
function* containing(
  schema: Schema,
  path: string,
  array: { readonly items: unknown; readonly item: Expression; readonly min: number; readonly max: number },
  { reader, context, value }: ContainerParts,
): Portioned<Expression> {
  const { items, item, min, max } = array;
  const least = reader.count(schema, { path, keyword: 'minContains' }) ?? 1;
  const most = reader.count(schema, { path, keyword: 'maxContains' });
  const at = `${path}/contains`;
  const contained = yield* value({ allOf: [items, schema['contains']] }, at);
  if (most === null && least > 0 && min <= least && max === Number.POSITIVE_INFINITY)
    return containingExpression({ item, contained, count: least }, context);
  if (most !== null && most < least) return terminal(context.table.never);
  const other = most === null ? item : yield* value({ allOf: [items, { not: schema['contains'] }] }, at);
  if (least === 0) return arrayExpression({ prefix: [], item: other, min, max }, context);
  return leadingExpression({ leading: contained, count: least, item: other, min, max }, context);
}
