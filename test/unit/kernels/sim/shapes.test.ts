// Shapes against published sizes and hand computation.
import { expect, test } from 'vitest';
import { namedShape, SHAPES } from '../../../../kernels/sim/catalogue.ts';
import { kvElementBytes, weightBytes } from '../../../../kernels/sim/precision.ts';
import { shapeOfConfig, UnknownShapeError } from '../../../../kernels/sim/shape-config.ts';
import {
  activeWeights,
  decodeAttentionMacs,
  shapeKvBytesPerToken,
  stateBytesPerRow,
  totalBytes,
  totalWeights,
} from '../../../../kernels/sim/shapes.ts';

// Billions on the model cards, each with what its last digit leaves open: total, and met by one token. Cards count the
// vocabulary among the latter in one of three ways: both matrices, the output projection, none (GLM, total too).
type Card = readonly [
  total: number,
  open: number,
  active: number,
  open: number,
  vocabulary: 'both' | 'output' | 'none',
];
const cards: Readonly<Record<string, Card>> = {
  'llama-3.1-8b': [8.03, 0, 8.03, 0, 'both'],
  'llama-3.1-70b': [70.6, 0, 70.6, 0, 'both'],
  'llama-3.1-405b': [406, 0, 406, 0, 'both'],
  'qwen2.5-coder-0.5b': [0.49, 0, 0.49, 0, 'output'],
  'devstral-small-24b': [24, 0.5, 24, 0.5, 'both'],
  'qwen3-30b-a3b': [30.5, 0, 3.3, 0.06, 'both'],
  'qwen3-235b-a22b': [235, 0, 22, 0, 'both'],
  'qwen3-coder-480b-a35b': [480, 0, 35, 0.5, 'both'],
  'gpt-oss-20b': [20.91, 0, 3.61, 0, 'output'],
  'gpt-oss-120b': [116.83, 0, 5.13, 0, 'output'],
  'deepseek-v3': [671, 0, 37, 0.5, 'output'],
  'kimi-k2': [1000, 50, 32.6, 0, 'both'], // the paper says 1.04 T
  'glm-4.5': [351, 0, 32, 0.5, 'none'], // printed 355: with its layer for multi-token prediction
  'glm-4.5-air': [106, 0.5, 12, 0.5, 'none'],
  'llama-4-scout': [109, 0.5, 17, 0.5, 'both'],
  'llama-4-maverick': [400, 5, 17, 0.5, 'both'],
};

for (const [name, [total, totalOpen, active, activeOpen, vocabulary]] of Object.entries(cards)) {
  test(`${name} has as many weights as its card says, and one token meets as many`, () => {
    const shape = namedShape(name);
    const matrix = shape.vocabSize * shape.hiddenSize;
    const outside = vocabulary === 'none' ? 2 * matrix : 0;
    const counted = { both: matrix, output: 0, none: -matrix }[vocabulary];
    const off = (weights: number, card: number): number => Math.abs(weights / 1e9 - card);
    expect(off(totalWeights(shape) - outside, total)).toBeLessThan(Math.max(0.01 * total, totalOpen));
    expect(off(activeWeights(shape) + counted, active)).toBeLessThan(Math.max(0.01 * active, activeOpen));
  });
}

test('checkpoints in 4 bits weigh what is published', () => {
  const gigabytes = (name: string, precision: 'mxfp4' | 'fp8') =>
    totalBytes(namedShape(name), precision) / 1e9;
  expect(gigabytes('gpt-oss-120b', 'mxfp4') / 65.2).toBeCloseTo(1, 1); // safetensors: 65.2 GB
  expect(gigabytes('gpt-oss-20b', 'mxfp4') / 13.8).toBeCloseTo(1, 1);
  expect(gigabytes('deepseek-v3', 'fp8')).toBeCloseTo(671, 0);
  expect(weightBytes('nvfp4')).toBe(0.5625);
  expect(weightBytes('mxfp4')).toBe(0.53125);
  expect(weightBytes('mxfp4', 'common')).toBe(2);
});

test('KV of one token is two vectors per KV head and layer, or one compressed vector for all heads', () => {
  expect(shapeKvBytesPerToken(namedShape('llama-3.1-8b'), 'fp16')).toBe(2 * 32 * 8 * 128 * 2);
  expect(shapeKvBytesPerToken(namedShape('llama-3.1-8b'), 'fp8')).toBe(2 * 32 * 8 * 128);
  expect(shapeKvBytesPerToken(namedShape('deepseek-v3'), 'fp16')).toBe(61 * (512 + 64) * 2);
  expect(decodeAttentionMacs(namedShape('deepseek-v3'), 1)).toBe(128 * (512 + 64 + 512));
  expect(kvElementBytes('fp4')).toBe(0.5625);
});

test('a window keeps its share of a coding turn', () => {
  const full = 18 * 2 * 8 * 64 * 2; // every second layer
  expect(shapeKvBytesPerToken(namedShape('gpt-oss-120b'), 'fp16')).toBe(full * (1 + 128 / 8192));
  expect(shapeKvBytesPerToken(namedShape('llama-4-scout'), 'fp16')).toBe(48 * 2 * 8 * 128 * 2); // chunks of 8,192
});

test('an unknown model is refused with the known ones', () => {
  expect(() => namedShape('gpt-9')).toThrow(UnknownShapeError);
  expect(() => namedShape('gpt-9')).toThrow(/llama-3.1-8b/);
  expect(new Set(SHAPES.map(({ name }) => name)).size).toBe(SHAPES.length);
});

const qwen3Next = {
  ...{ model_type: 'qwen3_next', hidden_size: 2048, num_attention_heads: 16, num_hidden_layers: 48 },
  ...{ num_key_value_heads: 2, head_dim: 256, intermediate_size: 5120, vocab_size: 151936 },
  ...{ max_position_embeddings: 262144, tie_word_embeddings: false, full_attention_interval: 4 },
  ...{ num_experts: 512, num_experts_per_tok: 10, moe_intermediate_size: 512, decoder_sparse_step: 1 },
  ...{ shared_expert_intermediate_size: 512, linear_num_key_heads: 16, linear_num_value_heads: 32 },
  ...{ linear_key_head_dim: 128, linear_value_head_dim: 128, linear_conv_kernel_dim: 4 },
};

test('linear layers keep a state of fixed size instead of KV', () => {
  const shape = shapeOfConfig('qwen3-next-80b-a3b', qwen3Next);
  expect(shape).toMatchObject({ fullAttentionLayerCount: 12, sharedFfnSize: 512 });
  expect(totalWeights(shape) / 80e9).toBeCloseTo(1, 1);
  expect(shapeKvBytesPerToken(shape, 'fp16')).toBe(12 * 2 * 2 * 256 * 2);
  expect(stateBytesPerRow(shape)).toBe(2 * 36 * 32 * 128 * 128 * 4);
});

test('a field that looks like a size and is not known is refused by name; what costs nothing is not', () => {
  expect(() => shapeOfConfig('x', { ...mixtral, engram_table_size: 4096 })).toThrow(/engram_table_size/);
  expect(() => shapeOfConfig('x', { ...mixtral, kv_lora_rank: undefined, v_head_dim: 64 })).toThrow(
    /v_head_dim/,
  );
  expect(() => shapeOfConfig('x', { ...mixtral, layer_types: ['mamba'] })).toThrow(/layer_types/);
  const shape = shapeOfConfig('x', { ...mixtral, rope_theta: 1e6, eos_token_id: 2, pretraining_tp: 1 });
  expect(shape.layerCount).toBe(32);
});

const mixtral = {
  ...{ hidden_size: 4096, num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8 },
  ...{ intermediate_size: 14336, num_local_experts: 8, num_experts_per_tok: 2, vocab_size: 32000 },
  ...{ max_position_embeddings: 32768, tie_word_embeddings: false },
};

test('a size inside an object is refused by the name of the object; one line, however long the value', () => {
  expect(() => shapeOfConfig('x', { ...mixtral, memory: { slots: 64, dim: 8 } })).toThrow(/memory is /);
  const harmlessObjects = { id2label: { 0: 'LABEL_0' }, rope_scaling: { factor: 8 }, layer_norm_eps: 1e-5 };
  expect(shapeOfConfig('x', { ...mixtral, ...harmlessObjects }).layerCount).toBe(32);
  const long = { ...mixtral, intermediate_size: Array(500).fill(16384) };
  expect(() => shapeOfConfig('x', long)).toThrow(/^.{1,180}$/);
  expect(() => shapeOfConfig('x', { ...mixtral, num_hidden_layers: 2e9 })).toThrow(/at most 10000/);
  expect(() => shapeOfConfig('x', { ...mixtral, num_key_value_heads: 7 })).toThrow(
    /num_key_value_heads is 7/,
  );
});

test('feed-forward parts without a gate have two matrices: StarCoder2-15B and Nemotron-4-15B as published', () => {
  const wide = { hidden_size: 6144, intermediate_size: 24576, num_attention_heads: 48 };
  const starcoder = { ...wide, model_type: 'starcoder2', num_hidden_layers: 40, num_key_value_heads: 4 };
  const code = { vocab_size: 49152, max_position_embeddings: 16384, sliding_window: 4096 };
  expect(totalWeights(shapeOfConfig('s', { ...starcoder, ...code })) / 1e9).toBeCloseTo(15.7, 0);
  const nemotron = { ...wide, hidden_act: 'relu2', num_hidden_layers: 32, num_key_value_heads: 8 };
  const words = { vocab_size: 256000, max_position_embeddings: 4096 };
  expect(totalWeights(shapeOfConfig('n', { ...nemotron, ...words })) / 1e9).toBeCloseTo(15.6, 1);
});

test('what Gemma’s config.json leaves out is as its class has it: tied embeddings, every so many layers a whole context', () => {
  const sizes = { hidden_size: 4608, num_attention_heads: 32, num_key_value_heads: 16, head_dim: 128 };
  const rest = { num_hidden_layers: 46, intermediate_size: 36864, vocab_size: 256000, sliding_window: 4096 };
  const gemma2 = { ...sizes, ...rest, max_position_embeddings: 8192, model_type: 'gemma2' };
  const shape = shapeOfConfig('gemma-2-27b', gemma2);
  expect(totalWeights(shape) / 1e9).toBeCloseTo(27.2, 1);
  expect(shape).toMatchObject({ windowedLayerCount: 23, fullAttentionLayerCount: 23 });
  const gemma3 = shapeOfConfig('g', { ...gemma2, num_hidden_layers: 62, model_type: 'gemma3_text' });
  expect(gemma3.fullAttentionLayerCount).toBe(10);
});

test('a vision tower is memory, by either of its vocabularies; one that nobody can read is refused', () => {
  const of = (vision_config: unknown) => shapeOfConfig('v', { text_config: mixtral, vision_config });
  const clip = { hidden_size: 1408, intermediate_size: 5632, num_hidden_layers: 34 };
  expect(of(clip).encoderWeights).toBe(34 * (4 * 1408 ** 2 + 2 * 1408 * 5632));
  const qwen = { depth: 32, embed_dim: 1280, hidden_size: 3584, mlp_ratio: 4 };
  expect(of(qwen).encoderWeights).toBe(32 * 12 * 1280 ** 2);
  expect(() => of({ tower: 'large' })).toThrow(/vision_config/);
});

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

test('quantization_config says in which format a model is published; a format that nobody knows is refused', () => {
  const config = {
    ...llamaLike,
    quantization_config: { quant_method: 'fp8', weight_block_size: [128, 128] },
  };
  expect(shapeOfConfig('m', config)).toMatchObject({ publishedPrecision: 'fp8', hasBlockScales: true });
  const of = (quantization_config: unknown) =>
    shapeOfConfig('m', { ...llamaLike, quantization_config }).publishedPrecision;
  expect(of(undefined)).toBe('fp16');
  expect(of({ quant_method: 'modelopt', quant_algo: 'NVFP4' })).toBe('nvfp4');
  expect(of({ quant_method: 'compressed-tensors', format: 'pack-quantized' })).toBe('int4');
  expect(of({ quant_method: 'gptq', bits: 8 })).toBe('int8');
  const weights = { num_bits: 8, type: 'int' };
  expect(of({ format: 'pack-quantized', config_groups: { group_0: { weights } } })).toBe('int8');
  expect(() => of({ quant_method: 'gptq', bits: 3 })).toThrow(/weights of 3 bits; simulated are 4 and 8/);
  expect(() => of({ quant_method: 'aqlm' })).toThrow(/quantization_config is "aqlm".*known are mxfp4/);
});

const llamaLike = {
  ...{ num_hidden_layers: 2, hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2 },
  ...{ intermediate_size: 128, vocab_size: 256, max_position_embeddings: 128 },
};
