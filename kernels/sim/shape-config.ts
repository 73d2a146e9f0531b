// ShapeConfig: a Hugging Face config.json (parsed) as a ModelShape. Every field that looks like a size and is neither
// read nor known to cost nothing is refused by name: a model read as another one would be priced wrong in silence.
// Before it: shape-file.ts or catalogue.ts.
import { publishedFormat } from './published-format.ts';
import type { LatentAttention, LinearAttention, ModelShape } from './shapes.ts';
import { UnknownShapeError } from './unknown-shape-error.ts';

export { UnknownShapeError } from './unknown-shape-error.ts';

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
const notSize =
  /(_id|_ids|_token|_index|_eps|_epsilon|_pdrop|_dropout|_theta|_factor)$|^(bos|eos|pad|image|video|audio)_|^(id2label|label2id|task_specific_params|generation_config)$/;

const countEnd = 2 ** 31;
const layersMax = 10_000; // each is looked at

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
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value < countEnd)
      return value;
    return this.fail(key, `not a count from ${min} to ${countEnd - 1}`);
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
    const value = (JSON.stringify(this.#values[key]) ?? 'not there').slice(0, 60);
    throw new UnknownShapeError(`config.json of ${this.#name}: ${key} is ${value}, ${why}`);
  }

  /** Refuses the first field that looks like a size, or has one in it, and has not been read. */
  refuseUnread(): void {
    for (const [key, value] of Object.entries(this.#values)) {
      if (this.#read.has(key) || !mayBeSize(key, value)) continue;
      this.fail(key, 'a size that the simulator does not know: it would be priced wrong');
    }
  }
}

function mayBeSize(key: string, value: unknown): boolean {
  const nothing = value === undefined || value === null || value === false || value === 0 || value === '';
  if (nothing || typeof value === 'string' || value === true || harmless.has(key) || notSize.test(key))
    return false;
  if (sizeLike.test(key)) return true;
  return Object.entries(recordOf(value)).some(([inner, innerValue]) => mayBeSize(inner, innerValue));
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
  if (layerCount > layersMax) fields.fail('num_hidden_layers', `at most ${layersMax} are simulated`);
  const kvHeadCount = fields.count('num_key_value_heads', headCount);
  if (headCount % kvHeadCount !== 0)
    fields.fail('num_key_value_heads', `which ${headCount} heads cannot share evenly`);
  const latent = latentOf(fields);
  const shape = {
    ...{ name, layerCount, hiddenSize, headCount },
    kvHeadCount,
    headSize: fields.count('head_dim', Math.floor(hiddenSize / headCount)),
    ...feedForwardOf(fields, layerCount),
    vocabSize: fields.count('vocab_size'),
    tiedEmbeddings: (fields.value('tie_word_embeddings') ?? tiesEmbeddings(fields)) === true,
    contextLength: fields.count('max_position_embeddings'),
    gatedAttention: fields.value('attn_output_gate') === true || fields.value('model_type') === 'qwen3_next',
    ...attentionOf(fields, layerCount),
    latent,
    encoderWeights: encoderWeightsOf(name, outer['vision_config']),
    ...publishedFormat(name, outer['quantization_config'] ?? fields.value('quantization_config')),
    draftLayerCount: fields.count('num_nextn_predict_layers', draftModules(fields), 0),
  };
  fields.refuseUnread();
  return shape;
}

function draftModules(fields: Fields): number {
  return fields.count('num_mtp_modules', 0, 0) * fields.count('mtp_transformer_layers', 1);
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
    const width = fields.count('intermediate_size');
    // Two matrices instead of three: as many weights, and as much moved, as a gated part of two thirds of the width.
    const ffnSize = hasGate(fields) ? width : Math.round((width * 2) / 3);
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

const withoutGate = 'starcoder2 nemotron phi gpt_neox gptj gpt_bigcode codegen opt bloom falcon mpt'.split(
  ' ',
);

function hasGate(fields: Fields): boolean {
  return !withoutGate.includes(typeOf(fields)) && fields.value('hidden_act') !== 'relu2';
}

// What a config.json leaves out where its model's class has it so.
function tiesEmbeddings(fields: Fields): boolean {
  return /^(gemma|cohere|starcoder2|gpt_bigcode)/.test(typeOf(fields));
}

function typeOf(fields: Fields): string {
  return String(fields.value('model_type') ?? '');
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
  const kinds = fields.list('attn_type_list'); // MiniMax: 1 is full attention, 0 is linear
  if (kinds?.some((kind) => kind !== 1))
    fields.fail('attn_type_list', 'and only full attention is known of it');
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
  const window = fields.count('sliding_window', fields.count('sliding_window_size', 0, 0), 0);
  return (on ? window : 0) || fields.count('attention_chunk_size', 0, 0);
}

function windowedWithoutTypes(fields: Fields, layerCount: number, window: number): number {
  // Llama 4: a layer with rotary positions sees its chunk, one without sees everything.
  const rotary = fields.list('no_rope_layers');
  const pattern = fields.count('sliding_window_pattern', patternOf(typeOf(fields)), 0);
  if (window === 0) return 0;
  if (fields.has('attention_chunk_size')) {
    return rotary?.filter((flag) => flag === 1).length ?? Math.round((layerCount * 3) / 4);
  }
  return pattern > 0 ? layerCount - Math.floor(layerCount / pattern) : layerCount;
}

// Every so many layers one sees everything, where a config.json does not say it.
function patternOf(type: string): number {
  if (type === 'gemma2') return 2;
  if (type.startsWith('gemma3')) return 6;
  return type === 'cohere2' ? 4 : 0;
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

// Four projections of attention and two of the feed-forward part, as in CLIP's towers. Qwen's says `depth`, and its hidden_size is
// that of the decoder where there is an embed_dim.
function encoderWeightsOf(name: string, config: unknown): number {
  const tower = recordOf(config);
  if (Object.keys(tower).length === 0) return 0;
  const count = (...keys: string[]): number =>
    Number(keys.map((key) => tower[key]).find(Number.isSafeInteger));
  const hidden = count('embed_dim', 'hidden_size', 'vt_hidden_size');
  const ffn = count('intermediate_size', 'vt_intermediate_size') || hidden * Number(tower['mlp_ratio']);
  const weights =
    count('num_hidden_layers', 'depth', 'vt_num_hidden_layers') * (4 * hidden * hidden + 2 * hidden * ffn);
  if (weights >= 0 && Number.isFinite(weights)) return weights;
  throw new UnknownShapeError(
    `config.json of ${name}: vision_config has no layers, width and feed-forward width that are known: its memory would be forgotten`,
  );
}
