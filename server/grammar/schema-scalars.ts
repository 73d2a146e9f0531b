// Strings and numbers of a JSON schema → byte expressions of their JSON text, and which constants fit a schema. Before it:
// json-schema.ts and schema-containers.ts; after it: pattern.ts and number-range.ts.
import type { Regex, RegexTable } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import { naturalNumber, oneOfTexts, plainDecimal } from './json-terminals.ts';
import { type NumberBound, numberInRange } from './number-range.ts';
import type { Portioned } from './pace.ts';
import { compilePattern, prepareClasses } from './pattern.ts';
import type { SchemaContext } from './schema-context.ts';
import type { Schema } from './schema-keywords.ts';
import type { SchemaReader } from './schema-reader.ts';
import { stringFormats } from './string-format.ts';

export interface ScalarParts {
  readonly reader: SchemaReader;
  readonly context: Pick<SchemaContext, 'table' | 'terminals' | 'bounds' | 'pace'>;
}

/** Between its quotes; in the strict spelling only where something is asked of the text, or where `strict` is. */
export function* stringBody(
  schema: Schema,
  path: string,
  parts: ScalarParts & { readonly strict?: boolean },
): Portioned<Regex> {
  const { reader, context, strict = false } = parts;
  const { table, terminals } = context;
  const min = reader.count(schema, { path, keyword: 'minLength' }) ?? 0;
  const max = reader.count(schema, { path, keyword: 'maxLength' }) ?? Number.POSITIVE_INFINITY;
  if (min > max) return table.never;
  const held = [...(yield* patternsOf(schema, path, parts)), ...formatOf(schema, path, parts)];
  const isBounded = min > 0 || Number.isFinite(max);
  const character = held.length === 0 && !strict ? terminals.character : terminals.strictCharacter;
  if (isBounded || held.length === 0) held.push(table.repeat(character, min, max));
  return table.and(held);
}

/** What the text must and must not be like, each as an expression. */
function* patternsOf(schema: Schema, path: string, { reader, context }: ScalarParts): Portioned<Regex[]> {
  const { table, terminals, bounds } = context;
  const { pattern, allPatterns, notPatterns, notEnum } = schema;
  const any = table.repeat(terminals.strictCharacter, 0);
  const held: Regex[] = [];
  function* add(keyword: string, source: unknown, write: (regex: Regex) => Regex): Portioned<void> {
    if (typeof source !== 'string') throw new GrammarError('invalid', 'expected a string', { path, keyword });
    const at = `${path}/${keyword}`;
    yield* prepareClasses(source, context);
    const regex = reader.attempt({ path, keyword }, () =>
      compilePattern(source, { table, form: 'json', path: at, search: true, bounds }),
    );
    if (regex !== null) held.push(write(regex));
    if (context.pace.due(source.length)) yield;
  }
  for (const source of [...(pattern === undefined ? [] : [pattern]), ...listOf(allPatterns)])
    yield* add('pattern', source, (regex) => regex);
  for (const source of listOf(notPatterns))
    yield* add('pattern', source, (regex) => table.and([any, table.not(regex)]));
  const texts = listOf(notEnum).filter((value) => typeof value === 'string');
  if (texts.length > 0) {
    const taken = yield* oneOfTexts(
      texts.map((text) => JSON.stringify(text).slice(1, -1)),
      context,
    );
    held.push(table.and([any, table.not(taken)]));
  }
  return held;
}

function formatOf({ format }: Schema, path: string, { reader, context }: ScalarParts): Regex[] {
  if (format === undefined) return [];
  const { table, bounds } = context;
  const source = stringFormats.get(format as string);
  if (source === undefined) {
    reader.note(path, 'format');
    return [];
  }
  return [compilePattern(source, { table, form: 'json', path: `${path}/format`, search: false, bounds })];
}

export function numberText(
  schema: Schema,
  { path, integer }: { readonly path: string; readonly integer: boolean },
  { reader, context }: ScalarParts,
): Regex {
  const { table, terminals } = context;
  const min = boundOf(schema, { path, inclusive: 'minimum', exclusive: 'exclusiveMinimum' }, reader);
  const max = boundOf(schema, { path, inclusive: 'maximum', exclusive: 'exclusiveMaximum' }, reader);
  const multipleOf = reader.number(schema, { path, keyword: 'multipleOf' });
  if (multipleOf !== null && multipleOf <= 0) {
    throw new GrammarError('invalid', 'must be above 0', { path, keyword: 'multipleOf' });
  }
  const isFree = min === null && max === null && multipleOf === null;
  const all = isFree
    ? integer
      ? terminals.integer
      : terminals.number
    : numberInRange({ integer, min, max, multipleOf }, { table, path });
  const taken = listOf(schema['notEnum']).filter((value) => typeof value === 'number');
  const broken = schema['notInteger'] === true;
  if (broken && integer) return table.never;
  if (taken.length === 0 && !broken) return all;
  // One spelling by which a value is known: without an exponent.
  const sign = table.repeat(table.text('-'), 0, 1);
  const plain = table.concat(sign, integer ? naturalNumber(table) : plainDecimal(table));
  const others = taken.map((value) => spellings(value, table));
  if (broken) others.push(table.sequence(sign, naturalNumber(table), noFraction(table)));
  return table.and([all, plain, table.not(table.or(others))]);
}

/** All ways to write a number without an exponent. */
function spellings(value: number, table: RegexTable): Regex {
  const text = plainText(Math.abs(value));
  const whole = !text.includes('.');
  const digits = table.text(text);
  const ending = whole ? noFraction(table) : table.repeat(table.text('0'), 0);
  const sign = value === 0 ? table.repeat(table.text('-'), 0, 1) : table.text(value < 0 ? '-' : '');
  return table.sequence(sign, digits, ending);
}

/** Nothing, or a point and zeros. */
function noFraction(table: RegexTable): Regex {
  const zeros = table.repeat(table.text('0'), 0);
  return table.repeat(table.concat(table.text('.'), zeros), 0, 1);
}

/** Without an exponent. */
function plainText(value: number): string {
  const [mantissa = '', exponent = '0'] = String(value).split('e');
  const [front = '', behind = ''] = mantissa.split('.');
  const shift = Number(exponent);
  const digits = front + behind;
  const point = front.length + shift;
  if (point <= 0) return `0.${'0'.repeat(-point)}${digits}`;
  return point >= digits.length
    ? digits.padEnd(point, '0')
    : `${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Whether a scalar's JSON text is one of the expression's. */
export function* matches(
  regex: Regex,
  text: string,
  { table, pace }: Pick<SchemaContext, 'table' | 'pace'>,
): Portioned<boolean> {
  let left = regex;
  for (const byte of new TextEncoder().encode(text)) {
    left = table.derive(left, byte);
    if (pace.due()) yield;
  }
  return left.nullable;
}

function boundOf(
  schema: Schema,
  names: { readonly path: string; readonly inclusive: string; readonly exclusive: string },
  reader: SchemaReader,
): NumberBound | null {
  const { path, inclusive, exclusive } = names;
  const value = reader.number(schema, { path, keyword: inclusive });
  const open = reader.number(schema, { path, keyword: exclusive });
  if (open === null) return value === null ? null : { value, exclusive: false };
  if (value === null) return { value: open, exclusive: true };
  // Both hold: the tighter one counts.
  const isTighter = exclusive === 'exclusiveMinimum' ? open >= value : open <= value;
  return isTighter ? { value: open, exclusive: true } : { value, exclusive: false };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
