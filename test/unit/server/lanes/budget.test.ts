import { expect, test } from 'vitest';
import { Budget } from '../../../../server/lanes/budget.ts';

const DAY_MS = 86_400_000;

function rig(limit: number | null) {
  const now = { ms: 10 * DAY_MS };
  return { now, budget: new Budget(limit, () => now.ms) };
}

test('a reservation becomes what it did cost, once', () => {
  const { budget } = rig(10);
  const first = budget.reserve('a', 6)!;
  expect(budget.reserve('a', 5)).toBe(null);
  expect(budget.reserve('b', 5)).not.toBe(null); // each key has its own
  first.settle(1);
  first.settle(9);
  expect(budget.spent('a')).toBe(1);
  expect(budget.reserve('a', 9)).not.toBe(null);
});

test('what was reserved yesterday is settled yesterday: it takes nothing from today and gives it nothing', () => {
  for (const cost of [0, 2, 9]) {
    const { now, budget } = rig(10);
    const before = budget.reserve('a', 5)!;
    now.ms += DAY_MS - 1;
    expect(budget.spent('a')).toBe(5);
    now.ms += 1; // midnight, UTC
    expect(budget.spent('a')).toBe(0);
    const today = budget.reserve('a', 3)!;
    before.settle(cost);
    expect([cost, budget.spent('a')]).toEqual([cost, 3]);
    today.settle(2);
    expect(budget.spent('a')).toBe(2);
  }
});

test('says how long it is until the next day', () => {
  const { now, budget } = rig(null);
  now.ms += 3_600_000;
  expect(budget.renewsMs).toBe(23 * 3_600_000);
});
