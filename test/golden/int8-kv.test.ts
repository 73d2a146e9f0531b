// KV as int8 in every decoder family: a prompt's chunks are computed at fp32 over rounded keys and values, single tokens and
// guesses by the runtime's own kernel, and both must mean the same numbers (int8-attention-nodes.ts). Tiny checkpoints of
// random weights, fp32 otherwise.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GraphBindings } from '../../kernels/onnx/bindings.ts';
import { measureKvScales } from '../../kernels/onnx/kv-calibration.ts';
import { allocateSeats, type KvShape } from '../../kernels/onnx/kv-memory.ts';
import { openSession } from '../../kernels/onnx/ort.ts';
import { nativeLibraryPath } from '../../kernels/onnx/own-library.ts';
import { loadCheckpoint } from '../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../models/graph/build.ts';
import { servedSpec } from '../../models/spec.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import type { GoldenCase } from './golden-models.ts';

const directory = temporaryDirectory();
const root = join(import.meta.dirname, 'models/families');
const chunk = 16;

const kernels = nativeLibraryPath() === null ? [false] : [false, true];

describe.each(readdirSync(root))('%s', (name) => {
  test.each(kernels)(
    'a prompt computed in chunks is what its tokens are as guesses; own operators: %s',
    async (ownKernels) => {
      const path = join(root, name, 'golden.json');
      const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { cases: GoldenCase[] };
      const prompt = cases.at(-1)!.input_ids.slice(0, 5 * chunk);
      const loaded = loadCheckpoint(join(root, name));
      const checkpoint = { ...loaded, spec: servedSpec(loaded.spec, 6 * chunk) };
      const graph = await buildGraph(checkpoint, {
        precision: 'fp32',
        cacheDirectory: directory,
        ownKernels,
      });
      const open = (modelPath: string) => openSession({ modelPath, intraOpThreads: 1, spinning: false });
      const [exact, session] = [open(graph.modelPath), open(graph.int8Kv!.modelPath)];
      const file = join(directory, `${name}-${ownKernels}.scales`);
      const scales = measureKvScales(exact, graph, { tokens: Int32Array.from(prompt), file });
      const { layerCount, kvHeadCount, headSize, vocabSize } = graph.spec;
      for (const [layer, { rotary }] of graph.spec.layers.entries()) {
        if (rotary === 'none') continue;
        const keys = scales.steps[2 * layer]!;
        const half = graph.spec.rotarySize / 2;
        for (let start = 0; start < keys.length; start += headSize)
          expect(keys.slice(start, start + half)).toEqual(keys.slice(start + half, start + 2 * half));
      }
      const { headCount, hasSinks } = graph.spec;
      for (let layer = 0; layer < layerCount; layer++) {
        const [taken, given] = [scales.shifts[2 * layer]!, scales.shifts[2 * layer + 1]!];
        const [values, heads] = [taken.slice(-kvHeadCount * headSize), headCount / kvHeadCount];
        expect(taken.slice(0, -kvHeadCount * headSize).every((value) => value === 0)).toBe(true);
        expect(values.every((value) => value === 0)).toBe(hasSinks); // beside sinks weights do not sum to 1
        for (const [channel, back] of given.entries()) {
          const head = Math.floor(channel / headSize / heads);
          expect(back + values[head * headSize + (channel % headSize)]!).toBe(0);
        }
      }
      const sizes = { layerCount, kvHeadCount, headSize, blockSize: 1, blockCount: 0 };
      const shape: KvShape = { ...sizes, slotCount: 2, slotTokensMax: 6 * chunk, scales };
      const seats = allocateSeats(shape, 'private');
      const bounds = { topCount: graph.topCount, vocabSize, runTokensMax: chunk, logitRowsMax: chunk };
      const bindings = new GraphBindings(session, { shape, seats }, bounds);

      const last = (slotStart: number, asGuesses: boolean): Float32Array => {
        for (let start = 0; start < prompt.length; start += chunk) {
          const tokens = prompt.slice(start, start + chunk);
          bindings.inputIds.set(tokens);
          bindings.seqlensK[0] = start + tokens.length - 1;
          bindings.totalSequenceLength[0] = start + tokens.length;
          const logitRowCount = asGuesses ? tokens.length : 1;
          bindings.aloneCount[0] = asGuesses ? BigInt(tokens.length) : 0n;
          for (let row = 0; row < logitRowCount; row++)
            bindings.logitRows[row] = asGuesses ? row : tokens.length - 1;
          bindings.get({ slotStart, slotCount: 1, tokenCount: tokens.length, logitRowCount }).run();
        }
        const rows = asGuesses ? (prompt.length - 1) % chunk : 0;
        return bindings.logits.slice(rows * vocabSize, (rows + 1) * vocabSize);
      };
      const [wide, narrow] = [last(0, false), last(1, true)];
      const steps = seats.map((seat) => differences(seat, seat.length / 2));
      expect(Math.max(...steps.map(({ largest }) => largest))).toBeLessThanOrEqual(1); // a tie, rounded the other way
      const kept = 2 * layerCount * kvHeadCount * headSize * prompt.length;
      expect(steps.reduce((sum, { count }) => sum + count, 0)).toBeLessThan(0.01 * kept);
      const spread = Math.max(...narrow) - Math.min(...narrow);
      const furthest = Math.max(...wide.map((value, id) => Math.abs(value - narrow[id]!)));
      expect(furthest).toBeLessThan(0.005 * spread);
      if (ownKernels && graph.spec.experts === null) expect(narrow).toEqual(wide); // mixtures show who shares a row
      expect(spread).toBeGreaterThan(0);
      for (const one of [exact, session]) one.release();
    },
  );
});

/** Of the two seats in `memory`. */
function differences(memory: Float32Array | Int8Array, size: number) {
  let [largest, count] = [0, 0];
  for (let index = 0; index < size; index++) {
    const step = Math.abs(memory[index]! - memory[size + index]!);
    largest = Math.max(largest, step);
    if (step > 0) count++;
  }
  return { largest, count };
}
