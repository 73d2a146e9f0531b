// Characters by their Unicode properties (`\p{Lu}`, `\p{Script=Greek}`), as JavaScript's own regular expressions know them.
// Before it: pattern.ts; after it: code-points.ts.
import { type CodePoints, codePoints } from './code-points.ts';
import { atOnce, type Pace, type Portioned } from './pace.ts';

// Without surrogates, which are no characters.
const sameWidth = [
  [0, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, 0x10ffff],
] as const;
const runSize = 0x4000; // code points looked at together
const runSteps = 300; // what that counts for

/** Looks at every character: 20 ms or more at once. null: there is no such property. */
export function unicodeClass(name: string): CodePoints | null {
  return atOnce(unicodeClassInPortions(name, null));
}

export function* unicodeClassInPortions(name: string, pace: Pace | null): Portioned<CodePoints | null> {
  const pattern = runsOf(name);
  if (pattern === null) return null;
  const ranges: [number, number][] = [];
  for (const [first, last] of sameWidth) {
    for (let from = first; from <= last; from += runSize) {
      const count = Math.min(runSize, last + 1 - from);
      const text = textOf(from, count);
      const width = from > 0xffff ? 2 : 1; // UTF-16 units
      for (const { 0: run, index } of text.matchAll(pattern))
        ranges.push([from + index / width, from + (index + run.length) / width - 1]);
      if (pace?.due(runSteps)) yield;
    }
  }
  return codePoints(ranges);
}

/** `count` characters from one on, all of the same width. */
function textOf(from: number, count: number): string {
  if (from <= 0xffff) {
    const units = Uint16Array.from({ length: count }, (_, index) => from + index);
    return Buffer.from(units.buffer).toString('utf16le');
  }
  const units = new Uint16Array(2 * count);
  for (let index = 0; index < count; index++) {
    const offset = from + index - 0x10000;
    units[2 * index] = 0xd800 + (offset >> 10);
    units[2 * index + 1] = 0xdc00 + (offset & 0x3ff);
  }
  return Buffer.from(units.buffer).toString('utf16le');
}

function runsOf(name: string): RegExp | null {
  if (!/^[A-Za-z0-9_]+(?:=[A-Za-z0-9_]+)?$/.test(name)) return null;
  try {
    return new RegExp(`\\p{${name}}+`, 'gu');
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
