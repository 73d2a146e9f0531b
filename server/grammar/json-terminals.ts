// The words of JSON as byte expressions, and our policy where JSON leaves a choice. White space: one space, or one line
// break with an indent, after `{ [ , :` and before `} ]` only, so that a small model cannot drift off into blanks.
// Numbers: at most 21 digits before the point and 25 behind it, so that every one is finite. After it: json-schema.ts.
import type { Regex, RegexTable } from './byte-regex.ts';
import { allCodePoints, oneOf } from './code-points.ts';
import type { Pace, Portioned } from './pace.ts';

export const integerDigitsMax = 21; // what JavaScript prints without an exponent
export const fractionDigitsMax = 25; // 1e-6 with 17 significant digits has 23
const indentSpacesMax = 24; // twelve levels of two
const indentTabsMax = 12;

export interface JsonTerminals {
  readonly space: Regex; // perhaps nothing
  readonly quote: Regex;
  readonly character: Regex; // of a string, in any spelling; whole surrogate pairs only
  readonly strictCharacter: Regex; // in one spelling only: raw, or the short escape where JSON wants one
  readonly string: Regex;
  readonly integer: Regex;
  readonly number: Regex;
  readonly boolean: Regex;
  readonly null: Regex;
}

export function jsonTerminals(table: RegexTable): JsonTerminals {
  const indent = table.or([
    table.repeat(table.text(' '), 0, indentSpacesMax),
    table.repeat(table.text('\t'), 0, indentTabsMax),
  ]);
  const lineBreak = table.sequence(table.repeat(table.text('\r'), 0, 1), table.text('\n'), indent);
  const quote = table.text('"');
  const strictCharacter = oneOf(allCodePoints, { table, form: 'json' });
  const character = table.or([strictCharacter, otherSpellings(table)]);
  const sign = table.repeat(table.text('-'), 0, 1);
  return {
    space: table.or([table.empty, table.text(' '), lineBreak]),
    quote,
    character,
    strictCharacter,
    string: table.sequence(quote, table.repeat(character, 0), quote),
    integer: table.concat(sign, naturalNumber(table)),
    number: table.concat(sign, table.or([plainDecimal(table), scientific(table)])),
    boolean: table.or([table.text('true'), table.text('false')]),
    null: table.text('null'),
  };
}

export function digit(table: RegexTable): Regex {
  return table.range(0x30, 0x39);
}

/** Up to integerDigitsMax digits, no leading zero. */
export function naturalNumber(table: RegexTable): Regex {
  const many = table.concat(table.range(0x31, 0x39), table.repeat(digit(table), 0, integerDigitsMax - 1));
  return table.or([table.text('0'), many]);
}

export function plainDecimal(table: RegexTable): Regex {
  return table.concat(naturalNumber(table), anyFraction(table));
}

/** Perhaps a point and digits. */
export function anyFraction(table: RegexTable): Regex {
  const fraction = table.concat(table.text('.'), table.repeat(digit(table), 1, fractionDigitsMax));
  return table.repeat(fraction, 0, 1);
}

/** One digit before the point and an exponent of at most 299 either way. */
function scientific(table: RegexTable): Regex {
  const exponent = table.or([
    table.repeat(digit(table), 1, 2),
    table.concat(table.range(0x30, 0x32), table.repeat(digit(table), 2, 2)),
  ]);
  const letter = table.or([table.text('e'), table.text('E')]);
  const sign = table.repeat(table.or([table.text('+'), table.text('-')]), 0, 1);
  return table.sequence(digit(table), anyFraction(table), letter, sign, exponent);
}

/** `\/`, and \uXXXX of everything, as other programs write it. */
function otherSpellings(table: RegexTable): Regex {
  const hex = table.or([digit(table), table.range(0x41, 0x46), table.range(0x61, 0x66)]);
  const oneHex = (digits: string): Regex => table.or(Array.from(digits, (d) => table.text(d)));
  const d = oneHex('dD');
  const unit = table.or([
    table.sequence(oneHex('0123456789abcABCefEF'), table.repeat(hex, 3, 3)),
    table.sequence(d, oneHex('01234567'), table.repeat(hex, 2, 2)),
  ]);
  const high = table.sequence(d, oneHex('89abAB'), table.repeat(hex, 2, 2));
  const low = table.sequence(d, oneHex('cdefCDEF'), table.repeat(hex, 2, 2));
  return table.or([
    table.text('\\/'),
    table.concat(table.text('\\u'), table.or([unit, table.sequence(high, table.text('\\u'), low)])),
  ]);
}

export interface TextContext {
  readonly table: RegexTable;
  readonly pace: Pace;
}

/** One of many texts, sharing their beginnings, so that a long list costs what it is long. */
export function* oneOfTexts(texts: readonly string[], context: TextContext): Portioned<Regex> {
  const encoder = new TextEncoder();
  const all: Uint8Array[] = [];
  for (const text of new Set(texts)) {
    all.push(encoder.encode(text));
    if (context.pace.due()) yield;
  }
  return yield* sharedPrefixes(all, 0, context);
}

/** `texts` are distinct and equal in their first `from` bytes. */
function* sharedPrefixes(
  texts: readonly Uint8Array[],
  from: number,
  { table, pace }: TextContext,
): Portioned<Regex> {
  if (texts.length === 0) return table.never;
  const first = texts[0]!;
  let shared = first.length;
  for (const text of texts) {
    let length = from;
    while (length < shared && first[length] === text[length]) length++;
    shared = length;
    if (pace.due()) yield;
  }
  const prefix = first.subarray(from, shared);
  if (texts.length === 1) return yield* literal(prefix, table.empty, { table, pace });
  const branches: Regex[] = [];
  const byByte = Array.from({ length: 256 }, (): Uint8Array[] => []);
  for (const text of texts) {
    if (text.length === shared) branches.push(table.empty);
    else byByte[text[shared]!]!.push(text);
    if (pace.due()) yield;
  }
  for (const group of byByte) {
    if (group.length > 0) branches.push(yield* sharedPrefixes(group, shared, { table, pace }));
  }
  return yield* literal(prefix, table.or(branches), { table, pace });
}

const literalStep = 1_024; // bytes

/** The bytes, then the rest. */
function* literal(bytes: Uint8Array, rest: Regex, { table, pace }: TextContext): Portioned<Regex> {
  let regex = rest;
  for (let end = bytes.length; end > 0; end -= literalStep) {
    regex = table.literal(bytes.subarray(Math.max(0, end - literalStep), end), regex);
    if (pace.due()) yield;
  }
  return regex;
}

/** A text that may be long, then the rest. */
export function textThen(text: string, rest: Regex, context: TextContext): Portioned<Regex> {
  return literal(new TextEncoder().encode(text), rest, context);
}
