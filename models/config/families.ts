// Decoder families as data: what a family is whatever its config says, what absent fields mean to transformers, and where
// its checkpoints keep each tensor. Owns no arithmetic. Before it: config-fields.ts names the fields; after it:
// checkpoint/checkpoint-config.ts makes a ModelSpec, weights/stored-tensors.ts finds weights.
//
// A family is computed if it can be said here. What it does not say is Llama's (plainDecoder of spec.ts).

import { type DecoderPlan, plainDecoder } from '../spec.ts';
import type { ConfigFields } from './config-fields.ts';

/** A field of config.json that says whether a bias is there, or what it is whatever config.json says. */
type Bias = boolean | 'attention_bias' | 'attention_out_bias' | 'mlp_bias' | 'qkv_bias' | 'use_bias';

/** A tensor's part of a layer: `self_attn.q_proj`; of fused ones also which rows. `*` is an expert's number. */
export interface StoredPart {
  readonly part: string;
  readonly rows?: FusedRows;
  readonly isMicroscaled?: boolean; // levels of 4 bits in `…_blocks`, a power of two for each 32 in `…_scales`
}

export type FusedRows =
  | 'query'
  | 'key'
  | 'value'
  | 'first-half'
  | 'second-half'
  | 'expert' // all experts one after another, as are the next four
  | 'expert-first-half'
  | 'expert-second-half'
  | 'expert-even' // rows that take turns
  | 'expert-odd';

export interface Family {
  readonly name: string; // as GGUF files call it
  readonly absent: Partial<ConfigFields>; // what fields mean that are not there; source: transformers' config classes
  readonly decoder: DecoderPlan;
  readonly biases: { readonly qkv: Bias; readonly output: Bias; readonly feed: Bias };
  /** Whether a layer has the window where `layer_types` does not say it; source: transformers' config classes. */
  readonly slides: (config: ConfigFields, layer: number) => boolean;
  readonly hasPartialRotary: boolean; // reads partial_rotary_factor
  readonly turns: (config: ConfigFields, layer: number) => boolean; // whether the layer has a rotary embedding
  readonly scalesEmbeddings: boolean; // by √hiddenSize
  readonly parts: Readonly<Record<string, StoredPart>>; // of a layer, by our name, where the checkpoint's differs
  readonly normsFromZero: boolean; // gains are stored less 1
  readonly isWithinText?: boolean; // the decoder's fields are in text_config
  readonly namesAllLayers?: boolean; // a layer whose kind no `layer_types` says has no attention
}

/** A family whose layers never slide refuses a window. */
export const never = (): boolean => false;
const always = () => true;

const llama: Family = {
  name: 'llama',
  absent: { rms_norm_eps: 1e-6 },
  decoder: plainDecoder,
  biases: { qkv: 'attention_bias', output: 'attention_bias', feed: 'mlp_bias' },
  slides: never,
  hasPartialRotary: false,
  turns: always,
  scalesEmbeddings: false,
  parts: {},
  normsFromZero: false,
};

const isQwenWindow = ({ use_sliding_window, max_window_layers }: ConfigFields, layer: number) =>
  use_sliding_window && layer >= max_window_layers;

const qwen2: Family = {
  ...llama,
  name: 'qwen2',
  biases: { qkv: true, output: false, feed: false },
  slides: isQwenWindow,
};

const qwen3: Family = {
  ...qwen2,
  name: 'qwen3',
  absent: { ...llama.absent, head_dim: 128 },
  decoder: { ...plainDecoder, queryKeyNorm: 'head' },
  biases: { qkv: 'attention_bias', output: 'attention_bias', feed: false },
};

const mistral: Family = {
  ...llama,
  name: 'llama', // in GGUF files it is one
  absent: { ...llama.absent, sliding_window: 4096, num_key_value_heads: 8 },
  biases: { qkv: false, output: false, feed: false },
  slides: always,
};

const ministral3: Family = {
  ...mistral,
  name: 'mistral3',
  absent: { rms_norm_eps: 1e-5, num_key_value_heads: 8, head_dim: 128 },
};

const seedOss: Family = {
  ...llama,
  name: 'seed_oss',
  absent: { ...llama.absent, num_key_value_heads: 8, head_dim: 128, attention_bias: true },
  biases: { qkv: 'attention_bias', output: 'attention_out_bias', feed: 'mlp_bias' },
};

const starcoder2: Family = {
  ...llama,
  name: 'starcoder2',
  absent: {
    ...{ hidden_act: 'gelu_pytorch_tanh', norm_epsilon: 1e-5, use_bias: true, tie_word_embeddings: true },
    ...{ num_key_value_heads: 2, max_position_embeddings: 4096 },
  },
  decoder: { ...plainDecoder, norm: 'layer', isGated: false },
  biases: { qkv: 'use_bias', output: 'use_bias', feed: 'use_bias' },
  slides: always,
  parts: { 'mlp.up_proj': { part: 'mlp.c_fc' }, 'mlp.down_proj': { part: 'mlp.c_proj' } },
};

const phi3: Family = {
  ...llama,
  name: 'phi3',
  absent: { rms_norm_eps: 1e-5, original_max_position_embeddings: 4096 },
  biases: { qkv: false, output: false, feed: false },
  slides: always,
  hasPartialRotary: true,
  parts: {
    'self_attn.q_proj': { part: 'self_attn.qkv_proj', rows: 'query' },
    'self_attn.k_proj': { part: 'self_attn.qkv_proj', rows: 'key' },
    'self_attn.v_proj': { part: 'self_attn.qkv_proj', rows: 'value' },
    'mlp.gate_proj': { part: 'mlp.gate_up_proj', rows: 'first-half' },
    'mlp.up_proj': { part: 'mlp.gate_up_proj', rows: 'second-half' },
  },
};

const gemma: Family = {
  ...llama,
  name: 'gemma',
  absent: {
    ...{
      rms_norm_eps: 1e-6,
      head_dim: 256,
      hidden_activation: 'gelu_pytorch_tanh',
      max_position_embeddings: 8192,
    },
    ...{ tie_word_embeddings: true, bos_token_id: 2, eos_token_id: 1 },
  },
  biases: { qkv: 'attention_bias', output: 'attention_bias', feed: false },
  scalesEmbeddings: true,
  normsFromZero: true,
};

const gemma2: Family = {
  ...gemma,
  name: 'gemma2',
  absent: {
    ...{ ...gemma.absent, sliding_window: 4096, query_pre_attn_scalar: 256 },
    ...{ attn_logit_softcapping: 50, final_logit_softcapping: 30 },
  },
  decoder: { ...plainDecoder, normPlacement: 'around' },
  slides: (_, layer) => layer % 2 === 0,
  parts: {
    // Ours is the norm before the feed-forward, as it is in Llama; theirs of the same name comes after the attention.
    post_attention_layernorm: { part: 'pre_feedforward_layernorm' },
    'self_attn.out_norm': { part: 'post_attention_layernorm' },
    'mlp.out_norm': { part: 'post_feedforward_layernorm' },
  },
};

const gemma3: Family = {
  ...gemma2,
  name: 'gemma3',
  absent: {
    ...{
      ...gemma.absent,
      sliding_window: 4096,
      query_pre_attn_scalar: 256,
      max_position_embeddings: 131_072,
    },
    ...{ rope_theta: 1e6, rope_local_base_freq: 10_000, sliding_window_pattern: 6 },
    ...{ vocab_size: 262_208, num_attention_heads: 8, num_key_value_heads: 4 },
  },
  decoder: { ...gemma2.decoder, queryKeyNorm: 'head' },
  slides: (config, layer) => (layer + 1) % (config.sliding_window_pattern ?? 6) !== 0,
};

const smollm3: Family = {
  ...llama,
  name: 'smollm3',
  absent: { ...llama.absent, tie_word_embeddings: true, rope_theta: 2e6, no_rope_layer_interval: 4 },
  turns: ({ no_rope_layers: layers, no_rope_layer_interval: interval = 4 }, layer) =>
    layers == null ? (layer + 1) % interval !== 0 : layers[layer] === 1,
  slides: (config, layer) => config.use_sliding_window && !smollm3.turns(config, layer),
};

const olmo2: Family = {
  ...llama,
  name: 'olmo2',
  absent: { rms_norm_eps: 1e-5 },
  decoder: { ...plainDecoder, normPlacement: 'after', queryKeyNorm: 'whole' },
  biases: { qkv: 'attention_bias', output: 'attention_bias', feed: false },
  parts: {
    'self_attn.out_norm': { part: 'post_attention_layernorm' },
    'mlp.out_norm': { part: 'post_feedforward_layernorm' },
  },
};

const olmo3: Family = {
  ...olmo2,
  name: 'olmo3',
  absent: { ...olmo2.absent, sliding_window: 4096, rope_theta: 500_000, rope_local_base_freq: 500_000 },
  slides: (_, layer) => (layer + 1) % 4 !== 0,
};

const sharedExpert = (part: string): Family['parts'] =>
  Object.fromEntries(
    ['gate_proj', 'up_proj', 'down_proj'].map((name) => [`mlp.shared.${name}`, { part: `${part}.${name}` }]),
  );

const qwen2moe: Family = {
  ...qwen2,
  name: 'qwen2moe',
  absent: {
    ...{ ...llama.absent, num_local_experts: 60, num_experts_per_tok: 4, moe_intermediate_size: 1408 },
    ...{ shared_expert_intermediate_size: 5632, intermediate_size: 5632, norm_topk_prob: false },
    ...{ num_key_value_heads: 16, sliding_window: 4096 },
  },
  biases: { qkv: 'qkv_bias', output: false, feed: false },
  slides: ({ use_sliding_window, max_window_layers }, layer) =>
    use_sliding_window && layer < max_window_layers && layer % 2 === 0,
  parts: {
    ...{ 'mlp.router': { part: 'mlp.gate' }, 'mlp.shared_gate': { part: 'mlp.shared_expert_gate' } },
    ...sharedExpert('mlp.shared_expert'),
  },
};

const qwen3moe: Family = {
  ...qwen3,
  name: 'qwen3moe',
  absent: {
    ...{ ...llama.absent, num_local_experts: 128, num_experts_per_tok: 8, moe_intermediate_size: 768 },
    ...{ intermediate_size: 6144, norm_topk_prob: false, num_key_value_heads: 4 },
  },
  parts: { 'mlp.router': { part: 'mlp.gate' } },
};

const mixtral: Family = {
  ...mistral,
  name: 'mixtral',
  absent: {
    ...{ rms_norm_eps: 1e-5, num_key_value_heads: 8, num_local_experts: 8, num_experts_per_tok: 2 },
    norm_topk_prob: true,
  },
  parts: {
    'mlp.router': { part: 'block_sparse_moe.gate' },
    'mlp.experts.*.gate_proj': { part: 'block_sparse_moe.experts.*.w1' },
    'mlp.experts.*.down_proj': { part: 'block_sparse_moe.experts.*.w2' },
    'mlp.experts.*.up_proj': { part: 'block_sparse_moe.experts.*.w3' },
  },
};

const granite: Family = {
  ...llama,
  name: 'granite',
  absent: { ...llama.absent, attention_multiplier: 1 },
};

const granitemoe: Family = {
  ...granite,
  name: 'granitemoe',
  absent: { ...granite.absent, num_local_experts: 8, num_experts_per_tok: 2, norm_topk_prob: true },
  biases: { qkv: 'attention_bias', output: 'attention_bias', feed: false },
  parts: {
    'mlp.router': { part: 'block_sparse_moe.router.layer' },
    'mlp.experts.*.gate_proj': { part: 'block_sparse_moe.input_linear', rows: 'expert-first-half' },
    'mlp.experts.*.up_proj': { part: 'block_sparse_moe.input_linear', rows: 'expert-second-half' },
    'mlp.experts.*.down_proj': { part: 'block_sparse_moe.output_linear', rows: 'expert' },
    'mlp.shared.gate_proj': { part: 'shared_mlp.input_linear', rows: 'first-half' },
    'mlp.shared.up_proj': { part: 'shared_mlp.input_linear', rows: 'second-half' },
    'mlp.shared.down_proj': { part: 'shared_mlp.output_linear' },
  },
};

// Only those whose layers all attend. Without experts, what they would share is all there is.
const granitehybrid: Family = {
  ...granitemoe,
  name: 'granitehybrid',
  absent: { ...granitemoe.absent, shared_intermediate_size: 1024 },
  turns: ({ position_embedding_type }) => position_embedding_type === 'rope',
  parts: {
    ...granitemoe.parts,
    'mlp.gate_proj': { part: 'shared_mlp.input_linear', rows: 'first-half' },
    'mlp.up_proj': { part: 'shared_mlp.input_linear', rows: 'second-half' },
    'mlp.down_proj': { part: 'shared_mlp.output_linear' },
  },
  namesAllLayers: true,
};

const gptOss: Family = {
  ...llama,
  name: 'gpt-oss',
  absent: {
    ...{
      rms_norm_eps: 1e-5,
      head_dim: 64,
      num_key_value_heads: 8,
      num_local_experts: 128,
      num_experts_per_tok: 4,
    },
    ...{ attention_bias: true, mlp_bias: true, sliding_window: 128, norm_topk_prob: true, router_bias: true },
    ...{ rope_theta: 150_000, swiglu_alpha: 1.702, swiglu_limit: 7, max_position_embeddings: 131_072 },
  },
  decoder: { ...plainDecoder, hasSinks: true },
  slides: (_, layer) => layer % 2 === 0,
  parts: {
    'mlp.experts.*.gate_proj': { part: 'mlp.experts.gate_up_proj', rows: 'expert-even', isMicroscaled: true },
    'mlp.experts.*.up_proj': { part: 'mlp.experts.gate_up_proj', rows: 'expert-odd', isMicroscaled: true },
    'mlp.experts.*.down_proj': { part: 'mlp.experts.down_proj', rows: 'expert', isMicroscaled: true },
  },
};

/** By the class that config.json names. */
export const families: ReadonlyMap<string, Family> = new Map([
  ['LlamaForCausalLM', llama],
  ['Qwen2ForCausalLM', qwen2],
  ['Qwen3ForCausalLM', qwen3],
  ['MistralForCausalLM', mistral],
  ['MinistralForCausalLM', { ...mistral, absent: { ...mistral.absent, head_dim: undefined } }],
  ['Ministral3ForCausalLM', ministral3],
  ['Mistral3ForConditionalGeneration', { ...ministral3, isWithinText: true }], // its encoder of images is not read
  ['SeedOssForCausalLM', seedOss],
  ['Starcoder2ForCausalLM', starcoder2],
  ['GraniteForCausalLM', granite],
  ['Phi3ForCausalLM', phi3],
  ['GemmaForCausalLM', gemma],
  ['Gemma2ForCausalLM', gemma2],
  ['Gemma3ForCausalLM', gemma3],
  ['Gemma3ForConditionalGeneration', { ...gemma3, isWithinText: true }], // its encoder of images is not read
  ['SmolLM3ForCausalLM', smollm3],
  ['Olmo2ForCausalLM', olmo2],
  ['Olmo3ForCausalLM', olmo3],
  ['Qwen2MoeForCausalLM', qwen2moe],
  ['Qwen3MoeForCausalLM', qwen3moe],
  ['MixtralForCausalLM', mixtral],
  ['GraniteMoeForCausalLM', granitemoe],
  ['GraniteMoeSharedForCausalLM', granitemoe],
  ['GraniteMoeHybridForCausalLM', granitehybrid],
  ['GptOssForCausalLM', gptOss],
]);

/** By ModelSpec.architecture. */
export function familyNamed(name: string): Family {
  return [...families.values()].find((family) => family.name === name) ?? llama;
}
