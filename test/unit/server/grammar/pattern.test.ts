import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Automaton } from '../../../../server/grammar/automaton.ts';
import { grammarBounds as bounds } from '../../../../server/grammar/bounds.ts';
import { type Regex, RegexTable } from '../../../../server/grammar/byte-regex.ts';
import { codePoints, oneOf } from '../../../../server/grammar/code-points.ts';
import { GrammarError } from '../../../../server/grammar/grammar-error.ts';
import { oneOfTexts } from '../../../../server/grammar/json-terminals.ts';
import { numberInRange } from '../../../../server/grammar/number-range.ts';
import { atOnce, Pace } from '../../../../server/grammar/pace.ts';
import { compilePattern } from '../../../../server/grammar/pattern.ts';

const table = new RegexTable();

function matches(regex: Regex, text: string | Uint8Array): boolean {
  const automaton = new Automaton(0, regex, table);
  for (const _ of automaton.close('test', bounds.grammarStatesMax));
  let state: ReturnType<Automaton['step']> = automaton.start;
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  for (const byte of bytes) state = state && automaton.step(state, byte);
  return state?.accepts ?? false;
}

describe('patterns', () => {
  const sources = [
    'a',
    '^a',
    'a$',
    '^(?:ab|c)*$',
    '^[^b-d]+$',
    '\\d{2,3}',
    '^.$',
    '^\\s\\S\\w\\W$',
    '(^a|b$)',
    '^a{2}b?c+',
    '[a\\-\\]é]',
    '^(?<x>a|)b',
    '^\\u0061\\x62$',
    'a|^$',
    '^🙂?$',
    '[🙂-🙄]',
    '^[\\d-]+$',
  ];
  const texts = fc.string({
    unit: fc.constantFrom('a', 'b', 'c', 'd', '1', '-', ' ', '\n', 'é', '🙂', ']', '_'),
    maxLength: 6,
  });

  test.each(sources)('%s matches what JavaScript matches', (source) => {
    const regex = compilePattern(source, { table, form: 'utf8', path: '', search: true, bounds });
    const known = new RegExp(source, 'u');
    fc.assert(
      fc.property(texts, (text) => matches(regex, text) === known.test(text)),
      { numRuns: 200 },
    );
  });

  test('inside a JSON string the same texts match, written as JSON writes them', () => {
    const regex = compilePattern('^["\\\\\\n\\u0001a]*$', {
      table,
      form: 'json',
      path: '',
      search: true,
      bounds,
    });
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('"', '\\', '\n', '\u0001', 'a', 'b') }), (text) => {
        return matches(regex, JSON.stringify(text).slice(1, -1)) === !text.includes('b');
      }),
    );
  });

  test.each([
    ['(?=a)', 'unsupported'],
    ['(?<!a)b', 'unsupported'],
    ['(a)\\1', 'unsupported'],
    ['\\bword', 'unsupported'],
    ['\\p{Nope}', 'invalid'],
    ['a^b', 'unsupported'],
    ['a$b', 'unsupported'],
    ['(a', 'invalid'],
    ['a)', 'invalid'],
    ['[z-a]', 'invalid'],
    ['a{3,2}', 'invalid'],
    ['*', 'invalid'],
    ['a\\', 'invalid'],
    ['a{1000000}', 'too-large'],
    ['('.repeat(100) + ')'.repeat(100), 'too-large'],
    ['a'.repeat(bounds.patternSizeMax + 1), 'too-large'],
  ])('%s is %s', (source, code) => {
    const compile = () =>
      compilePattern(source, { table, form: 'utf8', path: '#/pattern', search: true, bounds });
    expect(compile).toThrow(GrammarError);
    expect(compile).toThrow(expect.objectContaining({ code, path: '#/pattern' }));
  });
});

test('only whole characters of a set match, whatever the set', () => {
  const ranges = fc.array(fc.tuple(fc.nat(0x10ffff), fc.nat(0x3000)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(ranges, fc.nat(0x10ffff), (pairs, probe) => {
      const set = codePoints(pairs.map(([low, length]) => [low, Math.min(low + length, 0x10ffff)] as const));
      const regex = oneOf(set, { table, form: 'utf8' });
      const edges = [...set.flat(), ...set.flat().map((point) => point + 1), probe].filter(
        (point) => point <= 0x10ffff && (point < 0xd800 || point > 0xdfff),
      );
      return edges.every(
        (point) =>
          matches(regex, String.fromCodePoint(point)) ===
          set.some(([low, high]) => low <= point && point <= high),
      );
    }),
    { numRuns: 60 },
  );
  const any = oneOf(codePoints([[0, 0x10ffff]]), { table, form: 'utf8' });
  for (const bytes of [[0x80], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
    expect(matches(any, Uint8Array.from(bytes))).toBe(false);
  }
});

test('a list of texts matches these and no others', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'é') }), { minLength: 1 }),
      fc.string({ unit: fc.constantFrom('a', 'b', 'é') }),
      (texts, other) => {
        const regex = atOnce(oneOfTexts(texts, { table, pace: new Pace(table) }));
        return texts.every((text) => matches(regex, text)) && matches(regex, other) === texts.includes(other);
      },
    ),
    { numRuns: 100 },
  );
});

test('numbers within bounds match exactly where their value lies within', () => {
  const decimal = fc
    .tuple(fc.integer({ min: -20_000, max: 20_000 }), fc.constantFrom(0, 1, 2))
    .map(([n, places]) => n / 10 ** places);
  const edge = fc.option(fc.record({ value: decimal, exclusive: fc.boolean() }), { nil: null });
  fc.assert(
    fc.property(
      edge,
      edge,
      fc.boolean(),
      fc.array(decimal, { minLength: 5, maxLength: 20 }),
      (min, max, integer, samples) => {
        const regex = numberInRange({ integer, min, max, multipleOf: null }, { table, path: '' });
        const probes = [...samples, min?.value ?? 0, max?.value ?? 0].map((value) =>
          Object.is(value, -0) ? 0 : value,
        );
        return probes.every((value) => {
          const isAbove = min === null || value > min.value || (value === min.value && !min.exclusive);
          const isBelow = max === null || value < max.value || (value === max.value && !max.exclusive);
          const fits = isAbove && isBelow && (!integer || Number.isInteger(value));
          return matches(regex, String(value)) === fits;
        });
      },
    ),
    { numRuns: 150 },
  );
});

test('multiples match where the remainder is nothing', () => {
  const regex = numberInRange(
    { integer: false, min: null, max: null, multipleOf: 0.25 },
    { table, path: '' },
  );
  for (const text of ['0', '-3', '1.5', '2.250', '10.75'])
    expect(matches(regex, text)).toBe(text !== '2.250');
  for (const text of ['0.1', '2.26', '-1.3']) expect(matches(regex, text)).toBe(false);
});
