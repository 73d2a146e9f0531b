// A checkpoint as one GGUF file for llama.cpp: names, dimensions, tokenizer and weights of the Qwen2 and Llama
// architectures. For the peer benchmark and tests: the product reads GGUF and writes none. After it: gguf-file.ts.
import { join } from 'node:path';
import type { ModelSpec } from '../../models/spec.ts';
import { readTokenizerFile } from '../../models/tokenizer/tokenizer-file.ts';
import type { Checkpoint } from '../../models/weights/weights.ts';
import type { GgmlType } from './gguf-blocks.ts';
import { type GgufTensor, type MetadataValue, writeGguf } from './gguf-file.ts';

export type GgufFormat = 'F16' | 'Q8_0' | 'Q4_0';

// Source: enum llama_ftype; readers print it, nothing depends on it.
const fileTypes: Readonly<Record<GgufFormat, number>> = { F16: 1, Q4_0: 2, Q8_0: 7 };

/** Every matrix, the embeddings too, in `format`; norms and biases stay F32, as llama.cpp wants them. */
export function writeGgufModel(path: string, checkpoint: Checkpoint, format: GgufFormat): void {
  writeGguf(path, ggufMetadata(checkpoint, format), ggufTensors(checkpoint, format));
}

export function ggufMetadata(
  { spec, path }: Pick<Checkpoint, 'spec' | 'path'>,
  format: GgufFormat,
): ReadonlyMap<string, MetadataValue> {
  const { architecture: prefix, ropeScaling } = spec;
  const metadata = new Map<string, MetadataValue>();
  const text = (key: string, value: string) => metadata.set(key, { kind: 'string', value });
  const count = (key: string, value: number) => metadata.set(key, { kind: 'uint32', value });
  const real = (key: string, value: number) => metadata.set(key, { kind: 'float32', value });
  text('general.architecture', prefix);
  text('general.name', spec.name);
  count('general.file_type', fileTypes[format]);
  count('general.quantization_version', 2);
  count(`${prefix}.vocab_size`, spec.vocabSize);
  count(`${prefix}.context_length`, spec.contextLength);
  count(`${prefix}.embedding_length`, spec.hiddenSize);
  count(`${prefix}.block_count`, spec.layerCount);
  count(`${prefix}.feed_forward_length`, spec.ffnSize);
  count(`${prefix}.attention.head_count`, spec.headCount);
  count(`${prefix}.attention.head_count_kv`, spec.kvHeadCount);
  count(`${prefix}.attention.key_length`, spec.headSize);
  count(`${prefix}.attention.value_length`, spec.headSize);
  real(`${prefix}.attention.layer_norm_rms_epsilon`, spec.rmsNormEps);
  count(`${prefix}.rope.dimension_count`, spec.headSize);
  real(`${prefix}.rope.freq_base`, spec.ropeTheta);
  if (ropeScaling?.kind === 'linear') {
    text(`${prefix}.rope.scaling.type`, 'linear');
    real(`${prefix}.rope.scaling.factor`, ropeScaling.factor);
  }
  for (const [key, value] of tokenizerMetadata(path, spec)) metadata.set(key, value);
  return metadata;
}

// Source: enum llama_token_type.
const tokenKinds = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const;

/** Byte-level BPE ('gpt2'), split as Qwen2 does; ids that mean nothing are filled up, because llama.cpp wants all. */
function tokenizerMetadata(directory: string, spec: ModelSpec): ReadonlyMap<string, MetadataValue> {
  const { vocab, model, addedTokens } = readTokenizerFile(join(directory, 'tokenizer.json'));
  const merges = model.kind === 'bpe' ? model.merges : [];
  const tokens = Array.from({ length: spec.vocabSize }, (_, id) => `[PAD${id}]`);
  const kinds = new Array<number>(spec.vocabSize).fill(tokenKinds.unused);
  for (const [token, id] of vocab) {
    tokens[id] = token;
    kinds[id] = tokenKinds.normal;
  }
  for (const { id, text, special } of addedTokens) {
    tokens[id] = text;
    kinds[id] = special ? tokenKinds.control : tokenKinds.userDefined;
  }
  const metadata = new Map<string, MetadataValue>([
    ['tokenizer.ggml.model', { kind: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { kind: 'string', value: 'qwen2' }],
    ['tokenizer.ggml.tokens', { kind: 'strings', value: tokens }],
    ['tokenizer.ggml.token_type', { kind: 'int32s', value: kinds }],
    ['tokenizer.ggml.merges', { kind: 'strings', value: merges.map((pair) => pair.join(' ')) }],
    ['tokenizer.ggml.add_bos_token', { kind: 'bool', value: false }],
  ]);
  const eos = spec.eosTokenIds[0];
  if (eos !== undefined) metadata.set('tokenizer.ggml.eos_token_id', { kind: 'uint32', value: eos });
  return metadata;
}

export function ggufTensors(checkpoint: Checkpoint, format: GgufFormat): readonly GgufTensor[] {
  const { spec } = checkpoint;
  const tensors: GgufTensor[] = [];
  const add = (name: string, source: string, change: (values: Float32Array) => Float32Array = same) => {
    const shape = checkpoint.shape(source);
    const type: GgmlType = shape.length === 1 ? 'F32' : format;
    tensors.push({ name, shape, type, read: () => change(checkpoint.read(source)) });
  };
  const linear = (
    name: string,
    source: string,
    bias: boolean,
    change?: (v: Float32Array) => Float32Array,
  ) => {
    add(`${name}.weight`, `${source}.weight`, change);
    if (bias) add(`${name}.bias`, `${source}.bias`, change);
  };
  add('token_embd.weight', 'model.embed_tokens.weight');
  for (let layer = 0; layer < spec.layerCount; layer++) {
    const to = `blk.${layer}`;
    const from = `model.layers.${layer}`;
    // llama.cpp turns neighbouring values of a Llama head together, checkpoints its two halves; Qwen2 keeps halves.
    const turned = (headCount: number) =>
      spec.architecture === 'llama'
        ? (values: Float32Array) => interleaveHalves(values, { headCount, headSize: spec.headSize })
        : same;
    add(`${to}.attn_norm.weight`, `${from}.input_layernorm.weight`);
    linear(`${to}.attn_q`, `${from}.self_attn.q_proj`, spec.qkvBias, turned(spec.headCount));
    linear(`${to}.attn_k`, `${from}.self_attn.k_proj`, spec.qkvBias, turned(spec.kvHeadCount));
    linear(`${to}.attn_v`, `${from}.self_attn.v_proj`, spec.qkvBias);
    linear(`${to}.attn_output`, `${from}.self_attn.o_proj`, spec.attentionOutputBias);
    add(`${to}.ffn_norm.weight`, `${from}.post_attention_layernorm.weight`);
    linear(`${to}.ffn_gate`, `${from}.mlp.gate_proj`, spec.mlpBias);
    linear(`${to}.ffn_up`, `${from}.mlp.up_proj`, spec.mlpBias);
    linear(`${to}.ffn_down`, `${from}.mlp.down_proj`, spec.mlpBias);
  }
  add('output_norm.weight', 'model.norm.weight');
  if (!spec.tiedEmbeddings) add('output.weight', 'lm_head.weight');
  if (spec.ropeScaling?.kind === 'llama3') tensors.push(ropeFactors(spec));
  return tensors;
}

/** Rows i and i + headSize / 2 of every head become rows 2i and 2i + 1. */
export function interleaveHalves(
  values: Float32Array, // [headCount · headSize, …]
  { headCount, headSize }: { readonly headCount: number; readonly headSize: number },
): Float32Array {
  const rowLength = values.length / (headCount * headSize);
  const half = headSize / 2;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < headCount * headSize; row++) {
    const within = row % headSize;
    const from = row - within + (within >> 1) + (within & 1) * half;
    turned.set(values.subarray(from * rowLength, (from + 1) * rowLength), row * rowLength);
  }
  return turned;
}

/** What Llama 3's scaling divides each frequency by; source: transformers `rope_type: "llama3"`. */
function ropeFactors({ ropeScaling, ropeTheta, headSize }: ModelSpec): GgufTensor {
  if (ropeScaling?.kind !== 'llama3') throw new Error('no llama3 scaling');
  const { factor, lowFreqFactor, highFreqFactor, originalContextLength } = ropeScaling;
  const read = () =>
    Float32Array.from({ length: headSize / 2 }, (_, index) => {
      const wavelength = 2 * Math.PI * ropeTheta ** ((2 * index) / headSize); // tokens
      const turns = originalContextLength / wavelength;
      if (turns > highFreqFactor) return 1;
      if (turns < lowFreqFactor) return factor;
      const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
      return 1 / ((1 - smooth) / factor + smooth);
    });
  return { name: 'rope_freqs.weight', shape: [headSize / 2], type: 'F32', read };
}

function same(values: Float32Array): Float32Array {
  return values;
}
