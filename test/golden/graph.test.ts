// Built graphs against transformers' own logits, over both ways of calling ONNX Runtime: fp32 must match, the
// quantised formats must stay within stated bounds, and where a cut falls must not matter.
import { describe, expect, test } from 'vitest';
import { openBindingSession, openSession } from '../../kernels/onnx/ort.ts';
import type { GraphSession } from '../../kernels/onnx/runtime.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { type BuiltGraph, buildGraph } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { type GoldenCase, goldenModels, sparkNanoGolden } from './golden-models.ts';
import { GraphRunner } from './graph-runner.ts';

const logitErrorMax = 1e-3;
const cacheDirectory = temporaryDirectory();
const models = goldenModels();
const nano = sparkNanoGolden();

type Open = (graph: BuiltGraph, intraOpThreads: number) => Promise<GraphSession>;
const runtimes: readonly { name: string; open: Open }[] = [
  {
    name: 'the C API',
    open: async ({ modelPath }, intraOpThreads) =>
      openSession({ modelPath, intraOpThreads, spinning: false }),
  },
  {
    name: 'the official binding',
    open: ({ bindingModelPath }, intraOpThreads) =>
      openBindingSession({ modelPath: bindingModelPath!, intraOpThreads, spinning: false }),
  },
];

async function run(
  directory: string,
  { precision, open, threads = 1 }: { precision: Precision; open: Open; threads?: number },
): Promise<GraphRunner> {
  const graph = await buildGraph(loadCheckpoint(directory), { precision, cacheDirectory });
  return new GraphRunner(await open(graph, threads), graph, { slotCount: 4, capacity: 512 });
}

describe.each(runtimes)('over $name', ({ open }) => {
  test.each(models)(
    'the fp32 graph of $name gives the logits and greedy tokens',
    async ({ directory, cases }) => {
      const runner = await run(directory, { precision: 'fp32', open });
      for (const { input_ids: prompt, last_logits: expected, greedy } of cases) {
        const { logits, topIds } = runner.prefill(0, prompt, 128);
        expect(largestDifference(logits, expected)).toBeLessThan(logitErrorMax);
        expect(runner.greedy(0, topIds[0]!, prompt.length, greedy.length)).toEqual(greedy);
      }
      runner.release();
    },
  );

  test.skipIf(!nano)('the fp32 graph of spark-nano agrees as far as margins allow', async () => {
    const runner = await run(nano!.directory, { precision: 'fp32', open });
    for (const { input_ids: prompt, greedy, top8, greedy_margin: margins } of nano!.golden.cases) {
      const { logits, topIds } = runner.prefill(0, prompt, 128);
      for (const [id, logit] of top8) expect(Math.abs(logits[id]! - logit)).toBeLessThan(logitErrorMax);
      const firstUnfair = margins.findIndex((margin) => margin < 2 * logitErrorMax);
      const count = firstUnfair < 0 ? greedy.length : firstUnfair;
      const tokens = runner.greedy(0, topIds[0]!, prompt.length, greedy.length);
      expect(tokens.slice(0, count)).toEqual(greedy.slice(0, count));
    }
    runner.release();
  });

  test.each(models)(
    'chunks and single tokens of $name end where one shot ends',
    async ({ directory, cases }) => {
      const runner = await run(directory, { precision: 'fp32', open });
      const { input_ids: prompt } = longest(cases);
      const whole = runner.chunk(0, prompt, 0).logits.slice();
      for (const chunkSize of [1, 7, 16, 64]) {
        const { logits } = runner.prefill(1, prompt, chunkSize);
        expect(largestDifference(logits, whole)).toBeLessThan(logitErrorMax);
      }
      runner.release();
    },
  );

  test('reports the most likely tokens in order, and the logarithm of the sum', async () => {
    const { directory, cases } = models[0]!;
    const runner = await run(directory, { precision: 'fp32', open });
    const prompt = longest(cases).input_ids;
    const rows = [0, 3, prompt.length - 1];
    const { logits, topIds, topValues, logsumexp } = runner.chunk(0, prompt, 0, rows);
    const { vocabSize, topCount } = runner.graph;
    for (const row of rows.keys()) {
      const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
      const order = Array.from(own.keys()).sort((a, b) => own[b]! - own[a]! || a - b);
      expect([...topIds.subarray(row * topCount, (row + 1) * topCount)]).toEqual(order.slice(0, topCount));
      expect(topValues[row * topCount]).toBe(own[order[0]!]);
      const sum = own.reduce((total, logit) => total + Math.exp(logit), 0);
      expect(logsumexp[row]).toBeCloseTo(Math.log(sum), 4);
    }
    runner.release();
  });
});

// On random weights a rounding error grows through the layers as it does not in a trained model: these bounds
// guard against a broken format, PERFORMANCE.md has the accuracy on real text.
const quantised: readonly { precision: Precision; errorMax: number; agreementMin: number }[] = [
  { precision: 'int8', errorMax: 0.07, agreementMin: 0.9 },
  { precision: 'w8a8', errorMax: 0.12, agreementMin: 0.85 },
  { precision: 'int4', errorMax: 0.45, agreementMin: 0.5 },
];

describe.each(quantised)('$precision', ({ precision, errorMax, agreementMin }) => {
  const open = runtimes[0]!.open;

  test.each(models)('of $name stays within its bounds', async ({ name, directory, cases }) => {
    const runner = await run(directory, { precision, open });
    let error = 0;
    let agreed = 0;
    let count = 0;
    for (const { input_ids: prompt, last_logits: expected, greedy } of cases) {
      error = Math.max(error, relativeError(runner.prefill(0, prompt, 128).logits, expected));
      const rows = Array.from(greedy, (_, step) => prompt.length - 1 + step);
      const { topIds } = runner.chunk(0, [...prompt, ...greedy.slice(0, -1)], 0, rows);
      for (const [step, id] of greedy.entries())
        agreed += topIds[step * runner.graph.topCount] === id ? 1 : 0;
      count += greedy.length;
    }
    console.info(`${name} ${precision}: logit error ${error.toFixed(3)}, greedy ${agreed} of ${count}`);
    expect(error).toBeLessThan(errorMax);
    expect(agreed / count).toBeGreaterThanOrEqual(agreementMin);
    runner.release();
  });

  test('gives both runtimes the same bits', async () => {
    const { directory, cases } = models[0]!;
    const prompt = longest(cases).input_ids;
    const [first, second] = await Promise.all(
      runtimes.map(({ open: each }) => run(directory, { precision, open: each })),
    );
    expect(second!.prefill(0, prompt, 64).logits).toEqual(first!.prefill(0, prompt, 64).logits);
    for (const runner of [first!, second!]) runner.release();
  });
});

function longest(cases: readonly GoldenCase[]): GoldenCase {
  return cases.reduce((best, each) => (each.input_ids.length > best.input_ids.length ? each : best));
}

function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return Array.from(expected).reduce((worst, value, id) => Math.max(worst, Math.abs(value - actual[id]!)), 0);
}

/** ‖actual − expected‖ / ‖expected‖. */
function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let id = 0; id < expected.length; id++) {
    difference += (actual[id]! - expected[id]!) ** 2;
    norm += expected[id]! ** 2;
  }
  return Math.sqrt(difference / norm);
}
