// Encoder families as data: what their configs call each dimension, what is so whatever a config says, and where their
// checkpoints keep each tensor. Owns no arithmetic. After it: encoder-config.ts makes an EncoderSpec, encoder-checkpoint.ts
// finds weights.
import { z } from 'zod';
import type { EncoderLayer, EncoderSpec } from './encoder-spec.ts';

const count = z.int().positive();
const rope = z.looseObject({
  rope_theta: z.number().positive().optional(),
  rope_type: z.string().default('default'),
});

/** Every field that some family reads, by its commonest name. */
export const encoderFields = z.looseObject({
  vocab_size: count,
  hidden_size: count,
  num_hidden_layers: count.max(256),
  num_attention_heads: count,
  intermediate_size: count.nullish(),
  max_position_embeddings: count,
  type_vocab_size: z.int().nonnegative().default(0),
  pad_token_id: z.int().nonnegative().nullish(),
  hidden_act: z.string().default('gelu'),
  hidden_activation: z.string().optional(),
  layer_norm_eps: z.number().positive().default(1e-12),
  norm_eps: z.number().positive().default(1e-5),
  norm_bias: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  position_embedding_type: z.string().default('absolute'),
  is_decoder: z.boolean().default(false),
  add_cross_attention: z.boolean().default(false),
  global_attn_every_n_layers: count.default(3),
  local_attention: count.default(128),
  global_rope_theta: z.number().positive().default(160_000),
  local_rope_theta: z.number().positive().default(10_000),
  layer_types: z.array(z.enum(['full_attention', 'sliding_attention'])).nullish(),
  rope_parameters: z
    .union([z.looseObject({ full_attention: rope, sliding_attention: rope }), rope])
    .nullish(),
  rotary_emb_base: z.number().positive().default(1000),
  rotary_emb_fraction: z.number().default(1),
  rotary_emb_interleaved: z.boolean().default(false),
  rotary_scaling_factor: z.number().nullish(),
  max_trained_positions: count.nullish(),
  prenorm: z.boolean().default(false),
  use_rms_norm: z.boolean().nullish(),
  parallel_block: z.boolean().default(false),
  qkv_proj_bias: z.boolean().default(false),
  mlp_fc1_bias: z.boolean().default(false),
  mlp_fc2_bias: z.boolean().default(false),
  activation_function: z.string().optional(),
  num_experts: z.int().nullish(),
});
export type EncoderFields = z.output<typeof encoderFields>;

/** Where a tensor is; `rows`: which third or half of a fused one. */
export interface EncoderPart {
  readonly part: string;
  readonly third?: 0 | 1 | 2;
  readonly half?: 0 | 1;
}

export interface EncoderFamily {
  readonly name: string;
  readonly renamed: Readonly<Record<string, string>>; // its name of a field → the commonest one
  readonly absent: Readonly<Record<string, unknown>>; // what fields mean that are not there; source: transformers
  /** A field and its problem, or null. */
  readonly refuse: (fields: EncoderFields) => readonly [string, string] | null;
  readonly plan: (fields: EncoderFields) => EncoderPlan;
  readonly prefixes: readonly string[]; // of all tensors, one of them
  readonly parts: Readonly<Record<string, EncoderPart>>; // by our name; `*` is a layer's number
}

/** What differs in kind. */
export interface EncoderPlan
  extends Pick<
    EncoderSpec,
    | 'contextLength'
    | 'normEps'
    | 'hasNormBias'
    | 'normPlacement'
    | 'isGated'
    | 'hasPositions'
    | 'positionStart'
    | 'qkvBias'
    | 'outputBias'
    | 'feedBias'
  > {
  readonly activation: string; // as configs write it
  readonly layer: (index: number) => EncoderLayer;
}

const plain: Omit<EncoderPlan, 'contextLength' | 'normEps' | 'activation'> = {
  ...{ hasNormBias: true, normPlacement: 'after', isGated: false, hasPositions: true },
  ...{ positionStart: 0, qkvBias: true, outputBias: true, feedBias: true },
  layer: () => ({ reach: null, ropeTheta: null }),
};

const bert: EncoderFamily = {
  name: 'bert',
  renamed: {},
  absent: { type_vocab_size: 2, max_position_embeddings: 512, vocab_size: 30_522 },
  refuse({ position_embedding_type: kind, is_decoder, add_cross_attention }) {
    if (kind !== 'absolute') return ['position_embedding_type', `${kind} is not supported (only absolute)`];
    if (is_decoder || add_cross_attention) return ['is_decoder', 'is a decoder of an older kind'];
    return null;
  },
  plan: (fields) => ({
    ...plain,
    contextLength: fields.max_position_embeddings,
    normEps: fields.layer_norm_eps,
    activation: fields.hidden_act,
  }),
  prefixes: ['', 'bert.'],
  parts: {
    words: { part: 'embeddings.word_embeddings' },
    positions: { part: 'embeddings.position_embeddings' },
    segments: { part: 'embeddings.token_type_embeddings' },
    embedding_norm: { part: 'embeddings.LayerNorm' },
    'layers.*.query': { part: 'encoder.layer.*.attention.self.query' },
    'layers.*.key': { part: 'encoder.layer.*.attention.self.key' },
    'layers.*.value': { part: 'encoder.layer.*.attention.self.value' },
    'layers.*.output': { part: 'encoder.layer.*.attention.output.dense' },
    'layers.*.attention_norm': { part: 'encoder.layer.*.attention.output.LayerNorm' },
    'layers.*.up': { part: 'encoder.layer.*.intermediate.dense' },
    'layers.*.down': { part: 'encoder.layer.*.output.dense' },
    'layers.*.feed_norm': { part: 'encoder.layer.*.output.LayerNorm' },
  },
};

// Positions begin behind the row of the padding.
const roberta: EncoderFamily = {
  ...bert,
  name: 'roberta',
  absent: { ...bert.absent, pad_token_id: 1, vocab_size: 50_265 },
  plan(fields) {
    const positionStart = (fields.pad_token_id ?? 1) + 1;
    return {
      ...bert.plan(fields),
      positionStart,
      contextLength: fields.max_position_embeddings - positionStart,
    };
  },
  prefixes: ['', 'roberta.'],
};

const distilbert: EncoderFamily = {
  ...bert,
  name: 'distilbert',
  renamed: {
    ...{ dim: 'hidden_size', n_layers: 'num_hidden_layers', n_heads: 'num_attention_heads' },
    ...{ hidden_dim: 'intermediate_size', activation: 'hidden_act' },
  },
  absent: {
    ...{ vocab_size: 30_522, max_position_embeddings: 512, type_vocab_size: 0 },
    ...{ dim: 768, n_layers: 6, n_heads: 12, hidden_dim: 3072 },
  },
  prefixes: ['', 'distilbert.'],
  parts: {
    words: { part: 'embeddings.word_embeddings' },
    positions: { part: 'embeddings.position_embeddings' },
    embedding_norm: { part: 'embeddings.LayerNorm' },
    'layers.*.query': { part: 'transformer.layer.*.attention.q_lin' },
    'layers.*.key': { part: 'transformer.layer.*.attention.k_lin' },
    'layers.*.value': { part: 'transformer.layer.*.attention.v_lin' },
    'layers.*.output': { part: 'transformer.layer.*.attention.out_lin' },
    'layers.*.attention_norm': { part: 'transformer.layer.*.sa_layer_norm' },
    'layers.*.up': { part: 'transformer.layer.*.ffn.lin1' },
    'layers.*.down': { part: 'transformer.layer.*.ffn.lin2' },
    'layers.*.feed_norm': { part: 'transformer.layer.*.output_layer_norm' },
  },
};

const modernbert: EncoderFamily = {
  name: 'modernbert',
  renamed: {},
  absent: { max_position_embeddings: 8192, hidden_activation: 'gelu', type_vocab_size: 0 },
  refuse({ rope_parameters: rope }) {
    const kinds = [rope?.['full_attention'], rope?.['sliding_attention']].map(
      (settings) => (settings as { rope_type?: string } | undefined)?.rope_type ?? 'default',
    );
    const scaled = kinds.find((kind) => kind !== 'default');
    return scaled === undefined ? null : ['rope_parameters', `${scaled} is not supported (only default)`];
  },
  plan(fields) {
    const thetaOf = (kind: 'full_attention' | 'sliding_attention', otherwise: number) =>
      (fields.rope_parameters?.[kind] as { rope_theta?: number } | undefined)?.rope_theta ?? otherwise;
    return {
      ...plain,
      contextLength: fields.max_position_embeddings,
      normEps: fields.norm_eps,
      hasNormBias: fields.norm_bias,
      normPlacement: 'before',
      ...{ isGated: true, hasPositions: false },
      qkvBias: fields.attention_bias,
      outputBias: fields.attention_bias,
      feedBias: fields.mlp_bias,
      activation: fields.hidden_activation ?? fields.hidden_act,
      layer(index) {
        const type = fields.layer_types?.[index];
        const isLocal =
          type === undefined ? index % fields.global_attn_every_n_layers !== 0 : type === 'sliding_attention';
        return isLocal
          ? {
              reach: Math.floor(fields.local_attention / 2),
              ropeTheta: thetaOf('sliding_attention', fields.local_rope_theta),
            }
          : { reach: null, ropeTheta: thetaOf('full_attention', fields.global_rope_theta) };
      },
    };
  },
  prefixes: ['', 'model.'],
  parts: {
    words: { part: 'embeddings.tok_embeddings' },
    embedding_norm: { part: 'embeddings.norm' },
    'layers.*.attention_norm': { part: 'layers.*.attn_norm' },
    'layers.*.query': { part: 'layers.*.attn.Wqkv', third: 0 },
    'layers.*.key': { part: 'layers.*.attn.Wqkv', third: 1 },
    'layers.*.value': { part: 'layers.*.attn.Wqkv', third: 2 },
    'layers.*.output': { part: 'layers.*.attn.Wo' },
    'layers.*.feed_norm': { part: 'layers.*.mlp_norm' },
    'layers.*.gate': { part: 'layers.*.mlp.Wi', half: 0 },
    'layers.*.up': { part: 'layers.*.mlp.Wi', half: 1 },
    'layers.*.down': { part: 'layers.*.mlp.Wo' },
    final_norm: { part: 'final_norm' },
  },
};

// The fields are GPT-2's in what is published, and BERT's in transformers.
const nomic: EncoderFamily = {
  name: 'nomic-bert',
  renamed: {
    ...{ n_embd: 'hidden_size', n_layer: 'num_hidden_layers', n_head: 'num_attention_heads' },
    ...{ n_inner: 'intermediate_size', n_positions: 'max_position_embeddings' },
    layer_norm_epsilon: 'layer_norm_eps',
  },
  absent: { type_vocab_size: 2 },
  refuse(fields) {
    const kind = fields.activation_function;
    if (kind !== undefined && kind !== 'swiglu')
      return ['activation_function', `${kind} is not supported (only swiglu)`];
    if (fields.rotary_emb_fraction !== 1 || fields.rotary_emb_interleaved)
      return ['rotary_emb_fraction', 'rotary embeddings of a part, or interleaved, are not supported'];
    if (fields.prenorm || fields.parallel_block || fields.use_rms_norm)
      return ['prenorm', 'norms before, RMS norms and parallel blocks are not supported'];
    if ((fields.num_experts ?? 0) > 0) return ['num_experts', 'experts are not supported'];
    return null;
  },
  plan(fields) {
    // Beyond what it was trained on, positions would have to be scaled.
    const trained = fields.max_trained_positions ?? fields.max_position_embeddings;
    const theta = (fields.rope_parameters as { rope_theta?: number } | null | undefined)?.rope_theta;
    return {
      ...plain,
      contextLength: Math.min(fields.max_position_embeddings, trained),
      normEps: fields.layer_norm_eps,
      ...{ isGated: true, hasPositions: false, activation: 'silu' },
      ...{ qkvBias: fields.qkv_proj_bias, outputBias: fields.qkv_proj_bias, feedBias: fields.mlp_fc1_bias },
      layer: () => ({ reach: null, ropeTheta: theta ?? fields.rotary_emb_base }),
    };
  },
  prefixes: [''],
  parts: {
    words: { part: 'embeddings.word_embeddings' },
    segments: { part: 'embeddings.token_type_embeddings' },
    embedding_norm: { part: 'emb_ln' },
    'layers.*.query': { part: 'encoder.layers.*.attn.Wqkv', third: 0 },
    'layers.*.key': { part: 'encoder.layers.*.attn.Wqkv', third: 1 },
    'layers.*.value': { part: 'encoder.layers.*.attn.Wqkv', third: 2 },
    'layers.*.output': { part: 'encoder.layers.*.attn.out_proj' },
    'layers.*.attention_norm': { part: 'encoder.layers.*.norm1' },
    'layers.*.up': { part: 'encoder.layers.*.mlp.fc11' },
    'layers.*.gate': { part: 'encoder.layers.*.mlp.fc12' },
    'layers.*.down': { part: 'encoder.layers.*.mlp.fc2' },
    'layers.*.feed_norm': { part: 'encoder.layers.*.norm2' },
  },
};

/** By the beginning of the class that config.json names: what stands on an encoder is not read. */
export const encoderFamilies: ReadonlyMap<string, EncoderFamily> = new Map([
  ['Bert', bert],
  ['Roberta', roberta],
  ['XLMRoberta', roberta],
  ['Camembert', roberta],
  ['DistilBert', distilbert],
  ['ModernBert', modernbert],
  ['NomicBert', nomic],
]);
