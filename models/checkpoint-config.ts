// Hugging Face config.json → ModelSpec. Reads both dialects of rotary settings and refuses, with the field's name,
// whatever our graphs do not compute (sliding windows, other activations, other rope types, quantised weights).
// Absent fields mean what they mean to transformers. Before it: the disk; after it: checkpoint.ts.
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { contents } from './directory-contents.ts';
import { findGguf } from './gguf/find-gguf.ts';
import { ggufName, openGguf } from './gguf/gguf-file.ts';
import { ggufSpec } from './gguf/gguf-spec.ts';
import { hubIdOfPath } from './hub-cache.ts';
import { CheckpointError, readJson, readOptionalJson } from './model-file.ts';
import { layerCountMax, type ModelSpec, type RopeScaling } from './spec.ts';

const count = z.int().positive();
const tokenId = z.int().nonnegative();
const tokenIds = z.union([tokenId, z.array(tokenId)]).nullish();
const ropeSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(), // older name of rope_type
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: count.optional(),
  partial_rotary_factor: z.number().optional(),
});

const architectureSchema = z.looseObject({ architectures: z.array(z.string()).min(1) });
const configSchema = z.looseObject({
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count.max(layerCountMax),
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  hidden_act: z.string().default('silu'),
  max_position_embeddings: count,
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive().optional(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  partial_rotary_factor: z.number().optional(),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  use_sliding_window: z.boolean().default(false),
  sliding_window: count.nullish(),
  max_window_layers: z.int().nonnegative().default(28), // source: transformers Qwen2Config
  layer_types: z.array(z.string()).nullish(),
  quantization_config: z.unknown().optional(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: tokenIds,
});
type Config = z.output<typeof configSchema>;

const generationEosSchema = z.looseObject({ eos_token_id: tokenIds });

const architectures: ReadonlyMap<string, ModelSpec['architecture']> = new Map([
  ['Qwen2ForCausalLM', 'qwen2'],
  ['LlamaForCausalLM', 'llama'],
]);
const headSizeStep = 16; // elements; source: GroupQueryAttention of ONNX Runtime on the CPU
const ropeThetaDefault = 10_000; // base of the frequencies; source: transformers 4 Llama and Qwen2 configs

/** Reads config.json (and the stop tokens of generation_config.json), or GGUF metadata. Throws CheckpointError. */
export function readModelSpec(path: string): ModelSpec {
  const gguf = findGguf(path);
  return gguf === null ? readConfig(path) : ggufSpec(openGguf(gguf), modelName(path));
}

/**
 * OWNER/NAME in Hugging Face's cache; else what its directory is called, or its GGUF file without extension and shard
 * number.
 */
export function modelName(path: string): string {
  return hubIdOfPath(path) ?? ggufName(basename(resolve(path)));
}

function readConfig(directory: string): ModelSpec {
  const file = join(directory, 'config.json');
  if (!existsSync(file)) throw new CheckpointError(`is missing${contents(directory)}`, { file });
  // Before anything else: other architectures have other fields.
  const architecture = architectureOf(readJson(file, architectureSchema), file);
  const config = readJson(file, configSchema);
  refuseUnsupported(config, architecture, file);
  return {
    name: modelName(directory),
    architecture,
    vocabSize: config.vocab_size,
    hiddenSize: config.hidden_size,
    layerCount: config.num_hidden_layers,
    ...attentionShape(config, file),
    ffnSize: config.intermediate_size,
    contextLength: config.max_position_embeddings,
    rmsNormEps: config.rms_norm_eps,
    ...rope(config, file),
    tiedEmbeddings: config.tie_word_embeddings,
    qkvBias: architecture === 'qwen2' || config.attention_bias, // Qwen2 always has it; no field says so.
    attentionOutputBias: architecture === 'llama' && config.attention_bias,
    mlpBias: architecture === 'llama' && config.mlp_bias,
    bosTokenId: config.bos_token_id ?? null,
    eosTokenIds: eosTokenIds(directory, config, file),
  };
}

function architectureOf(
  config: z.output<typeof architectureSchema>,
  file: string,
): ModelSpec['architecture'] {
  const architecture = architectures.get(config.architectures[0]!);
  if (architecture) return architecture;
  const known = [...architectures.keys()].join(', ');
  throw new CheckpointError(`${config.architectures[0]} is not supported (only ${known})`, {
    file,
    field: 'architectures',
  });
}

function refuseUnsupported(config: Config, architecture: ModelSpec['architecture'], file: string): void {
  const refuse = (field: string, problem: string) => new CheckpointError(problem, { file, field });
  if (config.hidden_act !== 'silu') {
    throw refuse('hidden_act', `${config.hidden_act} is not supported (only silu)`);
  }
  if (config.quantization_config != null) {
    throw refuse('quantization_config', 'quantised weights are not supported (only F32, F16, BF16)');
  }
  if ((config.partial_rotary_factor ?? 1) !== 1) {
    throw refuse('partial_rotary_factor', `${config.partial_rotary_factor} is not supported (only 1)`);
  }
  const otherLayer = config.layer_types?.find((type) => type !== 'full_attention');
  if (otherLayer !== undefined) {
    throw refuse('layer_types', `${otherLayer} is not supported (only full_attention)`);
  }
  // Published Qwen2 configs carry a window that is off, or that starts above the last layer.
  const windowed = config.use_sliding_window && config.sliding_window != null && !config.layer_types;
  if (architecture === 'qwen2' && windowed && config.max_window_layers < config.num_hidden_layers) {
    throw refuse('use_sliding_window', 'sliding window attention is not supported');
  }
  const isLong = config.sliding_window != null && config.sliding_window < config.max_position_embeddings;
  if (architecture === 'llama' && isLong) {
    throw refuse(
      'sliding_window',
      `${config.sliding_window} is not supported (only null, or the whole context)`,
    );
  }
}

function attentionShape(config: Config, file: string) {
  const headCount = config.num_attention_heads;
  const kvHeadCount = config.num_key_value_heads ?? headCount;
  if (headCount % kvHeadCount !== 0) {
    throw new CheckpointError(`${kvHeadCount} does not divide num_attention_heads ${headCount}`, {
      file,
      field: 'num_key_value_heads',
    });
  }
  const headSize = config.head_dim ?? config.hidden_size / headCount;
  if (!Number.isInteger(headSize)) {
    throw new CheckpointError(
      `absent, and num_attention_heads ${headCount} does not divide ${config.hidden_size}`,
      { file, field: 'head_dim' },
    );
  }
  if (headSize % headSizeStep !== 0) {
    const problem = `${headSize} is not supported (only multiples of ${headSizeStep})`;
    throw new CheckpointError(problem, { file, field: 'head_dim' });
  }
  return { headCount, kvHeadCount, headSize };
}

/** transformers ≥ 5 writes `rope_parameters`; older files have `rope_theta` beside an optional `rope_scaling`. */
function rope(config: Config, file: string): { ropeTheta: number; ropeScaling: RopeScaling | null } {
  const section = config.rope_parameters ? 'rope_parameters' : 'rope_scaling';
  const settings = config.rope_parameters ?? config.rope_scaling ?? {};
  const refuse = (field: string, problem: string) =>
    new CheckpointError(problem, { file, field: `${section}.${field}` });
  const need = (
    field: 'factor' | 'low_freq_factor' | 'high_freq_factor' | 'original_max_position_embeddings',
  ) => {
    const value = settings[field];
    if (value === undefined) throw refuse(field, `is required for rope_type ${type}`);
    return value;
  };
  // One set of parameters per kind of layer: only models that mix attention kinds have it.
  if ('full_attention' in settings) throw refuse('full_attention', 'per-layer settings are not supported');
  if ((settings.partial_rotary_factor ?? 1) !== 1) {
    throw refuse('partial_rotary_factor', `${settings.partial_rotary_factor} is not supported (only 1)`);
  }
  const ropeTheta = settings.rope_theta ?? config.rope_theta ?? ropeThetaDefault;
  const type = settings.rope_type ?? settings.type ?? 'default';
  if (type === 'default') return { ropeTheta, ropeScaling: null };
  if (type === 'linear') return { ropeTheta, ropeScaling: { kind: 'linear', factor: need('factor') } };
  if (type !== 'llama3') {
    throw refuse('rope_type', `${type} is not supported (only default, linear, llama3)`);
  }
  const ropeScaling = {
    kind: 'llama3',
    factor: need('factor'),
    lowFreqFactor: need('low_freq_factor'),
    highFreqFactor: need('high_freq_factor'),
    originalContextLength: need('original_max_position_embeddings'),
  } as const;
  if (ropeScaling.lowFreqFactor >= ropeScaling.highFreqFactor) {
    throw refuse('high_freq_factor', `${ropeScaling.highFreqFactor} must exceed low_freq_factor`);
  }
  return { ropeTheta, ropeScaling };
}

/** As in transformers, generation_config.json has the last word on what ends a generation. */
function eosTokenIds(directory: string, config: Config, configFile: string): readonly number[] {
  const generationFile = join(directory, 'generation_config.json');
  const generation = readOptionalJson(generationFile, generationEosSchema);
  const file = generation?.eos_token_id == null ? configFile : generationFile;
  const ids = [generation?.eos_token_id ?? config.eos_token_id ?? []].flat();
  for (const id of ids) {
    if (id < config.vocab_size) continue;
    throw new CheckpointError(`${id} is outside the vocabulary of ${config.vocab_size}`, {
      file,
      field: 'eos_token_id',
    });
  }
  return [...new Set(ids)];
}
