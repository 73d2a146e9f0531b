// What fetches cost: a wait and so much for each block, from a few measurements.
import { expect, test } from 'vitest';
import { FetchCost } from '../../../server/engine/fetch-cost.ts';

function learned(...fetches: readonly (readonly [number, number])[]): FetchCost {
  const cost = new FetchCost();
  for (const [blockCount, elapsedMs] of fetches) cost.learn(blockCount, elapsedMs);
  return cost;
}

test('over a slow line many blocks take little longer than few', () => {
  const cost = learned([8, 43], [16, 44], [8, 42]);
  expect(cost.expectedMs(80)).toBeLessThan(70);
  expect(cost.expectedMs(8)).toBeCloseTo(42.5, 0);
});

test('from a slow disk each block takes its time', () => {
  const cost = learned([8, 80], [64, 640], [16, 160]);
  expect(cost.expectedMs(32)).toBeCloseTo(320, 0);
  expect(cost.expectedMs(1)).toBeCloseTo(10, 0);
});

test('one size says nothing of others: more blocks are hoped to take no longer, fewer their share', () => {
  const cost = learned([10, 100], [10, 100]);
  expect(cost.expectedMs(80)).toBeCloseTo(100, 6);
  expect(cost.expectedMs(5)).toBeCloseTo(50, 6);
});

test('it follows what changes, and never expects less than nothing', () => {
  const cost = learned([10, 1000], [20, 900]);
  expect(cost.expectedMs(200)).toBeGreaterThan(0);
  for (let count = 0; count < 20; count++) cost.learn(10 + 10 * (count % 2), 5);
  expect(cost.expectedMs(20)).toBeLessThan(10);
  const before = cost.expectedMs(20);
  cost.forgive(0.5);
  expect(cost.expectedMs(20)).toBeCloseTo(before / 2, 6);
  expect(learned([0.5, 3], [100, 1]).expectedMs(1000)).toBeGreaterThanOrEqual(0);
});

test('nothing is known before the first', () => {
  expect(new FetchCost().known).toBe(false);
  expect(learned([1, 1]).known).toBe(true);
});
