// Quantiles, intervals, searches and samples, against values computed by hand or by a slow obvious way.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import type { TurnSample } from '../../../../loadtest/measure/runs/report-schema.ts';
import { SessionSample } from '../../../../loadtest/measure/runs/session-sample.ts';
import { searchCapacity } from '../../../../loadtest/statistics/bisection.ts';
import { quantileInterval, ratioInterval } from '../../../../loadtest/statistics/bootstrap.ts';
import { HeatMap } from '../../../../loadtest/statistics/heat-map.ts';
import { Histogram } from '../../../../loadtest/statistics/histogram.ts';
import { kneeIndex } from '../../../../loadtest/statistics/knee.ts';
import { median } from '../../../../loadtest/statistics/median.ts';
import { pairedRatio } from '../../../../loadtest/statistics/paired-ratio.ts';
import { refusalOf, samplesNeeded } from '../../../../loadtest/statistics/quantile-bound.ts';

test('p99 is refused below 368 samples, with that reason', () => {
  expect([0.5, 0.9, 0.95, 0.99].map(samplesNeeded)).toEqual([6, 36, 72, 368]);
  expect(refusalOf(0.99, 367)).toBe(
    'p99 needs 368 samples to be bounded with 95 % confidence, there are 367',
  );
  expect(refusalOf(0.99, 368)).toBeNull();
});

test('a median of an even number of values is the middle of the two in the middle', () => {
  const histogram = new Histogram();
  for (const ms of [520, 457]) histogram.record(ms);
  expect(histogram.quantileMs(0.5)).toBeCloseTo(488.5, 0);
  expect([median([]), median([3]), median([520, 457]), median([3, 1, 2])]).toEqual([null, 3, 488.5, 2]);
});

test('histogram quantiles are within 0.1 % of the sorted values', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.05, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 300 }),
      fc.constantFrom(0.5, 0.9, 0.99),
      (values, q) => {
        const histogram = new Histogram();
        for (const value of values) histogram.record(value);
        const ranked = [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(q * values.length) - 1)]!;
        const exact = q === 0.5 ? median(values)! : ranked;
        expect(Math.abs(histogram.quantileMs(q)! - exact)).toBeLessThanOrEqual(exact * 0.001 + 0.001);
      },
    ),
    { seed: 1, numRuns: 60 },
  );
});

test('a histogram of a million values stays as small as it was, and its CDF rises', () => {
  const histogram = new Histogram();
  const random = new Random(1);
  for (let at = 0; at < 1e6; at++) histogram.record(1 + random.next() * 99);
  expect(histogram.count).toBe(1e6);
  expect(histogram.quantileMs(0.5)!).toBeGreaterThan(49.5);
  expect(histogram.quantileMs(0.5)!).toBeLessThan(51.5);
  const cdf = histogram.cdf(50);
  expect(cdf.length).toBe(51);
  for (const [at, point] of cdf.entries()) {
    if (at > 0) expect(point.ms).toBeGreaterThanOrEqual(cdf[at - 1]!.ms);
  }
  expect(cdf.at(-1)).toEqual({ ms: histogram.maxMs, share: 1 });
});

test('values past an hour are kept exactly in mean and maximum', () => {
  const histogram = new Histogram();
  histogram.record(7_200_000);
  expect(histogram.maxMs).toBe(7_200_000);
  expect(histogram.meanMs).toBe(7_200_000);
});

test('a bootstrap interval covers the truth about as often as it says', () => {
  const random = new Random(7);
  let covered = 0;
  const rounds = 120;
  for (let round = 0; round < rounds; round++) {
    const clusters = Array.from({ length: 60 }, () => {
      const mood = random.next(); // turns of one session resemble each other
      return Array.from({ length: 5 }, () => (mood + random.next()) / 2);
    });
    const interval = quantileInterval(clusters, 0.5, random, 300)!;
    if (interval.low <= 0.5 && 0.5 <= interval.high) covered++;
  }
  expect(covered / rounds).toBeGreaterThan(0.87);
});

test('resampling turns instead of sessions would be too sure: the interval widens with the likeness inside sessions', () => {
  const width = (alike: boolean) => {
    const random = new Random(3);
    const clusters = Array.from({ length: 40 }, () => {
      const mood = random.next();
      return { numerator: 0, denominator: 10, mood };
    }).map(({ mood, denominator }) => {
      let numerator = 0;
      for (let at = 0; at < denominator; at++) numerator += alike ? mood : random.next();
      return { numerator, denominator };
    });
    const interval = ratioInterval(clusters, random)!;
    return interval.high - interval.low;
  };
  expect(width(true)).toBeGreaterThan(2 * width(false));
});

test('one session gives no interval', () => {
  expect(quantileInterval([[1, 2, 3]], 0.5, new Random(1))).toBeNull();
  expect(ratioInterval([{ numerator: 1, denominator: 2 }], new Random(1))).toBeNull();
});

test('a paired ratio is the geometric mean of the turns’ ratios', () => {
  const sessions = [
    [
      { a: 2, b: 1 },
      { a: 8, b: 1 },
    ],
    [
      { a: 4, b: 1 },
      { a: null, b: 1 },
    ],
  ];
  const result = pairedRatio(sessions, new Random(1))!;
  expect(result.ratio).toBeCloseTo(4, 12); // (2 · 8 · 4)^(1/3)
  expect(result).toMatchObject({ turnCount: 3, sessionCount: 2 });
  expect(result.interval!.low).toBeCloseTo(4, 6);
  expect(pairedRatio([[{ a: 0, b: 1 }]], new Random(1))).toBeNull();
});

test('the knee is where the curve bends, and a straight line has none', () => {
  const bent = [1, 2, 3, 4, 5, 6].map((load) => ({ load, value: load < 5 ? load : 40 * (load - 4) }));
  expect(bent[kneeIndex(bent)!]!.load).toBe(4);
  expect(kneeIndex([1, 2, 3, 4].map((load) => ({ load, value: 3 * load })))).toBeNull();
  expect(kneeIndex(bent.slice(0, 2))).toBeNull();
});

const search = { low: 1, high: 64, tolerance: 0.05, repeats: 3 };

test('the search brackets a sharp capacity within its tolerance and confirms it', async () => {
  const result = await searchCapacity(search, async (load) => load <= 10);
  expect(result.kind).toBe('found');
  if (result.kind !== 'found') return;
  expect(result.capacity).toBeLessThanOrEqual(10);
  expect(result.capacity * 1.05).toBeGreaterThanOrEqual(10);
  // One more run at either end agrees with the search's own: two of three.
  expect(result.trials.filter(({ phase }) => phase === 'confirm').length).toBe(2);
});

test('single disturbed runs move the capacity neither down nor up', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.double({ min: 1.5, max: 60, noNaN: true }),
      fc.integer({ min: 0, max: 12 }),
      async (capacity, disturbed) => {
        let runs = 0;
        const result = await searchCapacity(search, async (load) => {
          runs++;
          return load <= capacity !== (runs === disturbed + 1);
        });
        expect(result.kind).toBe('found');
        if (result.kind !== 'found') return;
        expect(result.capacity).toBeLessThanOrEqual(capacity);
        expect(result.failsAt).toBeGreaterThan(capacity);
      },
    ),
  );
});

test('a search ends whatever its runs say', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = new Random(seed >>> 0);
      const result = await searchCapacity(search, async () => random.next() < 0.5);
      expect(result.trials.length).toBeLessThan(300);
    }),
  );
});

test('a capacity that only passed by luck is not confirmed', async () => {
  // Above 8 a load passes once and never again.
  const tried = new Set<number>();
  const result = await searchCapacity(search, async (load) => {
    if (load <= 8) return true;
    const lucky = load < 20 && !tried.has(load);
    tried.add(load);
    return lucky;
  });
  expect(result.kind).toBe('found');
  if (result.kind === 'found') expect(result.capacity).toBeLessThanOrEqual(8);
});

test('a search whose ends are on one side says so', async () => {
  expect((await searchCapacity(search, async () => false)).kind).toBe('below');
  expect((await searchCapacity(search, async () => true)).kind).toBe('above');
});

const sampleOf = (session: number): TurnSample => ({
  session,
  turn: 0,
  intendedMs: 0,
  ttftMs: session,
  ttfoMs: null,
  tpotMs: null,
  stallMs: null,
  e2eMs: 0,
  good: true,
  failed: false,
  inFlight: 1,
});

test('a sample keeps whole sessions, within its bound, without a preference', () => {
  const sample = new SessionSample(1000);
  for (let session = 0; session < 20_000; session++) {
    sample.add(sampleOf(session));
    sample.add({ ...sampleOf(session), turn: 1 });
  }
  const { clusters } = sample;
  expect(clusters.every((turns) => turns.length === 2)).toBe(true);
  expect(clusters.length).toBeLessThanOrEqual(500);
  expect(clusters.length).toBeGreaterThan(150);
  const mean = clusters.reduce((sum, turns) => sum + turns[0]!.session, 0) / clusters.length;
  expect(mean).toBeGreaterThan(8500);
  expect(mean).toBeLessThan(11_500);
  expect(sample.share).toBeCloseTo(clusters.length / 20_000, 1);
});

test('a heat map doubles its bins instead of growing, and loses no gap', () => {
  const map = new HeatMap();
  for (let second = 0; second < 1000; second++) map.add(second * 1000, 150);
  map.add(5, 3); // no stall
  const { cells } = map;
  expect(cells.reduce((sum, { count }) => sum + count, 0)).toBe(1000);
  expect(cells.length).toBeLessThanOrEqual(96);
  expect(new Set(cells.map(({ boundMs }) => boundMs))).toEqual(new Set([100]));
});
