import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { argmax, createReferenceDecoder } from '../reference-decoder.ts';
import { goldenModels, sparkNanoGolden } from './golden-models.ts';

const logitErrorMax = 1e-3; // the file's float32 arithmetic and five decimals against our float64
const models = goldenModels();

test.each(models)(
  'the reference decoder gives the logits and greedy tokens of $name',
  ({ directory, cases }) => {
    const decoder = createReferenceDecoder(loadCheckpoint(directory));
    expect(cases.length).toBeGreaterThan(0);
    for (const { input_ids: prompt, last_logits: expected, greedy } of cases) {
      // One pass over prompt and answer: every position must choose the token that follows.
      const all = decoder.allLogits([...prompt, ...greedy.slice(0, -1)]);
      const last = all[prompt.length - 1]!;
      const error = expected.reduce((worst, value, id) => Math.max(worst, Math.abs(value - last[id]!)), 0);
      expect(error).toBeLessThan(logitErrorMax);
      expect(all.slice(prompt.length - 1).map(argmax)).toEqual(greedy);
    }
  },
);

test('greedy decoding is one choice after the other', () => {
  const { directory, cases } = models[0]!;
  const decoder = createReferenceDecoder(loadCheckpoint(directory));
  const { input_ids: prompt, greedy } = cases[0]!;
  expect(decoder.greedy(prompt, 6)).toEqual(greedy.slice(0, 6));
});

const nano = sparkNanoGolden();

test.skipIf(!nano)('the reference decoder agrees with transformers on the embedded model', () => {
  const decoder = createReferenceDecoder(loadCheckpoint(nano!.directory));
  const stepCount = 8; // of up to 48, for the time it takes
  for (const { input_ids: prompt, greedy, top8, greedy_margin: margins } of nano!.golden.cases.slice(0, 2)) {
    const steps = greedy.slice(0, stepCount);
    const all = decoder.allLogits([...prompt, ...steps.slice(0, -1)]);
    const last = all[prompt.length - 1]!;
    for (const [id, logit] of top8) expect(Math.abs(last[id]! - logit)).toBeLessThan(logitErrorMax);
    // A step is comparable as long as every margin up to it exceeds the error.
    const fairCount = margins.findIndex((margin) => margin < 2 * logitErrorMax);
    const fair = steps.slice(0, fairCount < 0 ? stepCount : fairCount);
    expect(all.slice(prompt.length - 1, prompt.length - 1 + fair.length).map(argmax)).toEqual(fair);
  }
});
