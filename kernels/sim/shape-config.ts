// ShapeConfig: a Hugging Face config.json (parsed) as a ModelShape. Every field that looks like a size and is neither
// read nor known to cost nothing is refused by name: a model read as another one would be priced wrong in silence.
// Before it: shape-file.ts or catalogue.ts.
import type { SimPrecision } from './precision.ts';
import type { LatentAttention, LinearAttention, ModelShape } from './shapes.ts';

/** A model or device that nobody knows, or a config.json that is none. The message lists what is known. */
export class UnknownShapeError extends Error {
  override readonly name = 'UnknownShapeError';
}

// Sizes of other things, or of the same thing said twice.
const harmless = new Set(
  (
    'initializer_range layer_norm_epsilon rms_norm_eps attention_dropout n_group topk_group topk_method ep_size ' +
    'routed_scaling_factor rope_theta rope_scaling rope_parameters rope_local_base_freq max_window_layers ' +
    'initial_context_length partial_rotary_factor router_aux_loss_coef aux_loss_alpha seq_aux ' +
    'original_max_position_embeddings attn_temperature_tuning attn_scale floor_scale swiglu_limit ' +
    'num_labels num_beams num_return_sequences top_k pretraining_tp chunk_size_feed_forward ' +
    'first_k_dense_replace_step no_rope_layer_interval image_token_index vision_feature_layer ' +
    'query_pre_attn_scalar qk_head_dim rotary_dim max_length max_sequence_length experts_per_token ' +
    'num_experts_per_token no_repeat_ngram_size encoder_no_repeat_ngram_size num_beam_groups ' +
    'max_source_positions moe_layers quantization_config spatial_merge_size'
  ).split(' '),
);
const sizeLike =
  /(size|dim|dims|rank|layers?|heads?|experts?|topk|interval|freq|step|window|types?|pattern|ratio|width|depth|channels|block|blocks|latent|state)s?(_|$)|^(num|n|d)_/;

class Fields {
  readonly #name: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #read = new Set(['model_type', 'attention_types', 'torch_dtype', 'vision_config', 'text_config']);

  constructor(name: string, values: Readonly<Record<string, unknown>>) {
    this.#name = name;
    this.#values = values;
  }

  value(key: string): unknown {
    this.#read.add(key);
    return this.#values[key] ?? undefined;
  }

  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  count(key: string, fallback?: number, min = 1): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value < 2 ** 31)
      return value;
    return this.fail(key, 'not a count');
  }

  /** The first of these that is there; null: none is. */
  firstCount(keys: readonly string[]): number | null {
    const key = keys.find((candidate) => this.has(candidate));
    for (const other of keys) this.has(other);
    return key === undefined ? null : this.count(key);
  }

  list(key: string): readonly unknown[] | null {
    const value = this.value(key);
    if (value === undefined) return null;
    return Array.isArray(value) ? value : this.fail(key, 'not a list');
  }

  fail(key: string, why: string): never {
    const value = JSON.stringify(this.#values[key]);
    throw new UnknownShapeError(`config.json of ${this.#name}: ${key} is ${value}, ${why}`);
  }

  /** Refuses the first field that looks like a size and has not been read. */
  refuseUnread(): void {
    for (const [key, value] of Object.entries(this.#values)) {
      const nothing = value === undefined || value === null || value === false || value === 0 || value === '';
      const text = typeof value === 'string' || value === true;
      if (nothing || text || this.#read.has(key) || harmless.has(key) || !sizeLike.test(key)) continue;
      if (/(_id|_ids|_token|_index)$|^(bos|eos|pad|image|video|audio)_/.test(key)) continue;
      this.fail(key, 'a size that the simulator does not know: it would be priced wrong');
    }
  }
}

/** The shape that a config.json (parsed) describes. Throws UnknownShapeError naming the field. */
export function shapeOfConfig(name: string, config: unknown): ModelShape {
  const outer = recordOf(config);
  const nested = outer['text_config'] ?? outer['language_config'];
  // What the nested part leaves out stands outside (Mistral 3: tie_word_embeddings).
  const values = nested === undefined ? outer : { ...recordOf(nested), ...outerOnly(outer) };
  const fields = new Fields(name, values);
  const hiddenSize = fields.count('hidden_size');
  const headCount = fields.count('num_attention_heads');
  const layerCount = fields.count('num_hidden_layers');
  const latent = latentOf(fields);
  const shape = {
    ...{ name, layerCount, hiddenSize, headCount },
    kvHeadCount: fields.count('num_key_value_heads', headCount),
    headSize: fields.count('head_dim', Math.floor(hiddenSize / headCount)),
    ...feedForwardOf(fields, layerCount),
    vocabSize: fields.count('vocab_size'),
    tiedEmbeddings: fields.value('tie_word_embeddings') === true,
    contextLength: fields.count('max_position_embeddings'),
    gatedAttention: fields.value('attn_output_gate') === true || fields.value('model_type') === 'qwen3_next',
    ...attentionOf(fields, layerCount),
    latent,
    encoderWeights: encoderWeightsOf(outer['vision_config']),
    ...publishedFormat(name, outer['quantization_config'] ?? fields.value('quantization_config')),
    draftLayerCount: fields.count('num_nextn_predict_layers', 0, 0),
  };
  fields.refuseUnread();
  return shape;
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function outerOnly(outer: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return outer['tie_word_embeddings'] === undefined
    ? {}
    : { tie_word_embeddings: outer['tie_word_embeddings'] };
}

function latentOf(fields: Fields): LatentAttention | null {
  if (!fields.has('kv_lora_rank')) {
    for (const key of ['q_lora_rank', 'qk_rope_head_dim', 'qk_nope_head_dim', 'v_head_dim'])
      if (fields.has(key)) fields.fail(key, 'but there is no kv_lora_rank');
    return null;
  }
  return {
    kvRank: fields.count('kv_lora_rank'),
    queryRank: fields.count('q_lora_rank', 0, 0),
    ropeSize: fields.count('qk_rope_head_dim'),
    nopeSize: fields.count('qk_nope_head_dim'),
    valueSize: fields.count('v_head_dim'),
  };
}

type FeedForward = Pick<
  ModelShape,
  'denseFfnSize' | 'mixtureLayerCount' | 'ffnSize' | 'expertCount' | 'activeExpertCount' | 'sharedFfnSize'
>;

function feedForwardOf(fields: Fields, layerCount: number): FeedForward {
  const expertCount = fields.firstCount(['n_routed_experts', 'num_experts', 'num_local_experts']) ?? 1;
  const expertSize = fields.firstCount(['moe_intermediate_size']);
  const denseFfnSize = fields.firstCount(['intermediate_size_mlp', 'intermediate_size']);
  // Read here so that a dense model may carry them with no meaning.
  const activeCount = fields.firstCount(['num_experts_per_tok', 'moe_topk', 'moe_k']);
  const sharedFfnSize = sharedSizeOf(fields, expertSize ?? fields.count('intermediate_size', 1));
  const mixtureLayerCount = expertCount === 1 ? 0 : mixtureLayers(fields, layerCount);
  if (expertCount === 1) {
    const ffnSize = fields.count('intermediate_size');
    const rest = { expertCount: 1, activeExpertCount: 1, sharedFfnSize: 0, mixtureLayerCount: 0 };
    return { denseFfnSize: ffnSize, ffnSize, ...rest };
  }
  if (activeCount === null) return fields.fail('num_experts_per_tok', 'not a count');
  if (activeCount > expertCount) return fields.fail('num_experts_per_tok', `of ${expertCount} experts`);
  const ffnSize = expertSize ?? fields.count('intermediate_size');
  return {
    ...{ denseFfnSize: denseFfnSize ?? ffnSize, ffnSize, expertCount, activeExpertCount: activeCount },
    ...{ sharedFfnSize, mixtureLayerCount },
  };
}

function sharedSizeOf(fields: Fields, expertSize: number): number {
  const stated = fields.count('shared_expert_intermediate_size', 0, 0);
  const count = fields.count('n_shared_experts', fields.count('num_shared_experts', 0, 0), 0);
  if (stated > 0) return stated * Math.max(1, count);
  // Llama 4 has one beside the routed ones that no field mentions.
  return (fields.value('model_type') === 'llama4_text' ? 1 : count) * expertSize;
}

function mixtureLayers(fields: Fields, layerCount: number): number {
  const firstDense = fields.count('first_k_dense_replace', 0, 0);
  const every = fields.firstCount(['decoder_sparse_step', 'interleave_moe_layer_step']) ?? 1;
  const dense = new Set(fields.list('mlp_only_layers') ?? []);
  const frequency = fields.value('moe_layer_freq');
  const listed = Array.isArray(frequency) ? frequency : null;
  const stride = listed === null ? fields.count('moe_layer_freq', 1) : 1;
  if (listed !== null && listed.length !== layerCount)
    return fields.fail('moe_layer_freq', `not one for each of ${layerCount} layers`);
  let count = 0;
  for (let layer = 0; layer < layerCount; layer++) {
    const mixed = layer >= firstDense && (layer + 1) % every === 0 && layer % stride === 0;
    if (mixed && !dense.has(layer) && (listed === null || listed[layer] === 1)) count++;
  }
  return count;
}

type Attention = Pick<
  ModelShape,
  'fullAttentionLayerCount' | 'windowedLayerCount' | 'windowTokens' | 'linear'
>;

function attentionOf(fields: Fields, layerCount: number): Attention {
  const types = fields.list('layer_types');
  if (types !== null && types.length !== layerCount)
    return fields.fail('layer_types', `not one for each of ${layerCount} layers`);
  const known = ['full_attention', 'sliding_attention', 'chunked_attention', 'linear_attention'];
  const strange = types?.find((type) => !known.includes(type as string));
  if (strange !== undefined) return fields.fail('layer_types', `${JSON.stringify(strange)} is not known`);
  const window = windowOf(fields);
  const of = (type: string): number => types?.filter((candidate) => candidate === type).length ?? 0;
  const interval = fields.count('full_attention_interval', 0, 0);
  const linearCount =
    types === null && interval > 0 ? layerCount - Math.floor(layerCount / interval) : of('linear_attention');
  const windowedLayerCount =
    types === null
      ? windowedWithoutTypes(fields, layerCount, window)
      : of('sliding_attention') + of('chunked_attention');
  if (windowedLayerCount > 0 && window === 0)
    return fields.fail('sliding_window', 'but some layers have a window');
  return {
    fullAttentionLayerCount: layerCount - windowedLayerCount - linearCount,
    windowedLayerCount,
    windowTokens: windowedLayerCount > 0 ? window : 0,
    linear: linearOf(fields, linearCount),
  };
}

function windowOf(fields: Fields): number {
  const on = fields.value('use_sliding_window') !== false;
  const window = fields.count('sliding_window', 0, 0);
  return (on ? window : 0) || fields.count('attention_chunk_size', 0, 0);
}

function windowedWithoutTypes(fields: Fields, layerCount: number, window: number): number {
  // Llama 4: a layer with rotary positions sees its chunk, one without sees everything.
  const rotary = fields.list('no_rope_layers');
  const pattern = fields.count('sliding_window_pattern', 0, 0);
  if (window === 0) return 0;
  if (fields.has('attention_chunk_size')) {
    return rotary?.filter((flag) => flag === 1).length ?? Math.round((layerCount * 3) / 4);
  }
  return pattern > 0 ? layerCount - Math.floor(layerCount / pattern) : layerCount;
}

function linearOf(fields: Fields, layerCount: number): LinearAttention | null {
  const sizes = {
    keyHeadCount: fields.count('linear_num_key_heads', 0, 0),
    valueHeadCount: fields.count('linear_num_value_heads', 0, 0),
    keyHeadSize: fields.count('linear_key_head_dim', 0, 0),
    valueHeadSize: fields.count('linear_value_head_dim', 0, 0),
    convolutionSize: fields.count('linear_conv_kernel_dim', 0, 0),
  };
  if (layerCount === 0) return null;
  if (Object.values(sizes).includes(0))
    return fields.fail('linear_num_value_heads', 'or another linear_ size is not given');
  return { layerCount, ...sizes };
}

const formats: Readonly<Record<string, SimPrecision>> = {
  ...{ mxfp4: 'mxfp4', fp8: 'fp8', fbgemm_fp8: 'fp8', awq: 'int4', gptq: 'int4' },
  ...{ NVFP4: 'nvfp4', FP8: 'fp8', 'nvfp4-pack-quantized': 'nvfp4', 'float-quantized': 'fp8' },
  'pack-quantized': 'int4',
};

// What quantization_config says, in the words of its makers: a method, ModelOpt's algorithm, or compressed-tensors' format.
function publishedFormat(
  name: string,
  value: unknown,
): Pick<ModelShape, 'publishedPrecision' | 'hasBlockScales'> {
  if (value === undefined || value === null) return { publishedPrecision: 'fp16', hasBlockScales: false };
  const config = recordOf(value);
  const known = [config['quant_algo'], config['format'], config['quant_method']].find(
    (word): word is string => typeof word === 'string' && word in formats,
  );
  if (known === undefined) {
    const words = JSON.stringify(config['quant_method'] ?? value).slice(0, 60);
    throw new UnknownShapeError(
      `config.json of ${name}: quantization_config is ${words}, a format that is not simulated; known are ${Object.keys(formats).join(', ')}`,
    );
  }
  return {
    publishedPrecision: formats[known]!,
    hasBlockScales: config['weight_block_size'] !== undefined && config['weight_block_size'] !== null,
  };
}

// Four projections of attention and two of the feed-forward part, as in CLIP's towers.
function encoderWeightsOf(config: unknown): number {
  const { hidden_size: hidden, intermediate_size: ffn, num_hidden_layers: layers } = recordOf(config);
  if (typeof hidden !== 'number' || typeof ffn !== 'number' || typeof layers !== 'number') return 0;
  return layers * (4 * hidden * hidden + 2 * hidden * ffn);
}
