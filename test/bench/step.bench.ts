// A token, a row of 9 and a chunk of 128 behind growing contexts, in a session of its own without backend or server: our own
// operators, or ONNX Runtime's with KERNELS=onnxruntime. The least of 60, 20 and 6 runs.
// Run: npx tsx test/bench/step.bench.ts [model] [precision] [threads]
import { argv } from 'node:process';
import { openSession } from '../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../kernels/onnx/own-library.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { loadModel } from '../../models/model.ts';
import { loadConfig } from '../../server/config/config.ts';
import { openSeat } from './bare-seat.ts';

const contexts = [16, 2048, 6144];
const cases = [
  { tokens: 1, runs: 60 },
  { tokens: 9, runs: 20 },
  { tokens: 128, runs: 6 },
];

const [name = 'smollm2-135m-instruct', precision = 'int8', threads = '2'] = argv.slice(2);
const model = loadModel(name);
const { cacheDirectory } = loadConfig({ flags: {}, env: process.env });
const ownKernels = process.env['KERNELS'] !== 'onnxruntime' && nativeLibraryPath() !== null;
const format = { precision: precision as Precision, cacheDirectory, ownKernels };
const graph = await buildGraph(loadCheckpoint(model.path), format);
const session = openSession({
  modelPath: graph.modelPath,
  ...{ intraOpThreads: Number(threads), spinning: Number(threads) > 1 },
});
const longest = Math.min(8192, graph.spec.contextLength);
const seat = openSeat(graph, session, longest);
const rows = contexts
  .filter((context) => context + 128 <= longest)
  .map((context) => {
    const least = cases.map(({ tokens, runs }) => {
      const ids = Array.from({ length: tokens }, (_, at) => 5 + at);
      const times = Array.from({ length: runs }, () => seat.run(ids, context));
      return [`${tokens} tokens, ms`, Math.min(...times).toFixed(2)] as const;
    });
    return { context, ...Object.fromEntries(least) };
  });
session.release();
console.log(
  `${name}, ${precision}, ${threads} threads, ${ownKernels ? 'our own operators' : 'ONNX Runtime’s'}`,
);
console.table(rows);
