// The architectures of GGUF files that our graphs compute, and what their metadata leave to the reader. What a family is
// otherwise stands in config/families.ts. Before it: gguf-metadata.ts; after it: gguf-spec.ts and gguf-checkpoint.ts.
// Keys and tensor names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and llama.cpp's own tables.
import type { StoredPart } from '../config/families.ts';
import { insteadOf } from '../config/unsupported.ts';
import type { Activation, Experts } from '../spec.ts';
import type { GgufFile } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';

export interface GgufArchitecture {
  readonly name: string; // also the family's (config/families.ts), and the prefix of its keys
  readonly interleavesHeads: boolean; // q and k rows in pairs of neighbours; Hugging Face's order is the two halves
  readonly activation: Activation;
  /** Null: a window is refused. `pattern`: attention.sliding_window_pattern, where it is a number. */
  readonly slides: ((layer: number, pattern: number | null) => boolean) | null;
  readonly turns: (layer: number) => boolean;
  /** Of layers with a window, where no key says it; `main`: as of the others, unscaled. */
  readonly localRopeTheta: number | 'main' | null;
  /** Layers of the one size whose scores are scaled by hiddenSize / headCount instead of headSize. */
  readonly wideScoreLayers: number | null;
  readonly clamp: Experts['clamp']; // of its experts
  readonly isNormalised: boolean; // the weights of the chosen ones sum to 1
  readonly isYarnTruncated: boolean; // what no key says
  readonly parts: Readonly<Record<string, StoredPart>>; // by our names, where they differ from `layerParts`
}

/** By our names; what a family has not is not asked for. */
export const layerParts: Readonly<Record<string, StoredPart>> = {
  input_layernorm: { part: 'attn_norm' },
  'self_attn.q_proj': { part: 'attn_q' },
  'self_attn.k_proj': { part: 'attn_k' },
  'self_attn.v_proj': { part: 'attn_v' },
  'self_attn.o_proj': { part: 'attn_output' },
  'self_attn.q_norm': { part: 'attn_q_norm' },
  'self_attn.k_norm': { part: 'attn_k_norm' },
  'self_attn.out_norm': { part: 'post_attention_norm' },
  post_attention_layernorm: { part: 'ffn_norm' },
  'mlp.gate_proj': { part: 'ffn_gate' },
  'mlp.up_proj': { part: 'ffn_up' },
  'mlp.down_proj': { part: 'ffn_down' },
  'mlp.out_norm': { part: 'post_ffw_norm' },
  'mlp.router': { part: 'ffn_gate_inp' },
  'mlp.shared.gate_proj': { part: 'ffn_gate_shexp' },
  'mlp.shared.up_proj': { part: 'ffn_up_shexp' },
  'mlp.shared.down_proj': { part: 'ffn_down_shexp' },
  'mlp.shared_gate': { part: 'ffn_gate_inp_shexp' },
  'mlp.experts.*.gate_proj': { part: 'ffn_gate_exps', rows: 'expert' },
  'mlp.experts.*.up_proj': { part: 'ffn_up_exps', rows: 'expert' },
  'mlp.experts.*.down_proj': { part: 'ffn_down_exps', rows: 'expert' },
};

const plain: GgufArchitecture = {
  name: 'qwen2',
  interleavesHeads: false,
  activation: 'silu',
  slides: null,
  turns: () => true,
  localRopeTheta: null,
  wideScoreLayers: null,
  clamp: null,
  isNormalised: true,
  isYarnTruncated: true,
  parts: {},
};

const phi3Parts: GgufArchitecture['parts'] = {
  'self_attn.q_proj': { part: 'attn_qkv', rows: 'query' },
  'self_attn.k_proj': { part: 'attn_qkv', rows: 'key' },
  'self_attn.v_proj': { part: 'attn_qkv', rows: 'value' },
  'mlp.gate_proj': { part: 'ffn_up', rows: 'first-half' },
  'mlp.up_proj': { part: 'ffn_up', rows: 'second-half' },
};

const all: readonly GgufArchitecture[] = [
  { ...plain, name: 'llama', interleavesHeads: true },
  plain,
  { ...plain, name: 'mistral3', interleavesHeads: true },
  { ...plain, name: 'seed_oss', parts: { post_attention_layernorm: { part: 'post_attention_norm' } } },
  { ...plain, name: 'qwen3' },
  { ...plain, name: 'starcoder2', activation: 'gelu-tanh', slides: () => true },
  { ...plain, name: 'granite', interleavesHeads: true },
  { ...plain, name: 'phi3', slides: () => true, parts: phi3Parts },
  { ...plain, name: 'gemma', activation: 'gelu-tanh' },
  {
    ...{ ...plain, name: 'gemma2', activation: 'gelu-tanh', wideScoreLayers: 46 },
    slides: (layer) => layer % 2 === 0,
  },
  {
    ...{ ...plain, name: 'gemma3', activation: 'gelu-tanh', wideScoreLayers: 62, localRopeTheta: 10_000 },
    slides: (layer, pattern) => (layer + 1) % (pattern ?? 6) !== 0,
  },
  { ...plain, name: 'smollm3', interleavesHeads: true, turns: (layer) => (layer + 1) % 4 !== 0 },
  { ...plain, name: 'olmo2', slides: (layer) => (layer + 1) % 4 !== 0, localRopeTheta: 'main' }, // OLMo 3, too
  { ...plain, name: 'qwen2moe', isNormalised: false },
  { ...plain, name: 'qwen3moe' },
  { ...plain, name: 'granitemoe', interleavesHeads: true },
  {
    ...{ ...plain, name: 'gpt-oss', clamp: { alpha: 1.702, limit: 7 }, isYarnTruncated: false },
    slides: (layer) => layer % 2 === 0,
    parts: { post_attention_layernorm: { part: 'post_attention_norm' } },
  },
];

const architectures: ReadonlyMap<string, GgufArchitecture> = new Map(all.map((each) => [each.name, each]));

/** Throws CheckpointError, naming the architecture and what to do instead. */
export function architectureOf(gguf: Pick<GgufFile, 'path' | 'metadata'>): GgufArchitecture {
  const metadata = new GgufMetadata(gguf);
  const key = 'general.architecture';
  const name = metadata.need(key, metadata.text(key));
  const found = architectures.get(name);
  if (found) return found;
  const known = [...architectures.keys()].join(', ');
  throw metadata.refuse(key, `${name} is not supported${insteadOf(name)} (only ${known})`);
}
