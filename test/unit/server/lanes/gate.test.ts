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
