// Where a series settles.
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { steadyIndex } from '../../../../loadtest/statistics/steady.ts';

const noise = new Random(5);
const series = (of: (at: number) => number, count = 400) =>
  Array.from({ length: count }, (_, at) => of(at) + noise.next() * 10);

test('noise alone is steady from the beginning', () => {
  for (let round = 0; round < 20; round++) expect(steadyIndex(series(() => 100))).toBeLessThan(60);
});

test('a slow beginning is left out, and not much more', () => {
  const at = steadyIndex(series((index) => (index < 100 ? 400 - 3 * index : 100)))!;
  expect(at).toBeGreaterThanOrEqual(80);
  expect(at).toBeLessThan(140);
});

test('what grows to the end never settles, and a few values say nothing', () => {
  expect(steadyIndex(series((index) => index * index))).toBeNull();
  expect(steadyIndex([1, 2, 3])).toBeNull();
});
