// Nobody starves: a sequence's urgency is bounded when it comes (its time, what its class waits, what its length waits),
// and newcomers' grows with time. So whoever comes later than that never sits down before it, whatever the load, and its
// wait is bounded by the work that came before that time.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type BackendLimits, greedySampling, type SamplingParams } from '../../kernels/backend.ts';
import { VirtualClock } from '../../kernels/clock.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import { Engine } from '../../server/engine/engine.ts';
import type { Priority } from '../../server/engine/request.ts';
import { quietObserver } from '../sim/observer.ts';

const limits: BackendLimits = {
  replicaCount: 1,
  slotCount: 2,
  slotTokensMax: 128,
  blockSize: 4,
  blockCount: 64,
  rowTokensMax: 16,
  stepTokensMax: 64,
  sampleCountMax: 1,
  logprobsMax: 0,
  vocabSize: 32,
};

const classDelayMs = { turn: 0, side: 40, background: 300 } as const;
const overtakeMsPerToken = 2; // no prompt's token costs more below: a step of one takes 1.5 ms
const bounds = {
  prefillChunkTokens: 16,
  prefillTokensPerStep: 16,
  overtakeMsPerToken,
  classDelayMs,
  queueLengthMax: 1000,
  retryAfterMs: 1,
};

const sampling: SamplingParams = { ...greedySampling, seed: 1 };

interface Arrival {
  readonly atMs: number;
  readonly length: number;
  readonly maxTokens: number;
  readonly priority: Priority;
  readonly paused: boolean; // its reader stops reading soon, and for long
}

interface Seen {
  readonly arrival: Arrival;
  seatedMs: number; // −1 until it has ended
}

const arrival: fc.Arbitrary<Arrival> = fc.record({
  atMs: fc.integer({ min: 0, max: 1500 }),
  length: fc.integer({ min: 1, max: 100 }),
  maxTokens: fc.integer({ min: 0, max: 20 }),
  priority: fc.constantFrom<Priority>('turn', 'turn', 'turn', 'side', 'background'),
  paused: fc.boolean(),
});

function run(arrivals: readonly Arrival[]): Seen[] {
  const clock = new VirtualClock();
  const costModel = linearCostModel({ stepMs: 1, rowMs: 0.2, tokenMs: 0.1, blockMs: 0.01 });
  const backend = new SimBackend('sim', { limits, clock, costModel, faults: null });
  const engine = new Engine(backend, clock, bounds, quietObserver());
  const seen: Seen[] = [];
  for (const [index, one] of arrivals.entries()) {
    clock.schedule(one.atMs, () => {
      const entry: Seen = { arrival: one, seatedMs: -1 };
      seen.push(entry);
      const { length, maxTokens, priority } = one;
      const tokens = Int32Array.from({ length }, (_, at) => (at * 7 + index * 13) % 32);
      const more = { constraint: null, ignoreStopTokens: true, speculation: null, deadlineMs: null };
      const request = { tokens, maxTokens, sampling, priority, cacheSalt: '', ...more };
      const submitted = engine.submit(request, {
        onTokens() {},
        onEnd: ({ usage }) => {
          entry.seatedMs = one.atMs + usage.queueMs;
        },
      });
      if (!submitted.ok || !one.paused) return;
      clock.schedule(5, () => engine.pause(submitted.sequenceId));
      clock.schedule(20_000, () => engine.resume(submitted.sequenceId));
    });
  }
  while (clock.step()) engine.check();
  return seen;
}

const latestMs = ({ atMs, priority, length }: Arrival) =>
  atMs + classDelayMs[priority] + length * overtakeMsPerToken;

test('whoever comes after a sequence’s time never sits down before it, however many come', () => {
  fc.assert(
    fc.property(fc.array(arrival, { minLength: 2, maxLength: 120 }), (arrivals) => {
      const readers = run(arrivals).filter(({ arrival: { paused } }) => !paused);
      for (const first of readers) {
        expect(first.seatedMs).toBeGreaterThanOrEqual(0);
        for (const later of readers) {
          if (later.arrival.atMs <= latestMs(first.arrival)) continue;
          expect(later.seatedMs).toBeGreaterThanOrEqual(first.seatedMs);
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('the wait is bounded by the work that came before, also when every seat is held by a reader that stopped', () => {
  fc.assert(
    fc.property(fc.array(arrival, { minLength: 2, maxLength: 60 }), (arrivals) => {
      // Each step has a fixed price and computes at least one token of somebody who is not paused; what preemption
      // computes twice is at most as much again.
      const stepMs = 1 + 2 * 0.2 + 18 * 0.1 + 64 * 0.01;
      for (const { arrival: one, seatedMs } of run(arrivals)) {
        if (one.paused) continue;
        const rivals = arrivals.filter(({ atMs }) => atMs <= latestMs(one));
        const steps = rivals.reduce((sum, rival) => sum + rival.length / 16 + 2 + rival.maxTokens, 0);
        expect(seatedMs - one.atMs).toBeLessThanOrEqual(latestMs(one) - one.atMs + 2 * steps * stepMs);
      }
    }),
    { numRuns: 40 },
  );
});
