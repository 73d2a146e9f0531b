// A mask changes what may be drawn, not by which path: the head and the full logits give the same token.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { greedySampling, maskAllows, type SamplingParams } from '../../../kernels/backend.ts';
import { Random } from '../../../kernels/random.ts';
import { type LogitsRow, Sampler } from '../../../kernels/sampling.ts';

const base: SamplingParams = { ...greedySampling, temperature: 1 };

function rowOf(
  random: Random,
  { vocabSize, spread, headCount }: { vocabSize: number; spread: number; headCount: number },
): LogitsRow {
  const logits = Float32Array.from({ length: vocabSize }, () => spread * (random.next() + random.next() - 1));
  const ids = Int32Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const headIds = ids.slice(0, headCount);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit);
  const logsumexp = Math.fround(Math.log(sum));
  return { headValues: Float32Array.from(headIds, (id) => logits[id]!), headIds, logits, logsumexp };
}

/** At least one token is allowed. */
function maskOf(random: Random, { vocabSize, share }: { vocabSize: number; share: number }): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocabSize / 32));
  const sure = random.integer(0, vocabSize - 1);
  for (let id = 0; id < vocabSize; id++)
    if (id === sure || random.next() < share) mask[id >>> 5]! |= 1 << (id & 31);
  return mask;
}

const settings = fc.record({
  temperature: fc.constantFrom(0, 0.3, 1, 1.7),
  topP: fc.constantFrom(1, 0.9, 0.3),
  topK: fc.constantFrom(0, 1, 5, 300),
  minP: fc.constantFrom(0, 0.05, 0.9),
});

test('a masked draw from the head is the masked draw from all logits, and allowed', () => {
  let sampler = new Sampler(1);
  let vocabSize = 1;
  const shapes = fc.record({
    seed: fc.nat(),
    vocabSize: fc.constantFrom(1, 40, 64, 333),
    spread: fc.constantFrom(1, 8, 40),
    headCount: fc.constantFrom(1, 8, 40),
    share: fc.constantFrom(0, 0.02, 0.5, 1),
  });
  fc.assert(
    fc.property(shapes, settings, (shape, setting) => {
      const random = new Random(shape.seed);
      if (vocabSize !== shape.vocabSize) sampler = new Sampler(shape.vocabSize);
      vocabSize = shape.vocabSize;
      const row = rowOf(random, { ...shape, headCount: Math.min(shape.headCount, vocabSize) });
      const mask = maskOf(random, shape);
      for (let position = 0; position < 10; position++) {
        const place = { position, promptCount: 0, history: null, mask };
        const params = { ...base, ...setting, seed: shape.seed };
        const token = sampler.sample(row, params, place);
        expect(maskAllows(mask, token)).toBe(true);
        expect(token).toBe(sampler.sampleFull(row.logits, params, place));
      }
    }),
    { numRuns: 400 },
  );
});
