// The builder on tiny seeded models: what it writes, when it builds again, and that unusual shapes run.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSession } from '../../../../kernels/onnx/ort.ts';
import { loadCheckpoint } from '../../../../models/checkpoint/checkpoint.ts';
import { buildGraph } from '../../../../models/graph/build.ts';
import type { BuildProgress } from '../../../../models/graph/graph-files.ts';
import { defaultPrecision, type Precision, precisions } from '../../../../models/graph/precision.ts';
import { GraphRunner } from '../../../golden/graph-runner.ts';
import { type TinyModelOptions, writeTinyModel } from '../../../golden/tiny-model.ts';
import { createReferenceDecoder } from '../../../reference-decoder.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();
const cacheDirectory = join(root, 'cache');
let modelCount = 0;

function tiny(options: Partial<TinyModelOptions> = {}) {
  const directory = join(root, `model-${modelCount++}`);
  writeTinyModel(directory, options);
  return loadCheckpoint(directory);
}

test('a graph is built once; other weights, another precision and other dimensions are other graphs', async () => {
  const build = (options: Partial<TinyModelOptions>, precision: Precision = 'fp32') =>
    buildGraph(tiny(options), { precision, cacheDirectory });
  const first = await build({ seed: 1 });
  expect(first.fromCache).toBe(false);
  const again = await build({ seed: 1 });
  expect(again).toEqual({ ...first, fromCache: true, spec: again.spec });
  const others = [
    await build({ seed: 2 }),
    await build({ seed: 1 }, 'int8'),
    await build({ ropeTheta: 20_000 }),
  ];
  const hashes = new Set([first, ...others].map(({ contentHash }) => contentHash));
  expect(hashes.size).toBe(4);
  expect(others.some(({ fromCache }) => fromCache)).toBe(false);
});

test('progress rises to the size of the weights file', async () => {
  const seen: BuildProgress[] = [];
  const onProgress = (progress: BuildProgress) => seen.push(progress);
  const { directory } = await buildGraph(tiny({ seed: 3 }), {
    precision: 'w8a8',
    cacheDirectory,
    onProgress,
  });
  const size = statSync(join(directory, 'weights.bin')).size;
  expect(seen.at(-1)).toEqual({ doneSize: size, totalSize: size });
  expect(seen.every(({ doneSize }, i) => i === 0 || doneSize > seen[i - 1]!.doneSize)).toBe(true);
  expect(readdirSync(directory).sort()).toEqual([
    'manifest.json',
    'model-binding-kv-int8.onnx',
    'model-binding.onnx',
    'model-device.onnx',
    'model-kv-int8.onnx',
    'model-states.onnx',
    'model.onnx',
    'weights.bin',
  ]);
});

test('the same checkpoint gives the same bytes', async () => {
  const files = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const built = await buildGraph(tiny({ seed: 4 }), {
        precision: 'int4',
        cacheDirectory: join(root, name),
      });
      return ['model.onnx', 'weights.bin'].map((file) => readFileSync(join(built.directory, file)));
    }),
  );
  expect(files[0]).toEqual(files[1]);
});

test('small models get w8a8, large ones blocks of int8', () => {
  const { spec } = tiny();
  const source = { read: () => new Float32Array() };
  expect(defaultPrecision(spec, source)).toBe('w8a8');
  const large = { ...spec, hiddenSize: 896, ffnSize: 4864, layerCount: 24, vocabSize: 151_936 };
  expect(defaultPrecision(large, source)).toBe('int8');
  const storedLayout = (name: string) =>
    name === 'model.layers.1.mlp.up_proj.weight' ? ({ bits: 4, blockSize: 32 } as const) : null;
  expect(defaultPrecision(large, { ...source, storedLayout })).toBe('stored');
});

const shapes: Readonly<Record<string, Partial<TinyModelOptions>>> = {
  'one layer': { layerCount: 1 },
  'a head per key': { kvHeadCount: 4 },
  'one key for all heads': { kvHeadCount: 1 },
  'heads wider than the model': { hiddenSize: 64, headCount: 4, headSize: 32 },
  'rows that blocks do not divide': { hiddenSize: 80, ffnSize: 112, headSize: 16 },
  'biases everywhere': { architecture: 'llama', attentionBias: true, mlpBias: true },
  'linear rotary scaling': { architecture: 'llama', ropeScaling: { kind: 'linear', factor: 4 } },
  'an untied head': { tiedEmbeddings: false },
};

// Random weights let rounding grow from layer to layer; a broken layout errs by 1 and more.
const errorMax: Readonly<Record<Precision, number>> = {
  fp32: 1e-3,
  int8: 0.1,
  w8a8: 0.4,
  int4: 0.8,
  stored: 0.1,
};

test.each(Object.entries(shapes))(
  'a model with %s computes what the reference decoder does',
  async (_name, options) => {
    const checkpoint = tiny(options);
    const tokens = Array.from({ length: 24 }, (_, i) => (i * 31 + 7) % checkpoint.spec.vocabSize);
    const expected = createReferenceDecoder(checkpoint).allLogits(tokens).at(-1)!;
    for (const precision of precisions) {
      const graph = await buildGraph(checkpoint, { precision, cacheDirectory });
      const session = openSession({ modelPath: graph.modelPath, intraOpThreads: 1, spinning: false });
      const runner = new GraphRunner(session, graph, { slotCount: 1, capacity: 64 });
      runner.chunk(0, tokens.slice(0, 20), 0);
      const { logits } = runner.chunk(0, tokens.slice(20), 20);
      let difference = 0;
      let norm = 0;
      for (const [id, value] of expected.entries()) {
        difference += (value - logits[id]!) ** 2;
        norm += value ** 2;
      }
      expect(Math.sqrt(difference / norm), precision).toBeLessThan(errorMax[precision]);
      runner.release();
    }
  },
);
