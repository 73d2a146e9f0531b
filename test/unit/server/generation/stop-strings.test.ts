import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopStrings } from '../../../../server/generation/stop-strings.ts';

function run(strings: readonly string[], pieces: readonly string[]) {
  const stops = new StopStrings(strings);
  const shown: string[] = [];
  for (const piece of pieces) {
    shown.push(stops.push(piece));
    if (stops.matched !== null) return { shown, matched: stops.matched };
  }
  shown.push(stops.flush());
  return { shown, matched: null };
}

test('text that cannot begin a stop string is shown at once', () => {
  expect(run(['END'], ['abc', 'def']).shown).toEqual(['abc', 'def', '']);
});

test('a stop string inside one piece cuts the piece', () => {
  expect(run(['\n\n'], ['a\nb\n\nc'])).toEqual({ shown: ['a\nb'], matched: '\n\n' });
});

test('a stop string that begins inside a piece and ends inside another is found, and nothing of it is shown', () => {
  expect(run(['<END>'], ['x<E', 'N', 'D>y'])).toEqual({ shown: ['x', '', ''], matched: '<END>' });
});

test('a false start is shown as soon as it is known to be one', () => {
  expect(run(['<END>'], ['x<E', 'N', 'TER>']).shown).toEqual(['x', '', '<ENTER>', '']);
  expect(run(['aab'], ['a', 'a', 'a', 'a', 'c']).shown).toEqual(['', '', 'a', 'a', 'aac', '']);
});

test('what is still held at the end is shown by flush', () => {
  expect(run(['<END>'], ['x<EN'])).toEqual({ shown: ['x', '<EN'], matched: null });
});

test('the string that completes first wins, of two that complete together the longer', () => {
  expect(run(['cde', 'ab'], ['abcde']).matched).toBe('ab');
  expect(run(['bcd', 'abcdef', 'c'], ['abcdef'])).toEqual({ shown: ['ab'], matched: 'c' });
  expect(run(['c', 'bc', 'abc'], ['xabcd'])).toEqual({ shown: ['x'], matched: 'abc' });
});

test('the result depends on the text only, not on how it was cut', () => {
  const alphabet = fc.constantFrom('a', 'b', 'c', '😀');
  const text = fc.string({ unit: alphabet, maxLength: 40 });
  const strings = fc.array(fc.string({ unit: alphabet, minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(text, strings, fc.array(fc.nat(7), { maxLength: 40 }), (whole, stops, sizes) => {
      const pieces: string[] = [];
      const units = [...whole]; // by character: a detokenizer never cuts one
      for (const size of sizes) pieces.push(units.splice(0, size).join(''));
      pieces.push(units.join(''));
      const inPieces = run(stops, pieces);
      const byUnit = run(stops, [...whole]);
      expect(inPieces.matched).toBe(byUnit.matched);
      expect(inPieces.shown.join('')).toBe(byUnit.shown.join(''));
      const expected = firstStop(whole, stops);
      expect(byUnit.matched).toBe(expected?.string ?? null);
      expect(byUnit.shown.join('')).toBe(expected === null ? whole : whole.slice(0, expected.start));
    }),
  );
});

/** The obvious search: try every end in order, the longest string first. */
function firstStop(text: string, strings: readonly string[]): { string: string; start: number } | null {
  const longestFirst = [...strings].sort((a, b) => b.length - a.length);
  for (let end = 1; end <= text.length; end++) {
    const string = longestFirst.find((candidate) => text.slice(0, end).endsWith(candidate));
    if (string !== undefined) return { string, start: end - string.length };
  }
  return null;
}
