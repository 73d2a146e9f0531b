// Guessed tokens in every decoder family (windows, sinks, norms of queries and keys, partial and no rotary): the bits of a row
// that computes each of its tokens as if it had come alone are those of the tokens one by one. Tiny checkpoints of random
// weights, fp32: attention is where a row could show. Not of mixtures: how many tokens an expert gets at once shows.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSession } from '../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../kernels/onnx/own-library.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { servedSpec } from '../../models/spec.ts';
import { CpuRig } from '../cpu-rig.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import type { GoldenCase } from './golden-models.ts';
import { GraphRunner } from './graph-runner.ts';

const cacheDirectory = temporaryDirectory();
const root = join(import.meta.dirname, 'models/families');
const guessCount = 5;

const families = readdirSync(root).filter((name) => loadCheckpoint(join(root, name)).spec.experts === null);

const kernels = nativeLibraryPath() === null ? [false] : [false, true];
const each = families.flatMap((name) =>
  kernels.map((isOwn) => [name, isOwn ? 'with our own operators' : 'of ONNX Runtime alone', isOwn] as const),
);

test.each(each)('%s, kernels %s', async (name, _, ownKernels) => {
  const path = join(root, name, 'golden.json');
  const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { cases: GoldenCase[] };
  const text = cases.at(-1)!.input_ids.slice(0, 70);
  const context = text.length - guessCount;
  const loaded = loadCheckpoint(join(root, name));
  const checkpoint = { ...loaded, spec: servedSpec(loaded.spec, 96) };
  const graph = await buildGraph(checkpoint, { precision: 'fp32', cacheDirectory, ownKernels });
  const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 1, spinning: false });
  const runner = new GraphRunner(session, graph, { slotCount: 2, capacity: 96 });
  const guesses = text.slice(context);
  for (const slot of [0, 1]) runner.prefill(slot, text.slice(0, context), 16);
  const single = guesses.map((token, i) => runner.decode(0, [token], [context + i]).logits.slice());
  const rows = guesses.map((_, row) => row);
  // Our own attention needs not be told.
  const { logits } = runner.chunk(1, guesses, context, rows, { alone: !ownKernels });
  for (const row of rows) {
    const own = logits.slice(row * graph.vocabSize, (row + 1) * graph.vocabSize);
    expect(Buffer.from(own.buffer).equals(Buffer.from(single[row]!.buffer)), `row ${row}`).toBe(true);
  }
  expect(runner.cached(1, text.length)).toEqual(runner.cached(0, text.length));
  runner.release();
});

test('a graph that shows who shares a row is told at start, and nothing is guessed', async () => {
  const loaded = loadCheckpoint(join(root, 'mixtral'));
  const checkpoint = { ...loaded, spec: servedSpec(loaded.spec, 96) };
  const graph = await buildGraph(checkpoint, { precision: 'fp32', cacheDirectory });
  const warned: string[] = [];
  const log = { info: () => undefined, warn: (message: string) => void warned.push(message) };
  const rowCounts: number[] = [];
  for (const guesses of ['alone', 'together'] as const) {
    const { backend } = await CpuRig.open(graph, { log, guesses });
    rowCounts.push(backend.costs!.rowMs.length);
    await backend.close();
  }
  expect(rowCounts).toEqual([1, 5]);
  expect(warned).toEqual([expect.stringContaining('nothing is guessed')]);
});
