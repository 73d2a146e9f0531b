// A Qwen2.5-Coder-0.5B-shaped model with random weights: blocks of int8 against w8a8, what `auto` takes for large models
// and what it might take; step times in turn, and how far the logits are from fp32's. Random weights have no activation
// outliers, which is what w8a8 could fail at: times hold for the real model, the accuracy is a lower bound of the error.
// Run: npx tsx test/bench/half-billion.bench.ts (builds 4 GB of graphs in the cache the first time; add --build to only build)
import { argv } from 'node:process';
import { calibrationOn } from '../../kernels/onnx/activation-probe.ts';
import { openSession } from '../../kernels/onnx/ort.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import type { Checkpoint } from '../../models/weights/weights.ts';
import { GraphRunner } from '../golden/graph-runner.ts';
import { cacheDirectory, prepareModel } from '../peer/peer-models.ts';
import { noiseTokens } from '../peer/side.ts';
import { median } from './samples.ts';

const contextTokens = 128;
const rounds = 6;
const checkedTokens = 96;
const cases: readonly (readonly [string, (runner: GraphRunner) => void])[] = [
  ['1 token', (runner) => runner.decode(0, [5], [contextTokens])],
  ['row of 4', (runner) => runner.chunk(0, noiseTokens(4, 4), contextTokens, [0, 1, 2, 3])],
  ['row of 8', (runner) => runner.chunk(0, noiseTokens(8, 8), contextTokens, [0, 1, 2, 3, 4, 5, 6, 7])],
  ['4 sequences', (runner) => runner.decode(0, noiseTokens(4, 4), new Array<number>(4).fill(contextTokens))],
  ['chunk of 128', (runner) => runner.chunk(0, noiseTokens(1, 128), contextTokens)],
];

const checkpoint = loadCheckpoint(prepareModel('half-b').directory);
const runners = new Map<Precision, GraphRunner>();
for (const precision of ['int8', 'w8a8', 'fp32'] as const) {
  runners.set(precision, await openRunner(checkpoint, precision));
}
if (!argv.includes('--build')) {
  printTimes();
  printAccuracy();
}
for (const runner of runners.values()) runner.release();

async function openRunner(from: Checkpoint, precision: Precision): Promise<GraphRunner> {
  const calibration = calibrationOn(Int32Array.from(noiseTokens(5, 256)), 2);
  const graph = await buildGraph(from, { precision, cacheDirectory, calibration });
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 2, spinning: true });
  return new GraphRunner(session, graph, { slotCount: 4, capacity: 512 });
}

/** Medians, and the median ratio of neighbours in time. */
function printTimes(): void {
  const table = cases.map(([name, step]) => {
    const int8: number[] = [];
    const w8a8: number[] = [];
    for (let round = -1; round < rounds; round++) {
      const order = round % 2 === 0 ? (['int8', 'w8a8'] as const) : (['w8a8', 'int8'] as const);
      for (const precision of order) {
        const runner = runners.get(precision)!;
        step(runner); // the pool has slept
        const startMs = performance.now();
        step(runner);
        if (round >= 0) (precision === 'int8' ? int8 : w8a8).push(performance.now() - startMs);
      }
    }
    const ratios = int8.map((ms, at) => ms / w8a8[at]!);
    return {
      step: name,
      'int8 ms': median(int8).toPrecision(3),
      'w8a8 ms': median(w8a8).toPrecision(3),
      'w8a8 times as fast': median(ratios).toFixed(2),
    };
  });
  console.table(table);
}

function printAccuracy(): void {
  const tokens = noiseTokens(3, checkedTokens);
  const expected = logitsOf(runners.get('fp32')!, tokens);
  for (const precision of ['int8', 'w8a8'] as const) {
    const actual = logitsOf(runners.get(precision)!, tokens);
    let kept = 0;
    let error = 0;
    for (const [at, reference] of expected.entries()) {
      const own = actual[at]!;
      if (largest(own) === largest(reference)) kept++;
      let [off, norm] = [0, 0];
      for (const [id, value] of reference.entries()) {
        off += (own[id]! - value) ** 2;
        norm += value ** 2;
      }
      error += Math.sqrt(off / norm) / expected.length;
    }
    const share = (100 * kept) / expected.length;
    console.log(
      `${precision}: logit error ${(100 * error).toFixed(1)} %, most likely token kept ${share.toFixed(0)} %`,
    );
  }
}

function logitsOf(runner: GraphRunner, tokens: readonly number[]): Float32Array[] {
  const { vocabSize } = runner.graph;
  const { logits } = runner.chunk(0, tokens, 0, [...tokens.keys()]);
  return tokens.map((_, row) => logits.slice(row * vocabSize, (row + 1) * vocabSize));
}

function largest(values: Float32Array): number {
  let best = 0;
  for (let id = 1; id < values.length; id++) if (values[id]! > values[best]!) best = id;
  return best;
}
