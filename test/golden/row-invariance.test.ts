// Equal text alone and in a batch, and equal text with and without a cached prefix, rest on this: what a row
// computes does not depend on what else is in the step. Bit for bit, on the embedded model.
//
// With ONNX Runtime's kernels one border remains, and the engine has to respect it: attention computes a single token (n = 1)
// by another kernel than two or more, so a token decoded and the same token in a chunk differ in their last bits. Guessed
// tokens may not: they are computed in one row, each as if it came alone. Our own operators have no such border.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSession } from '../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../kernels/onnx/own-library.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import type { Precision } from '../../models/graph/precision.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { GraphRunner } from './graph-runner.ts';

const cacheDirectory = temporaryDirectory();
const directory = join(import.meta.dirname, '../../models/spark-nano');
const tokenCount = 300;
const text = (seed: number, count: number) =>
  Array.from({ length: count }, (_, index) => (index * 37 + 11 + seed * 101) % 8000);

// Without AVX-512, ONNX Runtime's kernel for 4 bits computes rows in pairs and a last odd one another way (docs/isolation.md).
const cpuFile = '/proc/cpuinfo';
const hasPairedRows = existsSync(cpuFile) && !readFileSync(cpuFile, 'utf8').includes('avx512');
if (hasPairedRows) console.log('skipped: int4 on this processor, whose kernel computes rows in pairs');

const hasOwn = nativeLibraryPath() !== null;
if (!hasOwn) console.log('skipped: our own operators, which this machine cannot have');

const formats: readonly { precision: Precision; threads: number; ownKernels?: boolean }[] = [
  { precision: 'fp32', threads: 1 },
  { precision: 'int8', threads: 1 },
  ...(hasPairedRows ? [] : [{ precision: 'int4', threads: 1 } as const]),
  { precision: 'w8a8', threads: 1 },
  { precision: 'w8a8', threads: 2 },
  ...(hasOwn
    ? ([
        { precision: 'fp32', threads: 2, ownKernels: true },
        { precision: 'int8', threads: 1, ownKernels: true },
        { precision: 'int8', threads: 2, ownKernels: true },
        { precision: 'int4', threads: 2, ownKernels: true },
        { precision: 'w8a8', threads: 1, ownKernels: true },
      ] as const)
    : []),
];

describe.each(formats)('$precision on $threads threads, own: $ownKernels', (format) => {
  const { precision, threads, ownKernels = false } = format;
  let runner: GraphRunner;

  beforeAll(async () => {
    const graph = await buildGraph(loadCheckpoint(directory), { precision, cacheDirectory, ownKernels });
    const session = openSession({ modelPath: graph.modelPath, intraOpThreads: threads, spinning: false });
    runner = new GraphRunner(session, graph, { slotCount: 16, capacity: 320 });
  });
  afterAll(() => runner.release());

  test('a decode row gives the same logits alone and among others', () => {
    const { vocabSize } = runner.graph;
    const slots = Array.from({ length: 16 }, (_, slot) => slot);
    for (const slot of slots) runner.prefill(slot, text(slot, 60 + 3 * slot), 64);
    const tokens = slots.map((slot) => 77 + slot);
    const positions = slots.map((slot) => 60 + 3 * slot);
    const alone = slots.map((slot) =>
      runner.decode(slot, [tokens[slot]!], [positions[slot]!]).logits.slice(),
    );
    for (const batch of [2, 3, 4, 7, 16]) {
      const { logits } = runner.decode(0, tokens.slice(0, batch), positions.slice(0, batch));
      for (let slot = 0; slot < batch; slot++) {
        expect(sameBits(logits.subarray(slot * vocabSize, (slot + 1) * vocabSize), alone[slot]!)).toBe(true);
      }
    }
  });

  test('a chunk gives each token the same keys, values and logits wherever it was cut', () => {
    const tokens = text(0, tokenCount);
    const expected = runner.prefill(0, tokens, 128).logits.slice();
    const memory = runner.cached(0, tokenCount);
    for (const chunkSize of [16, 32, 64, 100, 149, ...(ownKernels ? [1, 7] : [])]) {
      expect(sameBits(runner.prefill(1, tokens, chunkSize).logits, expected)).toBe(true);
      expect(sameBits(runner.cached(1, tokenCount), memory)).toBe(true);
    }
  });

  test('the logits of one row do not depend on how many rows were asked for', () => {
    const { vocabSize } = runner.graph;
    const tokens = text(1, 48);
    const rows = tokens.map((_, row) => row);
    const all = runner.chunk(0, tokens, 0, rows).logits.slice(47 * vocabSize);
    expect(sameBits(runner.chunk(0, tokens, 0, [47]).logits, all)).toBe(true);
  });

  test('guessed tokens in a row have the same keys, values and logits as if each came alone', () => {
    const { vocabSize } = runner.graph;
    for (const context of [1, 60, 127, 255, 290]) {
      const tokens = text(3, context + 17);
      runner.prefill(0, tokens.slice(0, context), 64);
      const alone = tokens
        .slice(context)
        .map((token, index) => runner.decode(0, [token], [context + index]).logits.slice());
      for (const count of [2, 5, 17]) {
        runner.prefill(1, tokens.slice(0, context), 64);
        const guessed = tokens.slice(context, context + count);
        const rows = guessed.map((_, row) => row);
        const { logits } = runner.chunk(1, guessed, context, rows, { alone: !ownKernels });
        for (const row of rows) {
          const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
          expect(sameBits(own, alone[row]!), `${row} of ${count} behind ${context}`).toBe(true);
        }
        expect(sameBits(runner.cached(1, context + count), runner.cached(0, context + count))).toBe(true);
      }
    }
  });

  test('a token decoded and the same token in a chunk differ by little more than rounding', () => {
    const tokens = text(2, 64);
    const chunked = runner.chunk(0, tokens, 0).logits.slice();
    runner.chunk(0, tokens.slice(0, 63), 0);
    const { logits } = runner.decode(0, [tokens[63]!], [63]);
    let difference = 0;
    let norm = 0;
    for (const [id, value] of chunked.entries()) {
      difference += (value - logits[id]!) ** 2;
      norm += value ** 2;
    }
    expect(Math.sqrt(difference / norm)).toBeLessThan(0.05);
    if (ownKernels) expect(sameBits(logits, chunked)).toBe(true);
  });
});

function sameBits(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, index) => Object.is(value, b[index]));
}
