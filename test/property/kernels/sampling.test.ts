// The two paths of the sampler agree on every draw, and both follow the distribution that a naive softmax gives.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { greedySampling, type SamplingParams } from '../../../kernels/backend.ts';
import { Random } from '../../../kernels/random.ts';
import { type LogitsRow, Sampler, SamplingError } from '../../../kernels/sampling.ts';

const plain: SamplingParams = { ...greedySampling, temperature: 1 };

const start = { position: 0, promptCount: 0, history: null, mask: null };

/** Roughly normal logits; a larger spread is a more certain model. Rounding makes ties. */
function logitsOf(options: { seed: number; vocabSize: number; spread: number; ties: boolean }): Float32Array {
  const random = new Random(options.seed);
  return Float32Array.from({ length: options.vocabSize }, () => {
    const value = options.spread * (random.next() + random.next() + random.next() + random.next() - 2);
    return options.ties ? Math.round(value * 4) / 4 : value;
  });
}

/** The head as a graph would give it: float32 and with an error of the size we allow for. */
function rowOf(logits: Float32Array, headCount: number, logsumexpError: number): LogitsRow {
  const ids = Int32Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const headIds = ids.slice(0, headCount);
  const headValues = Float32Array.from(headIds, (id) => logits[id]!);
  const max = headValues[0]!;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return { headValues, headIds, logits, logsumexp: Math.fround(max + Math.log(sum) + logsumexpError) };
}

/** Softmax and filters written down as they are defined. */
function distribution(logits: Float32Array, params: SamplingParams): Float64Array {
  const ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  const max = logits[ids[0]!]!;
  let kept = ids.map((id) => ({ id, weight: Math.exp((logits[id]! - max) / params.temperature) }));
  kept = kept.filter(({ weight }) => weight >= params.minP);
  if (params.topK > 0) kept = kept.slice(0, params.topK);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  let before = 0;
  kept = kept.filter(({ weight }) => {
    const isKept = before < params.topP * total;
    before += weight;
    return isKept;
  });
  const mass = kept.reduce((sum, { weight }) => sum + weight, 0);
  const result = new Float64Array(logits.length);
  for (const { id, weight } of kept) result[id] = weight / mass;
  return result;
}

const settings = fc.record({
  temperature: fc.oneof(
    fc.constant(1),
    fc.double({ min: 0.05, max: 3, noNaN: true }),
    fc.integer({ min: -5, max: 2 }).map((exponent) => 10 ** exponent), // to both ends of what may be asked for
  ),
  topP: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 1, noNaN: true })),
  topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400 })),
  minP: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
});

const models = fc.record({
  seed: fc.nat(),
  vocabSize: fc.integer({ min: 1, max: 700 }),
  spread: fc.constantFrom(0.5, 3, 12),
  ties: fc.boolean(),
});

test('the head gives the token that the full logits give, for every draw', () => {
  fc.assert(
    fc.property(
      models,
      settings,
      fc.integer({ min: 1, max: 64 }),
      fc.double({ min: -9e-5, max: 9e-5, noNaN: true }),
      fc.maxSafeInteger(),
      (model, setting, headCount, error, seed) => {
        const logits = logitsOf(model);
        const row = rowOf(logits, Math.min(headCount, logits.length), error);
        const sampler = new Sampler(logits.length);
        for (let position = 0; position < 20; position++) {
          const place = { ...start, position };
          const params = { ...plain, ...setting, seed };
          expect(sampler.sample(row, params, place)).toBe(sampler.sampleFull(logits, params, place));
        }
      },
    ),
    { numRuns: 400 },
  );
});

test.each([0.2, 0.7, 1, 1.2])(
  'the head decides nearly every draw of a certain model at temperature %d',
  (temperature) => {
    // Zipf's law with exponent 2.5: the 64 most likely of 8,192 tokens have 99.9 % of the probability.
    const logits = Float32Array.from({ length: 8192 }, (_, rank) => -2.5 * Math.log(rank + 1));
    const row = { ...rowOf(logits, 64, 0), logits: new Float32Array(0) }; // the full path would throw
    const sampler = new Sampler(logits.length);
    let decidedCount = 0;
    for (let seed = 0; seed < 1000; seed++) {
      try {
        sampler.sample(row, { ...plain, temperature, seed }, { ...start, position: 5 });
        decidedCount++;
      } catch (error) {
        if (!(error instanceof SamplingError)) throw error;
      }
    }
    expect(decidedCount).toBeGreaterThan(850);
  },
);

const cases: readonly (readonly [string, Partial<SamplingParams>])[] = [
  ['temperature 1', {}],
  ['temperature 0.7', { temperature: 0.7 }],
  ['temperature 1.5', { temperature: 1.5 }],
  ['top_p 0.8', { topP: 0.8 }],
  ['top_k 12', { topK: 12 }],
  ['min_p 0.05', { minP: 0.05 }],
  ['everything', { temperature: 1.2, topP: 0.9, topK: 20, minP: 0.02 }],
];

describe.each([3, 12])('at a spread of %d, frequencies follow the distribution with', (spread) => {
  test.each(cases)('%s', (_, setting) => {
    const logits = logitsOf({ seed: 7, vocabSize: 300, spread, ties: false });
    const row = rowOf(logits, 64, 0);
    const sampler = new Sampler(logits.length);
    const params = { ...plain, ...setting };
    const expected = distribution(logits, params);
    const drawCount = 8_000;
    const counts = new Float64Array(logits.length);
    for (let seed = 0; seed < drawCount; seed++) {
      const token = sampler.sample(row, { ...params, seed }, { ...start, position: 5 });
      counts[token]!++;
    }
    // Pearson's test; cells that expect fewer than 5 draws are pooled.
    let statistic = 0;
    let cellCount = 0;
    const pool = { count: 0, expected: 0 };
    for (const [id, probability] of expected.entries()) {
      const expectedCount = probability * drawCount;
      if (probability === 0) expect(counts[id]).toBe(0);
      if (expectedCount < 5) {
        pool.count += counts[id]!;
        pool.expected += expectedCount;
        continue;
      }
      statistic += (counts[id]! - expectedCount) ** 2 / expectedCount;
      cellCount++;
    }
    if (pool.expected >= 5) {
      statistic += (pool.count - pool.expected) ** 2 / pool.expected;
      cellCount++;
    }
    const freedom = cellCount - 1;
    // Mean of chi-square is `freedom`, its variance twice that; 4 deviations are one in 15,000.
    expect(statistic).toBeLessThan(freedom + 4 * Math.sqrt(2 * freedom) + 4);
  });
});
