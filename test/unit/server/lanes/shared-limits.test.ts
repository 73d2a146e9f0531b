// Rates and budgets of several nodes: together they take what one may, without the store each what it may by itself. Gates and
// budgets of two nodes in virtual time, with one store between them.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import type { SharedCounts } from '../../../../server/cluster/shared-counts.ts';
import { Budget } from '../../../../server/lanes/budget.ts';
import { LaneGate } from '../../../../server/lanes/gate.ts';
import { MemoryCounts } from '../../../memory-counts.ts';
import { turn } from '../../../native-world.ts';

const SEATS = { concurrency: 100, queueLengthMax: 10, queueWaitMsMax: 600_000 };

function gateOf(clock: VirtualClock, counts: SharedCounts, rates: object = { requestsPerMinute: 12 }) {
  return new LaneGate({ ...SEATS, ...rates, shared: { lane: 'spark', count: counts.share } }, clock);
}

/** Time goes on, and what promises decide happens at its time. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  const untilMs = clock.nowMs() + ms;
  let reached = false;
  clock.schedule(ms, () => {
    reached = true;
  });
  while (!reached) {
    await turn();
    clock.step();
  }
  await turn();
  expect(clock.nowMs()).toBe(untilMs);
}

/** How many of a minute's requests, one a second to each, are let in at once. */
async function admitted(clock: VirtualClock, gates: readonly LaneGate[], owner = 'ada'): Promise<number> {
  let count = 0;
  for (let second = 0; second < 60; second++) {
    for (const gate of gates) {
      const ticket = gate.tryEnter({ owner, tokens: 1 });
      if (ticket !== null) count++;
      ticket?.leave(1);
    }
    await pass(clock, 1000);
  }
  return count;
}

test('two nodes let in together what one may: a minute’s worth, and what flows in meanwhile', async () => {
  const clock = new VirtualClock();
  const store = new MemoryCounts(clock);
  const nodes = ['a', 'b'].map((name) => gateOf(clock, store.countsOf(name)));
  const both = await admitted(clock, nodes);
  expect(both).toBeGreaterThanOrEqual(23); // 12 at once, 12 a minute
  expect(both).toBeLessThanOrEqual(25); // and what is taken within a fifth of a second
});

test('the rates of a key are shared by key', async () => {
  const clock = new VirtualClock();
  const store = new MemoryCounts(clock);
  const rates = { perKey: { requestsPerMinute: 6 } };
  const [a, b] = ['a', 'b'].map((name) => gateOf(clock, store.countsOf(name), rates));
  for (let index = 0; index < 6; index++) a!.tryEnter({ owner: 'ada', tokens: 1 })!.leave(1);
  b!.tryEnter({ owner: 'ada', tokens: 1 })!.leave(1); // it has not heard of it yet
  await pass(clock, 1000);
  expect(b!.tryEnter({ owner: 'ada', tokens: 1 })).toBeNull();
  expect(b!.tryEnter({ owner: 'bob', tokens: 1 })).not.toBeNull();
});

test('without the store each node has its own rate; once it is back, they share again', async () => {
  const clock = new VirtualClock();
  const store = new MemoryCounts(clock);
  const nodes = ['a', 'b'].map((name) => gateOf(clock, store.countsOf(name)));
  store.goes();
  expect(await admitted(clock, nodes)).toBeGreaterThan(40);
  store.comes({ empty: true });
  await pass(clock, 600_000);
  expect(await admitted(clock, nodes)).toBeLessThanOrEqual(25);
});

function budgetOf(clock: VirtualClock, counts: SharedCounts, startMs = 86_400_000) {
  return new Budget(10, () => startMs + clock.nowMs(), counts, ['ada']);
}

test('what a key has spent on one node is spent on all, also for one that starts later', async () => {
  const clock = new VirtualClock();
  const store = new MemoryCounts(clock);
  const a = budgetOf(clock, store.countsOf('a'));
  const b = budgetOf(clock, store.countsOf('b'));
  const reserved = a.reserve('ada', 6)!;
  await pass(clock, 500);
  expect(b.reserve('ada', 5)).toBeNull();
  reserved.settle(2);
  await pass(clock, 500);
  expect(b.spent('ada')).toBe(2);
  b.reserve('ada', 5)!.settle(5);
  await pass(clock, 500);
  expect(a.spent('ada')).toBe(7);
  const late = budgetOf(clock, store.countsOf('late'));
  await pass(clock, 500);
  expect(late.spent('ada')).toBe(7);
  expect(late.reserve('bob', 9)).not.toBeNull();
});

test('a store that comes back empty is told the day again; the next day begins with nothing', async () => {
  const clock = new VirtualClock();
  const store = new MemoryCounts(clock);
  const [a, b] = ['a', 'b'].map((name) => budgetOf(clock, store.countsOf(name)));
  a!.reserve('ada', 3)!.settle(3);
  await pass(clock, 500);
  store.goes();
  b!.reserve('ada', 4)!.settle(4);
  await pass(clock, 1000);
  expect([a!.spent('ada'), b!.spent('ada')]).toEqual([3, 7]);
  store.comes({ empty: true });
  await pass(clock, 1000);
  expect([a!.spent('ada'), b!.spent('ada')]).toEqual([7, 7]);
  await pass(clock, 86_400_000);
  expect([a!.spent('ada'), b!.spent('ada')]).toEqual([0, 0]);
  a!.reserve('ada', 1)!.settle(1);
  await pass(clock, 500);
  expect(b!.reserve('ada', 9.5)).not.toBeNull(); // it counts again with the first request of its day
  await pass(clock, 500);
  expect(b!.spent('ada')).toBe(10.5);
});
