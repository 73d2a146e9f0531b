import { describe, expect, test } from 'vitest';
import { greedySampling, type SamplingParams } from '../../../kernels/backend.ts';
import {
  type LogitsRow,
  Sampler,
  SamplingError,
  sampleToken,
  tokenLogprobs,
} from '../../../kernels/sampling.ts';

const greedy: SamplingParams = { ...greedySampling, seed: 1 };
const start = { position: 0, promptCount: 0, history: null, mask: null };

function rowOf(logits: Float32Array, headCount: number): LogitsRow {
  const ids = Int32Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const headIds = ids.slice(0, headCount);
  const headValues = Float32Array.from(headIds, (id) => logits[id]!);
  const max = headValues[0]!;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return { headValues, headIds, logits, logsumexp: Math.fround(max + Math.log(sum)) };
}

/** Which tokens ever come out, over many seeds. */
function support(logits: Float32Array, params: Partial<SamplingParams>): number[] {
  const seen = new Set<number>();
  for (let seed = 0; seed < 400; seed++) {
    seen.add(sampleToken(logits, { ...greedy, temperature: 1, ...params, seed }, start));
  }
  return [...seen].sort((a, b) => a - b);
}

describe('greedy', () => {
  test('takes the largest logit and, among equals, the lowest id', () => {
    const logits = Float32Array.of(1, 3, 2, 3);
    expect(sampleToken(logits, greedy, start)).toBe(1);
    expect(new Sampler(4).sample(rowOf(logits, 2), greedy, start)).toBe(1);
  });

  test('sees the logit bias', () => {
    const params = { ...greedy, logitBias: new Map([[2, 1.5]]) };
    expect(new Sampler(4).sample(rowOf(Float32Array.of(1, 3, 2, 3), 2), params, start)).toBe(2);
  });

  test('cannot draw a stop token before minTokens, and can from then on', () => {
    const params = { ...greedy, minTokens: 2, stopTokenIds: [1] };
    const sampler = new Sampler(3);
    const row = rowOf(Float32Array.of(1, 3, 2), 2);
    const drawn = [4, 5, 6, 7].map((position) =>
      sampler.sample(row, params, { ...start, position, promptCount: 4 }),
    );
    expect(drawn).toEqual([2, 2, 1, 1]);
  });

  test('answers something even when every token is masked', () => {
    const params = { ...greedy, temperature: 1, minTokens: 1, stopTokenIds: [0, 1] };
    expect(sampleToken(Float32Array.of(1, 2), params, start)).toBe(0);
  });
});

describe('penalties', () => {
  const history = Int32Array.of(0, 1, 1, 2, 2, 9); // prompt: 0 1 1; output: 2 2; 9 lies after the place
  const place = { position: 5, promptCount: 3, history, mask: null };

  test('the repetition penalty divides positive and multiplies negative logits, once per token', () => {
    // 0: 4/2 = 2, 1: 3/2 = 1.5, 2: −1·2 = −2, 3: untouched.
    const logits = Float32Array.of(4, 3, -1, 1.9);
    expect(sampleToken(logits, { ...greedy, repetitionPenalty: 2 }, place)).toBe(0);
    expect(sampleToken(Float32Array.of(3.7, 3, -1, 1.9), { ...greedy, repetitionPenalty: 2 }, place)).toBe(3);
    expect(sampleToken(Float32Array.of(-9, -9, -1, -1.9), { ...greedy, repetitionPenalty: 2 }, place)).toBe(
      3,
    );
  });

  test('frequency counts the output only, presence once', () => {
    const logits = Float32Array.of(1, 1.1, 2, 0.5);
    expect(sampleToken(logits, { ...greedy, frequencyPenalty: 0.4 }, place)).toBe(2); // 2 − 0.8 = 1.2
    expect(sampleToken(logits, { ...greedy, frequencyPenalty: 0.5 }, place)).toBe(1); // 2 − 1 < 1.1
    expect(sampleToken(logits, { ...greedy, presencePenalty: 0.8 }, place)).toBe(2); // 2 − 0.8
    expect(sampleToken(logits, { ...greedy, presencePenalty: 1 }, place)).toBe(1);
  });

  test('a call leaves no trace in the next one', () => {
    const sampler = new Sampler(4);
    const row = rowOf(Float32Array.of(1, 1.1, 2, 0.5), 2);
    sampler.sample(row, { ...greedy, presencePenalty: 1 }, place);
    const nothingYet = { ...place, position: 3 };
    expect(sampler.sample(row, { ...greedy, presencePenalty: 1 }, nothingYet)).toBe(2);
  });

  test('without a history are a programming error', () => {
    expect(() => sampleToken(Float32Array.of(1, 2), { ...greedy, presencePenalty: 1 }, start)).toThrow(
      'penalties need the history',
    );
  });
});

describe('a mask', () => {
  const logits = Float32Array.from({ length: 40 }, (_, id) => -id); // the lower, the likelier
  const allow = (...ids: number[]) => {
    const mask = new Uint32Array(2);
    for (const id of ids) mask[id >>> 5]! |= 1 << (id & 31);
    return mask;
  };

  test('admits only its tokens, greedy or drawn, from the head or from the logits', () => {
    const sampler = new Sampler(40);
    for (const headCount of [4, 40]) {
      const row = rowOf(logits, headCount);
      expect(sampler.sample(row, greedy, { ...start, mask: allow(3, 31, 39) })).toBe(3);
      expect(sampler.sample(row, greedy, { ...start, mask: allow(31, 39) })).toBe(31);
      const drawn = new Set<number>();
      for (let seed = 0; seed < 50; seed++) {
        const params = { ...greedy, temperature: 100, seed };
        drawn.add(sampler.sample(row, params, { ...start, mask: allow(31, 32) }));
      }
      expect([...drawn].sort()).toEqual([31, 32]);
    }
  });

  test('wins over minTokens', () => {
    const params = { ...greedy, minTokens: 5, stopTokenIds: [33] };
    expect(sampleToken(logits, params, { ...start, mask: allow(33) })).toBe(33);
  });
});

describe('what may be drawn', () => {
  const logits = Float32Array.from([0.1, 0.5, 0.3, 0.1].map(Math.log)); // probabilities by id

  test('top_k keeps the k most likely, lower ids first among equals', () => {
    expect(support(logits, { topK: 1 })).toEqual([1]);
    expect(support(logits, { topK: 3 })).toEqual([0, 1, 2]);
    expect(support(logits, { topK: 99 })).toEqual([0, 1, 2, 3]);
  });

  test('top_p keeps the smallest set that reaches p', () => {
    expect(support(logits, { topP: 0 })).toEqual([1]);
    expect(support(logits, { topP: 0.45 })).toEqual([1]);
    expect(support(logits, { topP: 0.55 })).toEqual([1, 2]);
    expect(support(logits, { topP: 0.85 })).toEqual([0, 1, 2]);
  });

  test('min_p keeps what is at least that share of the most likely', () => {
    expect(support(logits, { minP: 0.61 })).toEqual([1]);
    expect(support(logits, { minP: 0.59 })).toEqual([1, 2]);
    expect(support(logits, { minP: 0.19 })).toEqual([0, 1, 2, 3]);
  });

  test('top_p counts within what min_p and top_k left', () => {
    expect(support(logits, { topK: 2, topP: 0.6 })).toEqual([1]); // 0.5 / 0.8 = 0.625
  });

  test('a low temperature sharpens', () => {
    expect(support(logits, { temperature: 0.01 })).toEqual([1]);
    expect(support(logits, { temperature: 1e-9 })).toEqual([1]);
  });
});

test('draws belong to seed, stream and position, not to what was drawn before', () => {
  const logits = Float32Array.from({ length: 64 }, (_, id) => id / 64);
  const params = { ...greedy, temperature: 1 };
  const places = [0, 1, 2, 3, 4].map((position) => ({ ...start, position }));
  const forward = places.map((place) => sampleToken(logits, params, place));
  const sampler = new Sampler(64);
  const backward = places
    .toReversed()
    .map((place) => sampler.sample(rowOf(logits, 8), params, place))
    .toReversed();
  expect(backward).toEqual(forward);
  expect(places.map((place) => sampleToken(logits, { ...params, stream: 1 }, place))).not.toEqual(forward);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  'a sum of %d over all logits is the model’s failure, greedy or drawn',
  (logsumexp) => {
    const row = { ...rowOf(Float32Array.of(1, 0, 2), 2), logsumexp };
    for (const temperature of [0, 1]) {
      const draw = () => new Sampler(3).sample(row, { ...greedy, temperature }, start);
      expect(draw).toThrow(SamplingError);
      expect(draw).toThrow(expect.objectContaining({ cause: 'model' }));
    }
  },
);

test.each([Number.NaN, Number.POSITIVE_INFINITY])('a logit of %d is never drawn', (logit) => {
  for (const temperature of [0, 1]) {
    for (const at of [0, 1, 2]) {
      const logits = Float32Array.of(1, 0, 2);
      logits[at] = logit;
      expect(() => sampleToken(logits, { ...greedy, temperature }, start)).toThrow(SamplingError);
    }
  }
});

test('parameters that leave no distribution are named as the cause, and leave no trace', () => {
  const sampler = new Sampler(3);
  const row = rowOf(Float32Array.of(1, 0, 2), 2);
  const place = { position: 1, promptCount: 1, history: Int32Array.of(2), mask: null };
  const draw = () => sampler.sample(row, { ...greedy, repetitionPenalty: 1e-45 }, place);
  expect(draw).toThrow(expect.objectContaining({ cause: 'parameters' }));
  expect(sampler.sample(row, { ...greedy, repetitionPenalty: 1.1 }, place)).toBe(2);
});

test('logprobs are of the unmodified distribution', () => {
  const probabilities = [0.1, 0.5, 0.3, 0.1];
  const row = rowOf(Float32Array.from(probabilities.map((p) => Math.log(p) + 7)), 3);
  const { logprob, topTokens, topLogprobs } = tokenLogprobs(row, 3, 3);
  expect(logprob).toBeCloseTo(Math.log(0.1), 5);
  expect(topTokens).toEqual([1, 2, 0]);
  expect(topLogprobs.map((value) => Math.exp(value))).toEqual([
    expect.closeTo(0.5, 5),
    expect.closeTo(0.3, 5),
    expect.closeTo(0.1, 5),
  ]);
  expect(tokenLogprobs(row, 1, 0).topTokens).toEqual([]);
});
