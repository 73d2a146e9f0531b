// Hugging Face config.json → ModelSpec, by the description of its family. Refuses, with the field's name, whatever our
// graphs do not compute (other architectures, activations, kinds of layers, quantised weights).
// Absent fields mean what they mean to transformers. Before it: config/families.ts, config/config-rotary.ts; after it: checkpoint.ts.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { activationNamed } from '../config/activation-name.ts';
import { type ConfigFields, configSchema, tokenIdsField } from '../config/config-fields.ts';
import { rotaryOf } from '../config/config-rotary.ts';
import { type Family, families, never } from '../config/families.ts';
import { insteadOf } from '../config/unsupported.ts';
import { contents } from '../files/directory-contents.ts';
import { CheckpointError, readJson, readOptionalJson } from '../files/model-file.ts';
import { modelName } from '../files/model-name.ts';
import { findGguf } from '../gguf/find-gguf.ts';
import { openGguf } from '../gguf/gguf-file.ts';
import { ggufSpec } from '../gguf/gguf-spec.ts';
import { exportSpec, isExport } from '../onnx/onnx-export.ts';
import type { Activation, LayerAttention, ModelSpec } from '../spec.ts';

const architectureSchema = z.looseObject({ architectures: z.array(z.string()).min(1) });
const generationEosSchema = z.looseObject({ eos_token_id: tokenIdsField });

/** Reads config.json (and the stop tokens of generation_config.json), GGUF metadata, or what an export says. Throws CheckpointError. */
export function readModelSpec(path: string): ModelSpec {
  const gguf = findGguf(path);
  if (gguf !== null) return ggufSpec(openGguf(gguf), modelName(path));
  return isExport(path) ? exportSpec(path) : readConfig(path);
}

function readConfig(directory: string): ModelSpec {
  const file = join(directory, 'config.json');
  if (!existsSync(file)) throw new CheckpointError(`is missing${contents(directory)}`, { file });
  // Before anything else: other architectures have other fields.
  const named = readJson(file, architectureSchema);
  const family = familyOf(named.architectures[0]!, file);
  const config = readJson(file, configOf(family));
  refuseUnsupported(config, family, file);
  const heads = attentionShape(config, file);
  const { headSize } = heads;
  const rotary = rotaryOf(config, { file, headSize, isPartial: family.hasPartialRotary });
  const bias = (which: keyof Family['biases']) => {
    const field = family.biases[which];
    return typeof field === 'boolean' ? field : config[field];
  };
  return {
    ...family.decoder,
    name: modelName(directory),
    architecture: family.name,
    vocabSize: config.vocab_size,
    hiddenSize: config.hidden_size,
    layerCount: config.num_hidden_layers,
    ...heads,
    ...feedForwardOf(config, { family, file }),
    rmsNormEps: epsilonOf(config, file),
    activation: activationOf(config, file),
    ...rotary,
    layers: layersOf(config, { family, file, ...rotary }),
    ...multipliersOf(config, { family, headSize }),
    tiedEmbeddings: config.tie_word_embeddings,
    qkvBias: bias('qkv'),
    attentionOutputBias: bias('output'),
    mlpBias: bias('feed'),
    bosTokenId: config.bos_token_id ?? null,
    eosTokenIds: eosTokenIds(directory, config, file),
  };
}

/** With what absent fields mean; a model that takes images too has its decoder's fields apart, stop tokens beside them. */
function configOf({ absent, isWithinText }: Family) {
  return z.preprocess((fields) => {
    const { text_config, ...outer } = fields as { text_config?: object };
    return { ...absent, ...outer, ...(isWithinText && text_config) };
  }, configSchema);
}

/** A layer's feed-forward, or its experts: transformers knows them by either of two names. */
function feedForwardOf(
  config: ConfigFields,
  { family, file }: { family: Family; file: string },
): Pick<ModelSpec, 'ffnSize' | 'experts'> {
  const count = config.num_experts ?? config.num_local_experts ?? 0;
  const sharedSize = sharedSizeOf(config, family);
  if (count === 0) return { ffnSize: sharedSize || config.intermediate_size, experts: null };
  const refuse = (field: string, problem: string) => new CheckpointError(problem, { file, field });
  const activeCount = config.num_experts_per_tok ?? count;
  if (activeCount === 0 || activeCount > count)
    throw refuse('num_experts_per_tok', `${activeCount} of ${count} experts are not supported`);
  const layers = denseLayersOf(config);
  return {
    ffnSize: config.moe_intermediate_size ?? config.intermediate_size,
    experts: {
      ...{ count, activeCount, isNormalised: config.norm_topk_prob ?? false },
      hasRouterBias: config.router_bias ?? false,
      clamp:
        config.swiglu_alpha !== undefined && config.swiglu_limit !== undefined
          ? { alpha: config.swiglu_alpha, limit: config.swiglu_limit }
          : null,
      shared: sharedSize === 0 ? null : { size: sharedSize, isGated: 'mlp.shared_gate' in family.parts },
      dense: layers.length === 0 ? null : { layers, size: config.intermediate_size },
    },
  };
}

/** 0: none. Families that share nothing have such fields in published configs, too, which mean nothing there: Qwen3-Coder's. */
function sharedSizeOf(config: ConfigFields, { parts }: Family): number {
  if (!('mlp.shared.up_proj' in parts)) return 0;
  return config.shared_expert_intermediate_size ?? config.shared_intermediate_size ?? 0;
}

/** Source: transformers' Qwen2Moe and Qwen3Moe decoder layers. */
function denseLayersOf(config: ConfigFields): readonly number[] {
  const { mlp_only_layers: listed, decoder_sparse_step: step = 1, num_hidden_layers: count } = config;
  return Array.from({ length: count }, (_, layer) => layer).filter(
    (layer) => listed?.includes(layer) || (layer + 1) % step !== 0,
  );
}

function familyOf(architecture: string, file: string): Family {
  const family = families.get(architecture);
  if (family) return family;
  const known = [...families.keys()].join(', ');
  const advice = insteadOf(architecture);
  throw new CheckpointError(`${architecture} is not supported${advice} (only ${known})`, {
    file,
    field: 'architectures',
  });
}

function refuseUnsupported(config: ConfigFields, family: Family, file: string): void {
  const refuse = (field: string, problem: string) => new CheckpointError(problem, { file, field });
  const method = (config.quantization_config as { quant_method?: unknown } | null)?.quant_method;
  const isMicroscaled = Object.values(family.parts).some((part) => part.isMicroscaled);
  if (config.quantization_config != null && !(isMicroscaled && method === 'mxfp4')) {
    const problem =
      'quantised weights are not supported (only F32, F16, BF16): take the model as it was before, or its GGUF file';
    throw refuse('quantization_config', problem);
  }
  if (config.use_bidirectional_attention) {
    throw refuse('use_bidirectional_attention', 'is an encoder: only decoders are supported');
  }
}

function epsilonOf({ norm_epsilon, rms_norm_eps }: ConfigFields, file: string): number {
  const epsilon = norm_epsilon ?? rms_norm_eps;
  if (epsilon !== undefined) return epsilon;
  throw new CheckpointError('is missing', { file, field: 'rms_norm_eps' });
}

function activationOf({ hidden_activation, hidden_act }: ConfigFields, file: string): Activation {
  const field = hidden_activation == null ? 'hidden_act' : 'hidden_activation';
  return activationNamed(hidden_activation ?? hidden_act, { file, field });
}

/** Every layer's window and rotary embedding. A window as long as the context is none. */
function layersOf(
  config: ConfigFields,
  {
    family,
    file,
    contextLength,
    localRopeTheta,
  }: Pick<ModelSpec, 'contextLength' | 'localRopeTheta'> & {
    readonly family: Family;
    readonly file: string;
  },
): readonly LayerAttention[] {
  const refuse = (field: string, problem: string) => new CheckpointError(problem, { file, field });
  const { layer_types: types, sliding_window: window, num_hidden_layers: count } = config;
  if (types != null && types.length < count) {
    throw refuse('layer_types', `names ${types.length} layers of ${count}`);
  }
  if (types == null && family.namesAllLayers) {
    throw refuse('layer_types', 'is missing: no layer would have attention');
  }
  if (family.slides === never && !types && window != null && window < contextLength) {
    throw refuse(
      'sliding_window',
      `${window} is not supported for this architecture (only null, or the whole context)`,
    );
  }
  return Array.from({ length: count }, (_, layer): LayerAttention => {
    const type = types?.[layer]?.replace(/^attention$/, 'full_attention'); // Granite's name
    if (type !== undefined && type !== 'full_attention' && type !== 'sliding_attention') {
      throw refuse('layer_types', `${type} is not supported (only full_attention, sliding_attention)`);
    }
    const slides = type === undefined ? family.slides(config, layer) : type === 'sliding_attention';
    if (type !== undefined && slides && window == null) {
      throw refuse('sliding_window', 'is required for layers of sliding_attention');
    }
    const turned = slides && localRopeTheta !== null ? 'local' : 'main';
    return {
      window: slides && window != null && window < contextLength ? window : null,
      rotary: family.turns(config, layer) ? turned : 'none',
    };
  });
}

function multipliersOf(config: ConfigFields, { family, headSize }: { family: Family; headSize: number }) {
  const queryScale = config.query_pre_attn_scalar ?? headSize;
  return {
    embeddingMultiplier: family.scalesEmbeddings
      ? Math.sqrt(config.hidden_size)
      : (config.embedding_multiplier ?? 1),
    residualMultiplier: config.residual_multiplier ?? 1,
    attentionMultiplier: config.attention_multiplier ?? 1 / Math.sqrt(queryScale),
    logitMultiplier: 1 / (config.logits_scaling ?? 1),
    attentionSoftCap: config.attn_logit_softcapping ?? null,
    logitSoftCap: config.final_logit_softcapping ?? null,
  };
}

function attentionShape(config: ConfigFields, file: string) {
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
  if (headSize % 2 !== 0) {
    const problem = `${headSize} is not supported (only even sizes of a head)`;
    throw new CheckpointError(problem, { file, field: 'head_dim' });
  }
  return { headCount, kvHeadCount, headSize };
}

/** As in transformers, generation_config.json has the last word on what ends a generation. */
function eosTokenIds(directory: string, config: ConfigFields, configFile: string): readonly number[] {
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
