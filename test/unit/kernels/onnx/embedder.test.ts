import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Embedder } from '../../../../kernels/onnx/embedder.ts';
import { buildEncoder } from '../../../../models/encoder/encoder-build.ts';
import { loadEncoder } from '../../../../models/encoder/encoder-checkpoint.ts';
import { readPooling } from '../../../../models/encoder/pooling.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = join(import.meta.dirname, '../../../golden/models/encoders/bert-mean');
const cacheDirectory = temporaryDirectory();
const [, golden] = JSON.parse(readFileSync(join(directory, 'golden.json'), 'utf8')) as [
  unknown,
  { readonly ids: readonly number[]; readonly vector: readonly number[] },
];
const ids = Int32Array.from(golden.ids);

async function embedderOf(modelPath: string): Promise<Embedder> {
  const embedder = new Embedder({
    ...{ modelPath, threadCount: 1 },
    shape: { hiddenSize: 32, cache: null },
    pooling: readPooling(directory),
  });
  afterAll(() => embedder.close());
  return embedder;
}

test('texts are embedded in a thread, one after another, each as if alone', async () => {
  const checkpoint = loadEncoder(directory);
  const { modelPath } = await buildEncoder(checkpoint, { precision: 'fp32', cacheDirectory });
  const embedder = await embedderOf(modelPath);
  await embedder.open();
  const [whole, part, again] = await Promise.all([
    embedder.embed(ids, null),
    embedder.embed(ids, 4),
    embedder.embed(ids, null),
  ]);
  for (const [at, value] of golden.vector.entries()) expect(whole[at]).toBeCloseTo(value, 4);
  expect(again).toEqual(whole);
  expect(part).toHaveLength(4);
  // The table of positions has 64 rows.
  await expect(embedder.embed(new Int32Array(65), null)).rejects.toThrow();
  expect(await embedder.embed(ids, null)).toEqual(whole);
});

test('a graph that cannot be opened is told to everybody who asks', async () => {
  const embedder = await embedderOf(join(cacheDirectory, 'none.onnx'));
  await expect(embedder.open()).rejects.toThrow(/none\.onnx/);
  await expect(embedder.embed(ids, null)).rejects.toThrow(/none\.onnx/);
});
