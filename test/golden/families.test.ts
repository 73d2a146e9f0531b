// Every decoder family against transformers: tiny checkpoints of random weights in the field layout of the published
// models (make-family-goldens.py). The fp32 graph must give their log-probabilities and greedy tokens, in one piece, in
// chunks, among other rows, over restored keys and values, and as rows of guesses; int8 must stay close.
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { calibrationOn } from '../../kernels/onnx/activation-probe.ts';
import { openSession } from '../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../kernels/onnx/own-library.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { buildGraph, type Calibration } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { servedSpec } from '../../models/spec.ts';
import type { Checkpoint } from '../../models/weights/weights.ts';
import { argmax, createReferenceDecoder } from '../reference-decoder.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import type { GoldenCase } from './golden-models.ts';
import { GraphRunner } from './graph-runner.ts';

const logProbErrorMax = 1e-3;
const cacheDirectory = temporaryDirectory();
const root = join(import.meta.dirname, 'models/families');
const names = readdirSync(root);

function casesOf(name: string): readonly GoldenCase[] {
  return (JSON.parse(readFileSync(join(root, name, 'golden.json'), 'utf8')) as { cases: GoldenCase[] }).cases;
}

/** Which set of frequencies holds follows from the context that is served: short texts from a short one. */
function servedFor(checkpoint: Checkpoint, { input_ids: prompt, greedy }: GoldenCase): Checkpoint {
  return { ...checkpoint, spec: servedSpec(checkpoint.spec, prompt.length + greedy.length) };
}

const kernels = [
  ['of ONNX Runtime alone', false],
  ...(nativeLibraryPath() === null ? [] : [['with our own operators', true] as const]),
] as const;

async function open(
  checkpoint: Checkpoint,
  precision: Precision,
  { ownKernels = false, calibration }: { ownKernels?: boolean; calibration?: Calibration } = {},
): Promise<GraphRunner> {
  const graph = await buildGraph(checkpoint, {
    precision,
    cacheDirectory,
    ownKernels,
    ...(calibration && { calibration }),
  });
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 1, spinning: false });
  return new GraphRunner(session, graph, {
    slotCount: 3,
    capacity: Math.min(256, checkpoint.spec.contextLength),
  });
}

describe.each(names)('%s', (name) => {
  const checkpoint = loadCheckpoint(join(root, name));
  const cases = casesOf(name);

  test('its config means the same in the words of transformers 5', () => {
    const directory = join(temporaryDirectory(), name);
    mkdirSync(directory);
    copyFileSync(join(root, name, 'saved-config.json'), join(directory, 'config.json'));
    expect(readModelSpec(directory)).toEqual(checkpoint.spec);
  });

  test.each(kernels)(
    'fp32 gives the log-probabilities and the greedy tokens, also in chunks: kernels %s',
    async (_, ownKernels) => {
      for (const golden of cases) {
        const runner = await open(servedFor(checkpoint, golden), 'fp32', { ownKernels });
        const { input_ids: prompt, last_logits: logits, greedy } = golden;
        const expected = logProbs(logits);
        for (const chunkSize of [128, 16, 7]) {
          const step = runner.prefill(0, prompt, chunkSize);
          expect(largestDifference(logProbs(step.logits), expected)).toBeLessThan(logProbErrorMax);
          const answer = runner.greedy(0, step.topIds[0]!, prompt.length, greedy.length);
          expect(answer).toEqual(greedy);
        }
        runner.release();
      }
    },
  );

  test.each(kernels)(
    'guesses are verified, and rows decode beside others, as if each were alone: kernels %s',
    async (_, ownKernels) => {
      const golden = cases.at(-1)!;
      const runner = await open(servedFor(checkpoint, golden), 'fp32', { ownKernels });
      const { input_ids: prompt, greedy } = golden;
      // Neighbours of other lengths, so that windows and positions differ within the batch.
      for (const [slot, tokens] of [prompt, prompt.slice(0, 31), prompt.slice(0, 5)].entries())
        runner.prefill(slot, tokens, 32);
      const verified = runner.chunk(0, greedy.slice(0, 6), prompt.length, [0, 1, 2, 3, 4, 5]);
      const topCount = runner.graph.topCount;
      expect([0, 1, 2, 3, 4].map((row) => verified.topIds[row * topCount])).toEqual(greedy.slice(1, 6));
      // Back to the end of the prompt: what the guesses left behind is overwritten.
      const drawn = [greedy[0]!];
      const others = [prompt[31]!, prompt[5]!];
      for (let step = 0; step < 8; step++) {
        const positions = [prompt.length + step, 31 + step, 5 + step];
        const { topIds } = runner.decode(0, [drawn.at(-1)!, ...others], positions);
        drawn.push(topIds[0]!);
        others.splice(0, 2, topIds[topCount]!, topIds[2 * topCount]!);
      }
      expect(drawn).toEqual(greedy.slice(0, drawn.length));
      runner.release();
    },
  );

  test('keys and values that another slot computed serve as a prefix', async () => {
    const golden = cases.at(-1)!;
    const runner = await open(servedFor(checkpoint, golden), 'fp32');
    const { input_ids: prompt, greedy } = golden;
    const kept = 64;
    runner.prefill(0, prompt.slice(0, kept), 32);
    for (const memory of [...runner.keys, ...runner.values])
      memory.copyWithin(runner.slotSize, 0, runner.slotSize);
    const { topIds } = runner.prefill(1, prompt, 16, kept);
    expect(runner.greedy(1, topIds[0]!, prompt.length, greedy.length)).toEqual(greedy);
    runner.release();
  });

  test('the reference decoder agrees', () => {
    const golden = cases[1]!;
    const decoder = createReferenceDecoder(servedFor(checkpoint, golden));
    const { input_ids: prompt, last_logits: expected, greedy } = golden;
    const all = decoder.allLogits([...prompt, ...greedy.slice(0, 4)]).slice(prompt.length - 1);
    expect(largestDifference(logProbs(all[0]!), logProbs(expected))).toBeLessThan(logProbErrorMax);
    expect(all.map(argmax)).toEqual(greedy.slice(0, 5));
  });

  // On random weights a rounding error grows as it does not in a trained model (most of all without rotary embeddings,
  // where scores are larger): this guards against a broken format.
  test.each([
    ['int8', 0.25],
    ['w8a8', 0.45],
  ] as const)('%s stays close', async (precision, errorMax) => {
    const golden = cases.at(-1)!;
    // Calibrated, as the server builds them: outliers are folded away where the family has norms for them.
    const calibration = calibrationOn(Int32Array.from(golden.input_ids), 1);
    const runner = await open(servedFor(checkpoint, golden), precision, { calibration });
    const { logits } = runner.prefill(0, golden.input_ids, 128);
    expect(relativeError(logits, golden.last_logits)).toBeLessThan(errorMax);
    runner.release();
  });
});

function logProbs(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const largest = values.reduce((a, b) => Math.max(a, b));
  const logSum = largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return values.map((value) => value - logSum);
}

function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return Array.from(expected).reduce((worst, value, id) => Math.max(worst, Math.abs(value - actual[id]!)), 0);
}

/** ‖actual − expected‖ / ‖expected‖. */
function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const squares = (values: number[]) => values.reduce((sum, value) => sum + value * value, 0);
  const difference = Array.from(expected, (value, id) => value - actual[id]!);
  return Math.sqrt(squares(difference) / squares(Array.from(expected)));
}
