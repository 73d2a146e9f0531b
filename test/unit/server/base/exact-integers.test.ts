// Seeds beyond 2⁵³ as they were written, and nothing else of a body changed.
import { expect, test } from 'vitest';
import { parseJson } from '../../../../server/base/json-body.ts';
import { foldSeed } from '../../../../server/generation/seed.ts';

function parse(text: string): unknown {
  const parsed = parseJson(new TextEncoder().encode(text), 1000);
  return parsed.ok ? parsed.value : parsed.fault;
}

test('a seed that a double cannot hold comes exactly, at the top and in options', () => {
  expect(parse('{"seed":9007199254740993}')).toEqual({ seed: 9007199254740993n });
  expect(parse('{"a":[1,{"seed":3}], "seed" : -9223372036854775808 }')).toEqual({
    a: [1, { seed: 3 }],
    seed: -9223372036854775808n,
  });
  expect(parse('{"options":{"seed":9223372036854775807}}')).toEqual({
    options: { seed: 9223372036854775807n },
  });
  expect(parse('{"seed":1,"seed":9007199254740993}')).toEqual({ seed: 9007199254740993n });
});

test('what is no such seed stays as JSON has it', () => {
  for (const text of [
    '{"seed":42,"id":9007199254740993}',
    '{"prompt":"\\"seed\\": 9007199254740993","seed":9007199254740992}',
    '{"tool":{"seed":9007199254740993},"seed":1e18}',
    '{"seed":9007199254740993.5}',
    '[{"seed":9007199254740993}]',
    '"seed"',
    'null',
  ]) {
    const value = parse(text) as { seed?: unknown };
    if (text.startsWith('{"prompt"')) expect(value.seed).toBe(9007199254740992n);
    else expect(value).toEqual(JSON.parse(text));
  }
});

test('of seeds that differ none draw alike: what a number can hold is itself', () => {
  for (const seed of [0, -1, 2 ** 53 - 1, -(2 ** 53) + 1]) expect(foldSeed(seed)).toBe(seed);
  expect(foldSeed(12n)).toBe(12);
  const large = Array.from({ length: 1000 }, (_, index) => 2n ** 53n + BigInt(index));
  const folded = [...large, ...large.map((seed) => -seed), 2n ** 63n - 1n, -(2n ** 63n)].map(foldSeed);
  expect(new Set(folded).size).toBe(folded.length);
  expect(folded.every((seed) => Number.isSafeInteger(seed))).toBe(true);
});
