// Catalogue: published models by name. Each from the model's config.json on Hugging Face, read by shape-config.ts as any
// directory's would be; test/unit/kernels/sim/shapes.test.ts holds the totals against the model cards.
import { shapeOfConfig, UnknownShapeError } from './shape-config.ts';
import type { ModelShape } from './shapes.ts';

type Config = Readonly<Record<string, unknown>>;

// [layers, hidden, heads, KV heads, head size, ffn, vocabulary, tied, context]
type Sizes = readonly [number, number, number, number, number, number, number, boolean, number];

function sizes([layers, hidden, heads, kvHeads, head, ffn, vocab, tied, context]: Sizes): Config {
  return {
    ...{ num_hidden_layers: layers, hidden_size: hidden, num_attention_heads: heads },
    ...{ num_key_value_heads: kvHeads, head_dim: head, intermediate_size: ffn, vocab_size: vocab },
    ...{ tie_word_embeddings: tied, max_position_embeddings: context },
  };
}

const deepseekV3: Config = {
  ...sizes([61, 7168, 128, 128, 128, 18432, 129280, false, 163840]),
  ...{ model_type: 'deepseek_v3', head_dim: undefined, q_lora_rank: 1536, kv_lora_rank: 512 },
  ...{ qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128, first_k_dense_replace: 3 },
  ...{ n_routed_experts: 256, n_shared_experts: 1, num_experts_per_tok: 8, moe_intermediate_size: 2048 },
  ...{ moe_layer_freq: 1, num_nextn_predict_layers: 1 },
  quantization_config: { quant_method: 'fp8', weight_block_size: [128, 128] },
};

const kimiK2: Config = {
  ...deepseekV3,
  ...{ num_attention_heads: 64, num_key_value_heads: 64, first_k_dense_replace: 1, n_routed_experts: 384 },
  ...{ vocab_size: 163840, max_position_embeddings: 262144, num_nextn_predict_layers: 0 },
};

const glm: Config = {
  ...sizes([92, 5120, 96, 8, 128, 12288, 151552, false, 131072]),
  ...{ model_type: 'glm4_moe', first_k_dense_replace: 3, n_routed_experts: 160, n_shared_experts: 1 },
  ...{ num_experts_per_tok: 8, moe_intermediate_size: 1536, num_nextn_predict_layers: 1 },
};

const glmAir: Config = {
  ...glm,
  ...sizes([46, 4096, 96, 8, 128, 10944, 151552, false, 131072]),
  ...{ first_k_dense_replace: 1, n_routed_experts: 128, moe_intermediate_size: 1408 },
};

function qwenMixture(list: Sizes, experts: number, expertSize: number): Config {
  return {
    ...sizes(list),
    ...{ model_type: 'qwen3_moe', num_experts: experts, num_experts_per_tok: 8 },
    ...{ moe_intermediate_size: expertSize, decoder_sparse_step: 1, mlp_only_layers: [] },
  };
}

function gptOss(layers: number, experts: number): Config {
  return {
    ...sizes([layers, 2880, 64, 8, 64, 2880, 201088, false, 131072]),
    ...{ model_type: 'gpt_oss', num_local_experts: experts, num_experts_per_tok: 4, sliding_window: 128 },
    layer_types: Array.from({ length: layers }, (_, index) =>
      index % 2 === 0 ? 'sliding_attention' : 'full_attention',
    ),
    quantization_config: { quant_method: 'mxfp4' },
  };
}

function llama4(experts: number, step: number, context: number): Config {
  return {
    text_config: {
      ...sizes([48, 5120, 40, 8, 128, 8192, 202048, false, context]),
      ...{ model_type: 'llama4_text', intermediate_size_mlp: 16384, num_local_experts: experts },
      ...{ num_experts_per_tok: 1, interleave_moe_layer_step: step, attention_chunk_size: 8192 },
      no_rope_layers: Array.from({ length: 48 }, (_, index) => (index % 4 === 3 ? 0 : 1)),
    },
    vision_config: { hidden_size: 1408, intermediate_size: 5632, num_hidden_layers: 34 },
  };
}

const published: Readonly<Record<string, Config>> = {
  'smollm2-135m': sizes([30, 576, 9, 3, 64, 1536, 49152, true, 8192]),
  'llama-3.1-8b': sizes([32, 4096, 32, 8, 128, 14336, 128256, false, 131072]),
  'llama-3.1-70b': sizes([80, 8192, 64, 8, 128, 28672, 128256, false, 131072]),
  'llama-3.3-70b': sizes([80, 8192, 64, 8, 128, 28672, 128256, false, 131072]),
  'llama-3.1-405b': sizes([126, 16384, 128, 8, 128, 53248, 128256, false, 131072]),
  'llama-2-7b': sizes([32, 4096, 32, 32, 128, 11008, 32000, false, 4096]),
  'llama-2-70b': sizes([80, 8192, 64, 8, 128, 28672, 32000, false, 4096]),
  'llama-2-13b': sizes([40, 5120, 40, 40, 128, 13824, 32000, false, 4096]),
  'qwen2-72b': sizes([80, 8192, 64, 8, 128, 29568, 152064, false, 131072]),
  'qwen2.5-coder-0.5b': sizes([24, 896, 14, 2, 64, 4864, 151936, true, 32768]),
  'qwen2.5-coder-1.5b': sizes([28, 1536, 12, 2, 128, 8960, 151936, true, 32768]),
  'qwen2.5-coder-7b': sizes([28, 3584, 28, 4, 128, 18944, 152064, false, 131072]),
  'qwen2.5-coder-32b': sizes([64, 5120, 40, 8, 128, 27648, 152064, false, 131072]),
  'qwen3-32b': sizes([64, 5120, 64, 8, 128, 25600, 151936, false, 131072]),
  'devstral-small-24b': sizes([40, 5120, 32, 8, 128, 32768, 131072, false, 131072]),
  'qwen3-30b-a3b': qwenMixture([48, 2048, 32, 4, 128, 6144, 151936, false, 262144], 128, 768),
  'qwen3-coder-30b-a3b': qwenMixture([48, 2048, 32, 4, 128, 6144, 151936, false, 262144], 128, 768),
  'qwen3-235b-a22b': qwenMixture([94, 4096, 64, 4, 128, 12288, 151936, false, 262144], 128, 1536),
  'qwen3-coder-480b-a35b': qwenMixture([62, 6144, 96, 8, 128, 8192, 151936, false, 262144], 160, 2560),
  'mixtral-8x7b': {
    ...sizes([32, 4096, 32, 8, 128, 14336, 32000, false, 32768]),
    ...{ model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2 },
  },
  'gpt-oss-20b': gptOss(24, 32),
  'gpt-oss-120b': gptOss(36, 128),
  'deepseek-v3': deepseekV3,
  'deepseek-v3.1': deepseekV3,
  'deepseek-r1': deepseekV3,
  'kimi-k2': kimiK2,
  'glm-4.5': glm,
  'glm-4.5-air': glmAir,
  'glm-4.6': { ...glm, max_position_embeddings: 202752 },
  'glm-4.7': { ...glm, max_position_embeddings: 202752 },
  'llama-4-scout': llama4(16, 1, 10485760),
  'llama-4-maverick': llama4(128, 2, 1048576),
};

/** Every model that is known by name. */
export const SHAPES: readonly ModelShape[] = Object.entries(published).map(([name, config]) =>
  shapeOfConfig(name, config),
);

/** The shape of that name. Throws UnknownShapeError. */
export function namedShape(name: string): ModelShape {
  const shape = SHAPES.find((candidate) => candidate.name === name.toLowerCase());
  if (shape !== undefined) return shape;
  const known = SHAPES.map((candidate) => candidate.name).join(', ');
  throw new UnknownShapeError(
    `model ${JSON.stringify(name)} is not known; known are ${known}, or a directory`,
  );
}
