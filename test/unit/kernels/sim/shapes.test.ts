// Shapes against published sizes and hand computation.
import { expect, test } from 'vitest';
import {
  activeWeights,
  kvBytesPerToken,
  namedShape,
  SHAPES,
  shapeOfConfig,
  totalWeights,
  UnknownShapeError,
  weightBytes,
} from '../../../../kernels/sim/shapes.ts';

test('models have as many weights as their names and cards say', () => {
  const billions = (name: string) => totalWeights(namedShape(name)) / 1e9;
  expect(billions('llama-3.1-8b')).toBeCloseTo(8.03, 2);
  expect(billions('llama-3.1-70b')).toBeCloseTo(70.55, 1);
  expect(billions('llama-3.1-405b')).toBeCloseTo(405.85, 1);
  expect(billions('qwen2.5-coder-0.5b')).toBeCloseTo(0.49, 2);
  expect(billions('qwen3-coder-480b-a35b')).toBeCloseTo(480.2, 0);
  expect(billions('gpt-oss-120b')).toBeCloseTo(116.8, 1);
});

test('a mixture of experts meets only its active weights', () => {
  expect(activeWeights(namedShape('qwen3-coder-480b-a35b')) / 1e9).toBeCloseTo(34.5, 0);
  expect(activeWeights(namedShape('gpt-oss-120b')) / 1e9).toBeCloseTo(5.1, 1);
});

test('KV of one token is two vectors per KV head and layer', () => {
  expect(kvBytesPerToken(namedShape('llama-3.1-8b'), 'fp16')).toBe(2 * 32 * 8 * 128 * 2);
  expect(kvBytesPerToken(namedShape('llama-3.1-8b'), 'fp8')).toBe(2 * 32 * 8 * 128);
  expect(kvBytesPerToken(namedShape('gpt-oss-120b'), 'fp16')).toBe(2 * 18 * 8 * 64 * 2); // half the layers see a window
  expect(weightBytes('int4')).toBeGreaterThan(0.5);
});

test('an unknown model is refused with the known ones', () => {
  expect(() => namedShape('gpt-9')).toThrow(UnknownShapeError);
  expect(() => namedShape('gpt-9')).toThrow(/llama-3.1-8b/);
  expect(SHAPES.length).toBe(12);
});

const mixtral = {
  ...{ hidden_size: 4096, num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
  ...{ intermediate_size: 14336, num_local_experts: 8, num_experts_per_tok: 2, vocab_size: 32000 },
  ...{ max_position_embeddings: 32768, tie_word_embeddings: false },
};

test('a config.json with experts becomes a mixture', () => {
  const shape = shapeOfConfig('mixtral', mixtral);
  expect(shape).toMatchObject({ expertCount: 8, activeExpertCount: 2, headSize: 128, ffnSize: 14336 });
  expect(totalWeights(shape) / 1e9).toBeCloseTo(46.7, 1);
  expect(activeWeights(shape) / 1e9).toBeCloseTo(12.7, 0);
});

test('a config.json without a count is refused by the name of the field', () => {
  const { vocab_size: _, ...rest } = mixtral;
  expect(() => shapeOfConfig('x', rest)).toThrow(/vocab_size/);
  expect(() => shapeOfConfig('x', { ...mixtral, hidden_size: -1 })).toThrow(/hidden_size/);
  expect(() => shapeOfConfig('x', null)).toThrow(UnknownShapeError);
});
