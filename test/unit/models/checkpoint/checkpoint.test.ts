import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint } from '../../../../models/checkpoint/checkpoint.ts';
import { CheckpointError } from '../../../../models/files/model-file.ts';
import { weightCount } from '../../../../models/spec.ts';
import { requiredTensors } from '../../../../models/weights/required-tensors.ts';
import { floatTensor, writeSafetensors } from '../../../golden/safetensors-writer.ts';
import { tinyTokenIds, tinyVocabSize, writeTinyModel } from '../../../golden/tiny-model.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();
const base = writeTinyModel(join(root, 'base'), { architecture: 'qwen2' });
const llama = writeTinyModel(join(root, 'llama'), { architecture: 'llama' });
type Json = Record<string, unknown>;

/** Loads the base model with a changed config.json. Undefined removes a field. */
function loadWith(changes: Json, directory = base, name = 'config.json') {
  const file = join(directory, name);
  const original = readFileSync(file, 'utf8');
  try {
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(original) as Json), ...changes }));
    return loadCheckpoint(directory);
  } finally {
    writeFileSync(file, original);
  }
}

function refusal(load: () => unknown): CheckpointError {
  try {
    load();
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    return error as CheckpointError;
  }
  throw new Error('the model was accepted');
}

test('a directory becomes a spec and readable tensors', () => {
  const checkpoint = loadCheckpoint(base);
  expect(checkpoint.spec).toEqual({
    name: 'base',
    architecture: 'qwen2',
    vocabSize: tinyVocabSize,
    hiddenSize: 64,
    layerCount: 3,
    headCount: 4,
    kvHeadCount: 2,
    headSize: 16,
    ffnSize: 96,
    experts: null,
    contextLength: 1024,
    norm: 'rms',
    rmsNormEps: 1e-6,
    normPlacement: 'before',
    queryKeyNorm: 'none',
    hasSinks: false,
    activation: 'silu',
    isGated: true,
    layers: Array.from({ length: 3 }, () => ({ window: null, rotary: 'main' })),
    rotarySize: 16,
    ropeTheta: 10_000,
    localRopeTheta: null,
    ropeScaling: null,
    embeddingMultiplier: 1,
    residualMultiplier: 1,
    attentionMultiplier: 1 / 4,
    scoreGrowth: null,
    logitMultiplier: 1,
    attentionSoftCap: null,
    logitSoftCap: null,
    tiedEmbeddings: true,
    qkvBias: true,
    attentionOutputBias: false,
    mlpBias: false,
    bosTokenId: null,
    eosTokenIds: [tinyTokenIds.endOfText, tinyTokenIds.imEnd],
  });
  expect(checkpoint.weightFiles).toEqual([join(base, 'model.safetensors')]);
  expect(checkpoint.has('lm_head.weight')).toBe(false);
  expect(checkpoint.shape('model.layers.0.self_attn.k_proj.weight')).toEqual([32, 64]);
  expect(checkpoint.read('model.norm.weight')).toHaveLength(64);
});

test('the needed tensors hold exactly the weights that the spec counts', () => {
  for (const options of [{}, { attentionBias: true, mlpBias: true, tiedEmbeddings: false }]) {
    const { spec } = loadCheckpoint(
      writeTinyModel(join(root, 'counted'), { architecture: 'llama', ...options }),
    );
    const sizes = [...requiredTensors(spec).values()].map((shape) => shape.reduce((a, b) => a * b));
    expect(sizes.reduce((a, b) => a + b)).toBe(weightCount(spec));
  }
});

test('a Llama checkpoint may have biases everywhere and a head of its own', () => {
  const directory = writeTinyModel(join(root, 'full'), {
    architecture: 'llama',
    attentionBias: true,
    mlpBias: true,
    tiedEmbeddings: false,
  });
  const { spec, has } = loadCheckpoint(directory);
  expect(spec).toMatchObject({ qkvBias: true, attentionOutputBias: true, mlpBias: true });
  expect(has('lm_head.weight')).toBe(true);
  expect(has('model.layers.2.mlp.down_proj.bias')).toBe(true);
});

test('shards are found through their index and read as one', () => {
  const single = loadCheckpoint(writeTinyModel(join(root, 'single'), { seed: 7 }));
  const sharded = loadCheckpoint(writeTinyModel(join(root, 'sharded'), { seed: 7, shardCount: 3 }));
  expect(sharded.weightFiles).toHaveLength(3);
  for (const name of requiredTensors(single.spec).keys()) {
    expect(sharded.read(name)).toEqual(single.read(name));
  }
});

const llama3Scaling = {
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 256,
};
const llama3Spec = {
  kind: 'llama3',
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalContextLength: 256,
};

test.each([
  ['nothing', {}, 10_000, null],
  ['rope_theta', { rope_theta: 5e5 }, 5e5, null],
  ['rope_theta and null', { rope_theta: 5e5, rope_scaling: null }, 5e5, null],
  [
    'linear with the old name',
    { rope_scaling: { type: 'linear', factor: 4 } },
    10_000,
    { kind: 'linear', factor: 4 },
  ],
  [
    'llama3 beside rope_theta',
    { rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...llama3Scaling } },
    5e5,
    llama3Spec,
  ],
  ['rope_parameters', { rope_parameters: { rope_type: 'default', rope_theta: 1e6 } }, 1e6, null],
  ['rope_parameters without a theta', { rope_theta: 7, rope_parameters: { rope_type: 'default' } }, 7, null],
  [
    'rope_parameters over the older fields',
    {
      rope_theta: 7,
      rope_scaling: { type: 'yarn' },
      rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...llama3Scaling },
    },
    5e5,
    llama3Spec,
  ],
])('rotary settings given as %s are read', (_, settings, ropeTheta, ropeScaling) => {
  const { spec } = loadWith({ rope_parameters: undefined, ...settings });
  expect(spec).toMatchObject({ ropeTheta, ropeScaling });
});

test('absent fields mean what they mean to transformers', () => {
  const { spec } = loadWith({
    head_dim: undefined,
    hidden_act: undefined,
    bos_token_id: undefined,
    rope_parameters: undefined,
  });
  expect(spec).toMatchObject({ headSize: 16, bosTokenId: null, ropeTheta: 10_000 });
  const equalHeads = writeTinyModel(join(root, 'mha'), { architecture: 'llama', kvHeadCount: 4 });
  expect(loadWith({ num_key_value_heads: undefined }, equalHeads).spec.kvHeadCount).toBe(4);
  expect(loadWith({ num_key_value_heads: null, head_dim: null }, equalHeads).spec.headSize).toBe(16);
});

test('generation_config.json has the last word on stop tokens, as a number or a list', () => {
  const stop = (generation: unknown, config: unknown) => {
    const file = join(base, 'generation_config.json');
    const original = readFileSync(file, 'utf8');
    writeFileSync(file, JSON.stringify({ eos_token_id: generation }));
    try {
      return loadWith({ eos_token_id: config }).spec.eosTokenIds;
    } finally {
      writeFileSync(file, original);
    }
  };
  expect(stop([5, 6, 5], 7)).toEqual([5, 6]);
  expect(stop(5, [7])).toEqual([5]);
  expect(stop(undefined, [7, 8])).toEqual([7, 8]);
  expect(stop(undefined, 7)).toEqual([7]);
  expect(stop(undefined, undefined)).toEqual([]);
  expect(refusal(() => stop(320, 7))).toMatchObject({ field: 'eos_token_id' });
});

test('without generation_config.json the config decides', () => {
  const directory = writeTinyModel(join(root, 'bare'));
  rmSync(join(directory, 'generation_config.json'));
  expect(loadCheckpoint(directory).spec.eosTokenIds).toEqual([tinyTokenIds.endOfText]);
});

test('a window that is off, or that begins above the last layer, is no window', () => {
  expect(loadWith({ sliding_window: 4096, use_sliding_window: false }).spec.layerCount).toBe(3);
  expect(
    loadWith({ sliding_window: 4096, use_sliding_window: true, max_window_layers: 3 }).spec.layerCount,
  ).toBe(3);
});

test('windows are those of the layers that have one', () => {
  const windows = (changes: Json) => loadWith(changes).spec.layers.map(({ window }) => window);
  expect(windows({ sliding_window: 64, use_sliding_window: true, max_window_layers: 2 })).toEqual([
    null,
    null,
    64,
  ]);
  expect(
    windows({
      sliding_window: 64,
      layer_types: ['sliding_attention', 'full_attention', 'sliding_attention'],
    }),
  ).toEqual([64, null, 64]);
  expect(windows({ sliding_window: 4096, use_sliding_window: true, max_window_layers: 0 })).toEqual([
    null,
    null,
    null,
  ]);
});

test('a context is as long as its scaling makes it', () => {
  const length = (rope_parameters: Json) => loadWith({ rope_parameters }).spec.contextLength;
  expect(length({ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 1024 })).toBe(4096);
  expect(length({ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 })).toBe(1024);
  expect(length({ rope_type: 'dynamic', factor: 2 })).toBe(2048);
  expect(length({ rope_type: 'linear', factor: 2 })).toBe(1024);
});

test.each<[string, Json, string]>([
  ['another architecture', { architectures: ['Qwen3NextForCausalLM'] }, 'architectures'],
  ['no architecture', { architectures: [] }, 'architectures'],
  ['another activation', { hidden_act: 'relu2' }, 'hidden_act'],
  ['other layers', { layer_types: ['full_attention', 'linear_attention', 'full_attention'] }, 'layer_types'],
  ['too few kinds of layers', { layer_types: ['full_attention'] }, 'layer_types'],
  [
    'sliding layers without a window',
    { layer_types: ['full_attention', 'sliding_attention', 'full_attention'], sliding_window: null },
    'sliding_window',
  ],
  ['quantised weights', { quantization_config: { quant_method: 'awq' } }, 'quantization_config'],
  ['another scaling', { rope_parameters: { rope_type: 'proportional' } }, 'rope_parameters.rope_type'],
  ['old other', { rope_parameters: null, rope_scaling: { type: 'mrope' } }, 'rope_scaling.rope_type'],
  ['dynamic without a factor', { rope_parameters: { rope_type: 'dynamic' } }, 'rope_parameters.factor'],
  [
    'longrope without its factors',
    { rope_parameters: { rope_type: 'longrope', long_factor: [1] } },
    'rope_parameters.short_factor',
  ],
  ['linear without a factor', { rope_parameters: { rope_type: 'linear' } }, 'rope_parameters.factor'],
  [
    'llama3 without its context',
    {
      rope_parameters: { ...llama3Scaling, rope_type: 'llama3', original_max_position_embeddings: undefined },
    },
    'rope_parameters.original_max_position_embeddings',
  ],
  [
    'llama3 without a band',
    { rope_parameters: { ...llama3Scaling, rope_type: 'llama3', high_freq_factor: 1 } },
    'rope_parameters.high_freq_factor',
  ],
  [
    'settings per kind of layer',
    { rope_parameters: { full_attention: { rope_type: 'default' } } },
    'rope_parameters.full_attention',
  ],
  ['a theta that is no number', { rope_parameters: { rope_theta: '1e6' } }, 'rope_parameters.rope_theta'],
  ['a part of the head rotated', { partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
  ['heads that do not divide', { num_key_value_heads: 3 }, 'num_key_value_heads'],
  ['a head size that is no integer', { head_dim: undefined, num_attention_heads: 6 }, 'head_dim'],
  ['an odd head size', { head_dim: 17 }, 'head_dim'],
  ['a missing size', { intermediate_size: undefined }, 'intermediate_size'],
  ['a size of zero', { hidden_size: 0 }, 'hidden_size'],
  ['a size as text', { vocab_size: '320' }, 'vocab_size'],
  ['more layers than anyone has', { num_hidden_layers: 100_000 }, 'num_hidden_layers'],
  ['a negative stop token', { eos_token_id: [-1] }, 'eos_token_id.0'],
])('a config with %s is refused by its field', (_, changes, field) => {
  const error = refusal(() => loadWith(changes));
  expect(error.field).toBe(field);
  expect(error.file).toBe(join(base, 'config.json'));
  expect(error.message).toContain(field);
});

test('a missing tensor is named at load', () => {
  expect(refusal(() => loadWith({ tie_word_embeddings: false }))).toMatchObject({
    field: 'lm_head.weight',
  });
  expect(refusal(() => loadWith({ num_hidden_layers: 4 })).field).toBe(
    'model.layers.3.input_layernorm.weight',
  );
  expect(refusal(() => loadWith({ attention_bias: true }, llama)).field).toBe(
    'model.layers.0.self_attn.q_proj.bias',
  );
  expect(refusal(() => loadWith({ mlp_bias: true }, llama)).field).toBe('model.layers.0.mlp.gate_proj.bias');
});

test('a tensor of another shape or dtype is named at load', () => {
  const error = refusal(() => loadWith({ vocab_size: 321 }));
  expect(error.field).toBe('model.embed_tokens.weight');
  expect(error.message).toContain('has shape [320, 64], config.json asks for [321, 64]');
  const directory = writeTinyModel(join(root, 'integer'));
  const { spec } = loadCheckpoint(directory);
  const tensors = [...requiredTensors(spec)].map(([name, shape]) => {
    const values = new Float32Array(shape.reduce((a, b) => a * b));
    const tensor = floatTensor(name, { shape, values, dtype: 'F32' });
    return name === 'model.norm.weight' ? { ...tensor, dtype: 'I32' } : tensor;
  });
  writeSafetensors(join(directory, 'model.safetensors'), tensors);
  expect(refusal(() => loadCheckpoint(directory))).toMatchObject({ field: 'model.norm.weight' });
});

test.each([Number.NaN, Number.NEGATIVE_INFINITY])('a weight of %d is named when it is read', (value) => {
  const directory = writeTinyModel(join(root, `value${value}`));
  const tensors = [...requiredTensors(loadCheckpoint(directory).spec)].map(([name, shape]) => {
    const values = new Float32Array(shape.reduce((a, b) => a * b));
    if (name === 'model.layers.1.mlp.up_proj.weight') values[77] = value;
    return floatTensor(name, { shape, values, dtype: 'BF16' });
  });
  writeSafetensors(join(directory, 'model.safetensors'), tensors);
  const checkpoint = loadCheckpoint(directory);
  expect(checkpoint.read('model.norm.weight')).toHaveLength(64);
  expect(refusal(() => checkpoint.read('model.layers.1.mlp.up_proj.weight'))).toMatchObject({
    field: 'model.layers.1.mlp.up_proj.weight',
    message: expect.stringContaining(`value 77 is ${value}`),
  });
});

test('an unknown tensor can be asked for, not read', () => {
  const checkpoint = loadCheckpoint(base);
  expect(checkpoint.has('lm_head.weight')).toBe(false);
  expect(() => checkpoint.read('lm_head.weight')).toThrow(CheckpointError);
  expect(() => checkpoint.shape('lm_head.weight')).toThrow('lm_head.weight');
});

test('a broken weight file is a CheckpointError too', () => {
  const directory = writeTinyModel(join(root, 'broken'));
  writeFileSync(join(directory, 'model.safetensors'), 'too short to be true');
  const error = refusal(() => loadCheckpoint(directory));
  expect(error.file).toBe(join(directory, 'model.safetensors'));
});

test('a directory without weights, without config, or that is none, is refused', () => {
  const directory = writeTinyModel(join(root, 'empty'));
  rmSync(join(directory, 'model.safetensors'));
  expect(refusal(() => loadCheckpoint(directory)).message).toContain('neither model.safetensors');
  rmSync(join(directory, 'config.json'));
  expect(refusal(() => loadCheckpoint(directory)).message).toContain('config.json: is missing');
  expect(refusal(() => loadCheckpoint(join(root, 'absent'))).message).toContain('is not a directory');
  writeFileSync(join(directory, 'config.json'), '{');
  expect(refusal(() => loadCheckpoint(directory)).message).toContain('is not valid JSON');
});

test('an index that points outside its directory, or at a tensor that is not there, is refused', () => {
  const directory = writeTinyModel(join(root, 'index'), { shardCount: 2 });
  const index = join(directory, 'model.safetensors.index.json');
  const { weight_map: map } = JSON.parse(readFileSync(index, 'utf8')) as {
    weight_map: Record<string, string>;
  };
  const write = (changes: Record<string, string>) =>
    writeFileSync(index, JSON.stringify({ weight_map: { ...map, ...changes } }));
  mkdirSync(join(root, 'elsewhere'), { recursive: true });
  write({ extra: '../base/model.safetensors' });
  expect(refusal(() => loadCheckpoint(directory))).toMatchObject({ field: 'weight_map' });
  write({ extra: 'config.json' });
  expect(refusal(() => loadCheckpoint(directory))).toMatchObject({ field: 'weight_map' });
  write({ 'model.norm.weight': map['model.embed_tokens.weight']! });
  expect(refusal(() => loadCheckpoint(directory))).toMatchObject({ field: 'model.norm.weight' });
  write({});
  renameSync(join(directory, map['model.norm.weight']!), join(directory, 'gone'));
  expect(refusal(() => loadCheckpoint(directory)).message).toContain('model-00002-of-00002.safetensors');
});
