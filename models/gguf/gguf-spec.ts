// GGUF metadata → ModelSpec, by a table of the architectures that our graphs compute. Whatever a file asks for beyond
// that (experts, windows, other scalings) is refused with its key. Before it: gguf-file.ts; after it: checkpoint.ts.
// Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
import { CheckpointError } from '../model-file.ts';
import { layerCountMax, type ModelSpec, plainDecoder, type RopeScaling } from '../spec.ts';
import { decodeBlocks, type GgufFile, readBlocks } from './gguf-file.ts';
import { GgufMetadata } from './gguf-metadata.ts';

interface Architecture {
  readonly family: ModelSpec['architecture'];
  readonly interleavesHeads: boolean; // q and k rows in pairs of neighbours; Hugging Face's order is the two halves
}

/** By general.architecture. */
const architectures: ReadonlyMap<string, Architecture> = new Map([
  ['llama', { family: 'llama', interleavesHeads: true }],
  ['qwen2', { family: 'qwen2', interleavesHeads: false }],
] satisfies [string, Architecture][]);

const ropeThetaDefault = 10_000; // source: llama.cpp, where rope.freq_base is absent

export function architectureOf(gguf: Pick<GgufFile, 'path' | 'metadata'>): Architecture {
  const metadata = new GgufMetadata(gguf);
  const key = 'general.architecture';
  const name = metadata.need(key, metadata.text(key));
  const found = architectures.get(name);
  if (found) return found;
  throw metadata.refuse(key, `${name} is not supported (only ${[...architectures.keys()].join(', ')})`);
}

/** Throws CheckpointError with the key. */
export function ggufSpec(gguf: GgufFile, name: string): ModelSpec {
  const metadata = new GgufMetadata(gguf);
  const { family } = architectureOf(gguf);
  const prefix = metadata.text('general.architecture')!;
  const need = (key: string): number => {
    const value = metadata.need(`${prefix}.${key}`, metadata.count(`${prefix}.${key}`));
    if (value > 0) return value;
    throw metadata.refuse(`${prefix}.${key}`, 'is 0');
  };
  const contextLength = need('context_length');
  refuseUnsupported(metadata, prefix, contextLength);
  const layerCount = need('block_count');
  if (layerCount > layerCountMax) {
    throw metadata.refuse(`${prefix}.block_count`, `${layerCount} layers are more than ${layerCountMax}`);
  }
  const hiddenSize = need('embedding_length');
  const epsilonKey = `${prefix}.attention.layer_norm_rms_epsilon`;
  const heads = attentionShape(metadata, { prefix, hiddenSize, headCount: need('attention.head_count') });
  const vocabSize = vocabularySize(gguf);
  return {
    name,
    architecture: family,
    vocabSize,
    hiddenSize,
    layerCount,
    ...heads,
    ffnSize: need('feed_forward_length'),
    contextLength,
    rmsNormEps: metadata.need(epsilonKey, metadata.number(epsilonKey)),
    ...plainDecoder,
    activation: 'silu',
    layers: Array.from({ length: layerCount }, () => ({ window: null, rotary: 'main' as const })),
    rotarySize: heads.headSize,
    localRopeTheta: null,
    embeddingMultiplier: 1,
    residualMultiplier: 1,
    attentionMultiplier: 1 / Math.sqrt(heads.headSize),
    logitMultiplier: 1,
    attentionSoftCap: null,
    logitSoftCap: null,
    ropeTheta: metadata.number(`${prefix}.rope.freq_base`) ?? ropeThetaDefault,
    ropeScaling: ropeScaling(gguf, metadata, { prefix, headSize: heads.headSize }),
    tiedEmbeddings: !gguf.tensors.has('output.weight'),
    qkvBias: gguf.tensors.has('blk.0.attn_q.bias'),
    attentionOutputBias: gguf.tensors.has('blk.0.attn_output.bias'),
    mlpBias: gguf.tensors.has('blk.0.ffn_gate.bias'),
    bosTokenId: metadata.count('tokenizer.ggml.bos_token_id'),
    eosTokenIds: endTokenIds(metadata, vocabSize),
  };
}

/** The rows of the embedding table: metadata need not say it. */
function vocabularySize({ tensors, path }: GgufFile): number {
  const size = tensors.get('token_embd.weight')?.shape[0];
  if (size !== undefined) return size;
  throw new CheckpointError('is missing', { file: path, field: 'token_embd.weight' });
}

function refuseUnsupported(metadata: GgufMetadata, prefix: string, contextLength: number): void {
  const experts = metadata.count(`${prefix}.expert_count`) ?? 0;
  if (experts > 0) {
    throw metadata.refuse(`${prefix}.expert_count`, `${experts}: mixtures of experts are not supported`);
  }
  const window = metadata.count(`${prefix}.attention.sliding_window`) ?? 0;
  if (window > 0 && window < contextLength) {
    throw metadata.refuse(`${prefix}.attention.sliding_window`, `${window} is not supported`);
  }
  for (const key of ['attention.clamp_kqv', 'attention.scale', 'logit_scale', 'embedding_scale']) {
    const value = metadata.number(`${prefix}.${key}`) ?? 0;
    if (value !== 0) throw metadata.refuse(`${prefix}.${key}`, `${value} is not supported`);
  }
}

function attentionShape(
  metadata: GgufMetadata,
  { prefix, hiddenSize, headCount }: { prefix: string; hiddenSize: number; headCount: number },
) {
  const kvKey = `${prefix}.attention.head_count_kv`;
  const kvHeadCount = metadata.count(kvKey) ?? headCount;
  if (kvHeadCount === 0 || headCount % kvHeadCount !== 0) {
    throw metadata.refuse(kvKey, `${kvHeadCount} does not divide the ${headCount} heads`);
  }
  const sizeKey = `${prefix}.attention.key_length`;
  const headSize = metadata.count(sizeKey) ?? hiddenSize / headCount;
  if (!Number.isInteger(headSize) || headSize === 0 || headSize % 2 !== 0) {
    throw metadata.refuse(sizeKey, `${headSize} is no even size of a head`);
  }
  for (const key of ['attention.value_length', 'rope.dimension_count']) {
    const size = metadata.count(`${prefix}.${key}`) ?? headSize;
    if (size === headSize) continue;
    throw metadata.refuse(`${prefix}.${key}`, `${size} is not supported (only the head's size, ${headSize})`);
  }
  return { headCount, kvHeadCount, headSize };
}

function ropeScaling(
  gguf: GgufFile,
  metadata: GgufMetadata,
  { prefix, headSize }: { readonly prefix: string; readonly headSize: number },
): RopeScaling | null {
  const factors = gguf.tensors.get('rope_freqs.weight');
  if (factors !== undefined) {
    const values = decodeBlocks('rope_freqs.weight', factors, readBlocks(factors));
    if (values.length === headSize / 2 && values.every((value) => Number.isFinite(value) && value > 0)) {
      return { kind: 'divisors', divisors: [...values] };
    }
    const problem = `expected ${headSize / 2} positive numbers`;
    throw new CheckpointError(problem, { file: factors.path, field: 'rope_freqs.weight' });
  }
  const key = `${prefix}.rope.scaling.type`;
  const type = metadata.text(key) ?? 'none';
  const factor = metadata.number(`${prefix}.rope.scaling.factor`) ?? 0; // 0: none, source: llama.cpp
  if (type === 'none' || (type === 'linear' && (factor === 0 || factor === 1))) return null;
  if (type !== 'linear') throw metadata.refuse(key, `${type} is not supported (only none, linear)`);
  if (factor > 0) return { kind: 'linear', factor };
  throw metadata.refuse(`${prefix}.rope.scaling.factor`, `${factor} is not positive`);
}

/** End of text, of a turn, of a message that waits for a tool: after each of them it is somebody else's turn. */
function endTokenIds(metadata: GgufMetadata, vocabSize: number): readonly number[] {
  const ids = new Set<number>();
  for (const kind of ['eos', 'eot', 'eom']) {
    const key = `tokenizer.ggml.${kind}_token_id`;
    const id = metadata.count(key);
    if (id === null) continue;
    if (id >= vocabSize) throw metadata.refuse(key, `${id} is outside the vocabulary of ${vocabSize}`);
    ids.add(id);
  }
  return [...ids];
}
