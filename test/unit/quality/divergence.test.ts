// The measure of quality, on distributions whose divergence is known in closed form.
import { describe, expect, test } from 'vitest';
import { compareLogits, summarise } from '../../quality/divergence.ts';

const logs = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log);

describe('compareLogits', () => {
  test('is nothing between equal distributions, whatever is added to all logits', () => {
    const shifted = logs(0.5, 0.25, 0.25).map((logit) => logit + 7);
    const { divergence, isSameTop } = compareLogits(logs(0.5, 0.25, 0.25), shifted, 1);
    expect(divergence).toBeCloseTo(0, 6);
    expect(isSameTop).toBe(true);
  });

  test('is the Kullback–Leibler divergence from the reference, not to it', () => {
    const { divergence } = compareLogits(logs(0.5, 0.5), logs(0.9, 0.1), null);
    expect(divergence).toBeCloseTo(0.5 * Math.log(0.5 / 0.9) + 0.5 * Math.log(0.5 / 0.1), 6);
  });

  test('loss is of the token that comes next, and none at the end', () => {
    const one = compareLogits(logs(0.5, 0.5), logs(0.25, 0.75), 1);
    expect(one.referenceLoss).toBeCloseTo(Math.log(2), 6);
    expect(one.loss).toBeCloseTo(-Math.log(0.75), 6);
    expect(compareLogits(logs(0.5, 0.5), logs(0.25, 0.75), null)).toMatchObject({
      loss: 0,
      referenceLoss: 0,
    });
  });

  test('of equal logits the lower id is the most likely token', () => {
    expect(compareLogits(logs(0.5, 0.5), logs(0.5, 0.5), null).isSameTop).toBe(true);
    expect(compareLogits(logs(0.5, 0.5), logs(0.4, 0.6), null).isSameTop).toBe(false);
  });
});

test('a text sums up to means, the 99th percentile and the ratio of perplexities', () => {
  const differences = Array.from({ length: 200 }, (_, index) => ({
    divergence: index / 100,
    isSameTop: index % 4 !== 0,
    loss: 2.5,
    referenceLoss: 2,
  }));
  const summary = summarise(differences);
  expect(summary).toMatchObject({ tokens: 200, divergenceP99: 1.98, divergenceMax: 1.99, top1: 0.75 });
  expect(summary.divergenceMean).toBeCloseTo(0.995, 9);
  expect(summary.perplexityRatio).toBeCloseTo(Math.exp(0.5), 9);
});
