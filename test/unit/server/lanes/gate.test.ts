// The gate's timers: waiting costs no work.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { LaneGate, type Waiter } from '../../../../server/lanes/gate.ts';

test('a small request behind a large one that the rate holds up waits without waking anybody, and is told how long', () => {
  const clock = new VirtualClock();
  const limits = { concurrency: 2, queueLengthMax: 4, queueWaitMsMax: 60_000, tokensPerMinute: 600 };
  const gate = new LaneGate(limits, clock);
  const entered: [string, number][] = [];
  const told: Record<string, number> = {};
  const waiter = (owner: string): Waiter => ({
    onTicket: (ticket) => {
      entered.push([owner, clock.nowMs()]);
      ticket.leave(0);
    },
    onTooLong: () => entered.push([`${owner} too long`, clock.nowMs()]),
    onPlace: ({ estimatedWaitMs }) => {
      told[owner] ??= estimatedWaitMs;
    },
  });
  gate.tryEnter({ owner: 'first', tokens: 500 }); // 100 are left, 10 more each second
  gate.wait({ owner: 'large', tokens: 300 }, waiter('large'));
  gate.wait({ owner: 'small', tokens: 1 }, waiter('small')); // would fit, and must not go past
  expect(told).toEqual({ large: 20_000, small: 20_100 }); // were the large one to keep what it asked for
  const events = clock.run(19_000);
  expect(entered).toEqual([]);
  expect(events).toBeLessThan(30); // a place told each second, and a few pumps
  clock.run(60_000);
  expect(entered).toEqual([
    ['large', 20_000],
    ['small', 20_000],
  ]);
});

test('whoever comes while a seat has just come free does not go past those who wait', () => {
  const clock = new VirtualClock();
  const gate = new LaneGate({ concurrency: 1, queueLengthMax: 4, queueWaitMsMax: 60_000 }, clock);
  const entered: string[] = [];
  const waiter = (name: string): Waiter => ({
    onTicket: () => void entered.push(name),
    onTooLong: () => void entered.push(`${name} too long`),
    onPlace() {},
  });
  const seated = gate.tryEnter({ owner: 'a', tokens: 1 })!;
  gate.wait({ owner: 'b', tokens: 1 }, waiter('b'));
  clock.run(10);
  seated.leave(1); // its seat is given away at the end of this turn
  expect(gate.tryEnter({ owner: 'c', tokens: 1 })).toBe(null);
  clock.run(20);
  expect(entered).toEqual(['b']);
  expect(gate.report).toEqual({ running: 1, waiting: 0 });
});
