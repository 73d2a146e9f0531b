// Recipes that several threads make are the bytes that one makes, in their order; what no thread can make is made here.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../../../models/checkpoint/checkpoint.ts';
import { type DecoderFormat, writeDecoder } from '../../../../models/graph/decoder.ts';
import { madeByThreads, madeHere, type RecipeTask } from '../../../../models/graph/recipe-threads.ts';
import { type ActivationRanges, smoothed, smoothedRoles } from '../../../../models/graph/smoothing.ts';
import { loadModel } from '../../../../models/model.ts';
import type { ModelSpec } from '../../../../models/spec.ts';

const checkpoint = loadCheckpoint(loadModel('spark-nano').path);
const { spec } = checkpoint;

test('three threads make what one makes, smoothed and at 4 bits', async () => {
  const format: DecoderFormat = { precision: 'int4', kv: 'fp32', smoothed: true };
  const ranges = rangesOf(spec);
  const { recipes } = writeDecoder(spec, format, smoothed(spec, checkpoint, ranges));
  const alone = await all(madeHere(recipes));
  const unmade = recipes.map((recipe) => ({ ...recipe, produce: () => expect.fail('made here') }));
  const together = await all(madeByThreads(unmade, task({ format, ranges }), 3));
  expect(together.map(digest)).toEqual(alone.map(digest));
});

test('threads that cannot open the checkpoint leave everything to the caller', async () => {
  const format: DecoderFormat = { precision: 'int8', kv: 'fp32', smoothed: false };
  const { recipes } = writeDecoder(spec, format, checkpoint);
  const nowhere = { ...task({ format, ranges: null }), path: '/nowhere' };
  const made = await all(madeByThreads(recipes.slice(0, 6), nowhere, 2));
  expect(made.map(digest)).toEqual((await all(madeHere(recipes.slice(0, 6)))).map(digest));
});

test('what is wrong with a weight is said as without threads', async () => {
  const format: DecoderFormat = { precision: 'int8', kv: 'fp32', smoothed: false };
  const { recipes } = writeDecoder(spec, format, checkpoint);
  const spoilt = [recipes[0]!, { ...recipes[1]!, produce: () => expect.fail('holds no number') }];
  const nowhere = { ...task({ format, ranges: null }), path: '/nowhere' };
  await expect(all(madeByThreads(spoilt, nowhere, 2))).rejects.toThrow('holds no number');
});

function task(given: Pick<RecipeTask, 'format' | 'ranges'>): RecipeTask {
  return { path: checkpoint.path, adapters: [], spec, ...given };
}

/** As if each layer's channels had been seen at sizes between 1 and 8. */
function rangesOf({ layerCount, hiddenSize, ffnSize, ...rest }: ModelSpec): ActivationRanges {
  const roles = smoothedRoles({ layerCount, hiddenSize, ffnSize, ...rest });
  const layer = (size: number, at: number) =>
    Float32Array.from({ length: size }, (_, channel) => 1 + ((channel * 5 + at) % 8));
  const layers = (size: number) => Array.from({ length: layerCount }, (_, at) => layer(size, at));
  return Object.fromEntries(roles.map((role) => [role, layers(role === 'feed-out' ? ffnSize : hiddenSize)]));
}

function digest(contents: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const bytes of contents) hash.update(bytes);
  return hash.digest('hex');
}

async function all(made: AsyncIterable<readonly Uint8Array[]>): Promise<(readonly Uint8Array[])[]> {
  const contents: (readonly Uint8Array[])[] = [];
  for await (const parts of made) contents.push(parts);
  return contents;
}
