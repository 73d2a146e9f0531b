// Sets of characters and how they are written: as UTF-8, or as UTF-8 inside a JSON string, where some need a
// backslash. Only whole characters come out of here, which is why no constraint can produce invalid UTF-8.
// After it: pattern.ts, json-terminals.ts and lark.ts.
import type { Regex, RegexTable } from './byte-regex.ts';

/** Sorted, disjoint, inclusive ranges of Unicode scalar values. */
export type CodePoints = readonly (readonly [low: number, high: number])[];

/**
 * How characters become bytes. 'json' writes them as in a JSON string, each in one way only: raw where that is
 * allowed, else the short escape, else \u00xx.
 */
export type TextForm = 'utf8' | 'json';

export const allCodePoints: CodePoints = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Any order, overlaps allowed; surrogates are dropped. */
export function codePoints(ranges: Iterable<readonly [number, number]>): CodePoints {
  const merged: [number, number][] = [];
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else merged.push([low, high]);
  }
  return intersect(merged, allCodePoints);
}

export function complement(set: CodePoints): CodePoints {
  const gaps: [number, number][] = [];
  let from = 0;
  for (const [low, high] of set) {
    if (low > from) gaps.push([from, low - 1]);
    from = high + 1;
  }
  if (from <= 0x10ffff) gaps.push([from, 0x10ffff]);
  return intersect(gaps, allCodePoints);
}

function intersect(a: CodePoints, b: CodePoints): CodePoints {
  const both: [number, number][] = [];
  for (const [low, high] of a) {
    for (const [otherLow, otherHigh] of b) {
      if (Math.max(low, otherLow) <= Math.min(high, otherHigh)) {
        both.push([Math.max(low, otherLow), Math.min(high, otherHigh)]);
      }
    }
  }
  return both;
}

/** ASCII letters of the set in both cases. */
export function foldCase(set: CodePoints): CodePoints {
  const ranges: [number, number][] = set.map(([low, high]) => [low, high]);
  for (const [low, high] of intersect(set, [[0x41, 0x5a]])) ranges.push([low + 32, high + 32]);
  for (const [low, high] of intersect(set, [[0x61, 0x7a]])) ranges.push([low - 32, high - 32]);
  return codePoints(ranges);
}

/** One character of the set. */
export function oneOf(set: CodePoints, { table, form }: { table: RegexTable; form: TextForm }): Regex {
  if (form === 'utf8') return table.or(set.flatMap((range) => utf8Range(range, table)));
  const raw = intersect(set, rawInJson).flatMap((range) => utf8Range(range, table));
  const escaped = intersect(set, escapedInJson).flatMap(([low, high]) =>
    Array.from({ length: high - low + 1 }, (_, i) => jsonEscape(low + i, table)),
  );
  return table.or([...raw, ...escaped]);
}

/** Exactly this text. */
export function exactly(text: string, { table, form }: { table: RegexTable; form: TextForm }): Regex {
  return table.text(form === 'utf8' ? text : JSON.stringify(text).slice(1, -1));
}

const rawInJson: CodePoints = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0x10ffff],
];
const escapedInJson: CodePoints = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
];

function jsonEscape(codePoint: number, table: RegexTable): Regex {
  return table.text(JSON.stringify(String.fromCodePoint(codePoint)).slice(1, -1));
}

const encoder = new TextEncoder();
const lastOfLength = [0x7f, 0x7ff, 0xffff, 0x10ffff]; // largest code point of 1, 2, 3, 4 bytes

/** A range as sequences of byte ranges: cut where the length changes and where a byte would not run to its end. */
function utf8Range([low, high]: readonly [number, number], table: RegexTable): Regex[] {
  if (high <= lastOfLength[0]!) return [table.range(low, high)]; // most of what patterns are made of
  for (const last of lastOfLength) {
    if (low <= last && last < high)
      return [...utf8Range([low, last], table), ...utf8Range([last + 1, high], table)];
  }
  for (let bits = 6; bits <= 18 && low > 0x7f; bits += 6) {
    const mask = (1 << bits) - 1;
    if (low >>> bits === high >>> bits) continue;
    if ((low & mask) !== 0)
      return [...utf8Range([low, low | mask], table), ...utf8Range([(low | mask) + 1, high], table)];
    if ((high & mask) !== mask) {
      return [...utf8Range([low, (high & ~mask) - 1], table), ...utf8Range([high & ~mask, high], table)];
    }
  }
  const first = encoder.encode(String.fromCodePoint(low));
  const last = encoder.encode(String.fromCodePoint(high));
  return [table.sequence(...Array.from(first, (byte, i) => table.range(byte, last[i]!)))];
}
