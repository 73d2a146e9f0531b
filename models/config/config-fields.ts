// The fields of a Hugging Face config.json that a decoder depends on, over all families; whatever else is there is not
// read. Owns their types, no meaning. Before it: the disk; after it: families.ts, config-rotary.ts, checkpoint/checkpoint-config.ts.
import { z } from 'zod';
import { layerCountMax } from '../spec.ts';

const count = z.int().positive();
const tokenId = z.int().nonnegative();
export const tokenIdsField = z.union([tokenId, z.array(tokenId)]).nullish();
const multiplier = z.number().positive().optional();

export const rotarySchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(), // older name of rope_type
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().nullish(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: count.optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  attention_factor: z.number().positive().nullish(),
  beta_fast: z.number().positive().nullish(),
  beta_slow: z.number().positive().nullish(),
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
  truncate: z.boolean().optional(),
  llama_4_scaling_beta: z.number().nonnegative().nullish(),
  short_factor: z.array(z.number().positive()).optional(),
  long_factor: z.array(z.number().positive()).optional(),
});
export type RotarySettings = z.output<typeof rotarySchema>;

export const configSchema = z.looseObject({
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count.max(layerCountMax),
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  hidden_act: z.string().default('silu'),
  hidden_activation: z.string().nullish(), // Gemma's name, which goes first
  max_position_embeddings: count,
  original_max_position_embeddings: count.nullish(),
  rms_norm_eps: z.number().positive().optional(),
  norm_epsilon: z.number().positive().optional(), // StarCoder2's name
  rope_theta: z.number().positive().optional(),
  rope_local_base_freq: z.number().positive().optional(),
  rope_scaling: rotarySchema.nullish(),
  rope_parameters: rotarySchema.nullish(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  position_embedding_type: z.string().nullish(),
  no_rope_layers: z.array(z.int()).nullish(),
  no_rope_layer_interval: count.optional(),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  attention_out_bias: z.boolean().default(false),
  qkv_bias: z.boolean().default(true), // source: transformers Qwen2MoeConfig
  mlp_bias: z.boolean().default(false),
  use_bias: z.boolean().default(false),
  use_sliding_window: z.boolean().default(false),
  sliding_window: z
    .int()
    .nonnegative()
    .nullish()
    .transform((window) => window || null), // transformers 5 writes 0 for none
  sliding_window_pattern: count.optional(),
  max_window_layers: z.int().nonnegative().default(28), // source: transformers Qwen2Config
  layer_types: z.array(z.string()).nullish(),
  embedding_multiplier: multiplier,
  residual_multiplier: multiplier,
  attention_multiplier: multiplier,
  logits_scaling: multiplier,
  query_pre_attn_scalar: z.number().positive().nullish(),
  attn_logit_softcapping: z.number().positive().nullish(),
  final_logit_softcapping: z.number().positive().nullish(),
  use_bidirectional_attention: z.boolean().nullish(),
  num_experts: z.int().nonnegative().nullish(),
  num_local_experts: z.int().nonnegative().nullish(), // its other name
  num_experts_per_tok: z.int().nonnegative().nullish(),
  moe_intermediate_size: count.optional(),
  norm_topk_prob: z.boolean().optional(),
  router_bias: z.boolean().optional(), // no published field: families say it
  swiglu_alpha: z.number().positive().optional(),
  swiglu_limit: z.number().positive().optional(),
  shared_expert_intermediate_size: z.int().nonnegative().nullish(), // 0: none
  shared_intermediate_size: z.int().nonnegative().nullish(), // its other name
  decoder_sparse_step: count.optional(),
  mlp_only_layers: z.array(z.int()).nullish(),
  quantization_config: z.unknown().optional(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: tokenIdsField,
});
export type ConfigFields = z.output<typeof configSchema>;
