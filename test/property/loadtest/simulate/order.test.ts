// What a simulation may not depend on: the order of tables, of devices, of requests that come together, and the ids
// that stand for content. And what it must: more load is never faster.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { planSimDevice, type SimDevice } from '../../../../kernels/sim/device.ts';
import { figuresOf } from '../../../../loadtest/simulate/compare.ts';
import { oneTurn, poissonLoad, type SimLoad } from '../../../../loadtest/simulate/load.ts';
import { simulate } from '../../../../loadtest/simulate/simulation.ts';
import { summarise } from '../../../../loadtest/simulate/summary.ts';

const shape = namedShape('llama-3.1-8b');
const slo = { ttftMsMax: 1000, tpotMsMax: 50 };
const prices = { usdPerChipHour: new Map([['h100', 2]]), usdPerKWh: 0.1 };
const devices: readonly SimDevice[] = [
  planSimDevice({ device: 'h100', shape, precision: 'fp8', sequencesMax: 24 }),
  planSimDevice({ device: 'wse3', shape, precision: 'fp16', sequencesMax: 24 }),
  planSimDevice({ device: 'wse3', shape, precision: 'fp16', kvStoreBytes: 2e10, contextTokensMax: 60_000 }),
];
const anyDevice = fc.constantFrom(...devices);
const anySeed = fc.integer({ min: 1, max: 1 << 30 });

function bytesOf(device: SimDevice, load: SimLoad): string {
  const result = simulate({
    ...{ device, load, slo, hostMs: 0, warmupRequests: 0, queueLengthMax: 10_000 },
    countedRequests: Number.POSITIVE_INFINITY,
  });
  const floor = result.pace?.floor;
  floor?.check(); // KV conserved
  if (floor) expect(floor.fullestRowShare).toBeLessThanOrEqual(1); // no core's SRAM over its size
  const { samples } = result.tally;
  return JSON.stringify([
    summarise(result, { device, load: load.label, prices }),
    samples,
    floor?.use ?? null,
  ]);
}

/** Crowds of equal requests that come together; half of each prompt is one of few beginnings. */
function crowds(
  seed: number,
  idOf: (content: number) => number,
  order: (ids: number[]) => number[],
): SimLoad {
  return {
    label: 'crowds',
    notes: [],
    *clients() {
      const random = new Random(seed);
      let content = 8;
      for (let crowd = 0; crowd < 12; crowd++) {
        const atMs = crowd * random.integer(1, 40);
        const shared = idOf(random.integer(0, 7));
        const tokens = random.integer(16, 2000);
        const outputTokens = random.integer(1, 24);
        const own = Array.from({ length: random.integer(1, 12) }, () => idOf(content++));
        for (const id of order(own)) {
          yield {
            atMs: 440 * crowd + (atMs % 440),
            turns: oneTurn([shared, tokens, id, tokens], outputTokens),
          };
        }
      }
    },
  };
}

const almost = 1 - 1e-7; // of floating point: at 0.01/s the clock stands at 10⁷ ms, where a sum of steps has 10 digits left

const same = (content: number): number => content;
const inOrder = (ids: number[]): number[] => ids;

test('the ids that stand for content decide nothing: another hash order gives the same bytes', () => {
  fc.assert(
    fc.property(anyDevice, anySeed, fc.integer({ min: 0, max: 2 ** 20 }), (device, seed, mask) => {
      const renamed = (content: number): number => (Math.imul(content, 7919) & 0xfffff) ^ mask;
      expect(bytesOf(device, crowds(seed, renamed, inOrder))).toBe(
        bytesOf(device, crowds(seed, same, inOrder)),
      );
    }),
    { numRuns: 15 },
  );
});

test('equal requests that come together may come in any order', () => {
  fc.assert(
    fc.property(anyDevice, anySeed, anySeed, (device, seed, shuffleSeed) => {
      const random = new Random(shuffleSeed);
      const shuffled = (ids: number[]): number[] =>
        ids
          .map((id) => ({ id, at: random.next() }))
          .sort((a, b) => a.at - b.at)
          .map(({ id }) => id);
      expect(bytesOf(device, crowds(seed, same, shuffled))).toBe(
        bytesOf(device, crowds(seed, same, inOrder)),
      );
    }),
    { numRuns: 15 },
  );
});

test('devices that are compared know nothing of each other', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([0, 1, 2], { minLength: 2 }), anySeed, (order, seed) => {
      const load = poissonLoad({ isl: 200, osl: 10 }, { perSecond: 20, requestCount: 30, seed });
      const options = {
        ...{ load, slo, hostMs: 0, prices, queueLengthMax: 10_000 },
        ...{ usersMax: 2, seed, unlike: [], onProgress: () => {} },
      };
      const found = (chosen: readonly SimDevice[]) =>
        chosen
          .map((device) => figuresOf(device, options))
          .map(({ summary, sweep, samples }) => JSON.stringify([summary, sweep, samples]));
      const forwards = found(order.map((at) => devices[at]!));
      const backwards = found(order.map((at) => devices[at]!).reverse());
      expect(backwards.reverse()).toEqual(forwards);
    }),
    { numRuns: 5 },
  );
});

test('more load never lowers latency', () => {
  fc.assert(
    fc.property(
      anyDevice,
      anySeed,
      fc.integer({ min: 20, max: 800 }),
      fc.integer({ min: 2, max: 60 }),
      (device, seed, isl, osl) => {
        let before = { ttft: 0, e2e: 0 };
        let aloneTpotMs = 0;
        for (const perSecond of [0.01, 8, 64, 512]) {
          // One seed: the same arrivals, closer together.
          const load = poissonLoad({ isl, osl }, { perSecond, requestCount: 120, seed });
          const { tally } = simulate({
            ...{ device, load, slo, hostMs: 0, warmupRequests: 0, queueLengthMax: 10_000 },
            countedRequests: Number.POSITIVE_INFINITY,
          });
          const now = { ttft: tally.ttft.meanMs!, e2e: tally.e2e.meanMs! };
          expect(now.ttft, `TTFT at ${perSecond}/s`).toBeGreaterThanOrEqual(before.ttft * almost);
          expect(now.e2e, `E2E at ${perSecond}/s`).toBeGreaterThanOrEqual(before.e2e * almost);
          // Between full loads TPOT may fall a little: prompts that wait together interrupt answers once, not twice.
          if (aloneTpotMs === 0) aloneTpotMs = tally.tpot.meanMs!;
          expect(tally.tpot.meanMs!, `TPOT at ${perSecond}/s`).toBeGreaterThanOrEqual(aloneTpotMs * almost);
          before = now;
        }
      },
    ),
    { numRuns: 12 },
  );
});
