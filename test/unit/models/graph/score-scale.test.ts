// Queries carry the factor of their scores: in their projection, in blocks as stored, or in the gain of their norm.
import { expect, test } from 'vitest';
import { scoresScaled } from '../../../../models/graph/score-scale.ts';
import { loadModel } from '../../../../models/model.ts';
import type { BlockQuantised } from '../../../../models/weights/weights.ts';

const { spec } = loadModel('spark-nano');
const blocks = (): BlockQuantised => ({
  data: Uint8Array.of(7),
  scales: Float32Array.of(2),
  zeroPoints: null,
});
const source = {
  read: () => Float32Array.of(1, -3),
  storedLayout: () => ({ bits: 8, blockSize: 32 }) as const,
  readBlocks: blocks,
};
const layer = 'model.layers.3.self_attn';

test('the query projection and its bias are multiplied, as floats and as blocks; nothing else is', () => {
  const scaled = scoresScaled({ ...spec, queryKeyNorm: 'none', attentionMultiplier: 1 / 8 }, source);
  for (const name of ['q_proj.weight', 'q_proj.bias'])
    expect([...scaled.read(`${layer}.${name}`)]).toEqual([1 / 8, -3 / 8]);
  for (const name of ['k_proj.weight', 'v_proj.weight', 'q_norm.weight', 'o_proj.weight'])
    expect([...scaled.read(`${layer}.${name}`)]).toEqual([1, -3]);
  expect(scaled.readBlocks!(`${layer}.q_proj.weight`)).toEqual({
    ...blocks(),
    scales: Float32Array.of(1 / 4),
  });
  expect(scaled.readBlocks!(`${layer}.k_proj.weight`)).toEqual(blocks());
});

test('where queries are normalised their gain is multiplied: the norm would undo it in the projection', () => {
  const scaled = scoresScaled({ ...spec, queryKeyNorm: 'head', attentionMultiplier: 1 / 16 }, source);
  expect([...scaled.read(`${layer}.q_norm.weight`)]).toEqual([1 / 16, -3 / 16]);
  for (const name of ['q_proj.weight', 'k_norm.weight'])
    expect([...scaled.read(`${layer}.${name}`)]).toEqual([1, -3]);
});
