// ModelShape: what a simulated device must know of a model: how many weights lie where, how many of them one token
// uses, and how much KV it leaves behind. A catalogue of published models, and a reader for any config.json.
// Data and arithmetic only; no weights, no runtime. Read by gpu/ and wafer/.

/** The sizes of a decoder. Mixture of experts: `expertCount` experts of `ffnSize`, of which a token uses `activeExpertCount`. */
export interface ModelShape {
  readonly name: string;
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number; // elements
  readonly ffnSize: number; // of one expert
  readonly expertCount: number; // 1: dense
  readonly activeExpertCount: number;
  readonly vocabSize: number;
  readonly tiedEmbeddings: boolean;
  readonly contextLength: number; // tokens
  readonly fullAttentionLayerCount: number; // the others see a window; their KV does not grow with the context
}

export type Precision = 'fp16' | 'bf16' | 'fp8' | 'int4';

export const PRECISIONS: readonly Precision[] = ['fp16', 'bf16', 'fp8', 'int4'];

const int4ScaleShare = 1.0625; // one fp16 scale per 128 weights and a zero point: + 6.25 %; layout of GPTQ/AWQ group 128

/** Bytes of one weight. */
export function weightBytes(precision: Precision): number {
  return { fp16: 2, bf16: 2, fp8: 1, int4: 0.5 * int4ScaleShare }[precision];
}

// Bytes of one KV element: fp8 models keep fp8 KV (TensorRT-LLM's fp8 checkpoints do), int4 ones 16 bits.
function kvElementBytes(precision: Precision): number {
  return precision === 'fp8' ? 1 : 2;
}

// Weights of one layer outside the feed-forward part. Norms and biases (below 0.1 %) are left out.
function attentionWeights(shape: ModelShape): number {
  const q = shape.headCount * shape.headSize;
  const kv = shape.kvHeadCount * shape.headSize;
  return shape.hiddenSize * (2 * q + 2 * kv);
}

/** Weights of one expert of one layer: gate, up and down. */
export function expertWeights(shape: ModelShape): number {
  return 3 * shape.hiddenSize * shape.ffnSize;
}

function routerWeights(shape: ModelShape): number {
  return shape.expertCount > 1 ? shape.hiddenSize * shape.expertCount : 0;
}

/** All weights of one layer. */
export function layerWeights(shape: ModelShape): number {
  return attentionWeights(shape) + routerWeights(shape) + shape.expertCount * expertWeights(shape);
}

/** Weights of one layer that one token meets. */
export function activeLayerWeights(shape: ModelShape): number {
  return attentionWeights(shape) + routerWeights(shape) + shape.activeExpertCount * expertWeights(shape);
}

/** Weights of the output projection, which tied models share with the embeddings. */
export function headWeights(shape: ModelShape): number {
  return shape.vocabSize * shape.hiddenSize;
}

/** Weights that must be kept somewhere. */
export function totalWeights(shape: ModelShape): number {
  return shape.layerCount * layerWeights(shape) + headWeights(shape) * (shape.tiedEmbeddings ? 1 : 2);
}

/** Weights that one token meets: the "A35B" of a mixture's name. The embedding is a look-up, not a product. */
export function activeWeights(shape: ModelShape): number {
  return shape.layerCount * activeLayerWeights(shape) + headWeights(shape);
}

/** Bytes of KV that one more token of context needs over all layers. */
export function kvBytesPerToken(shape: ModelShape, precision: Precision): number {
  return shape.fullAttentionLayerCount * kvBytesPerTokenOfLayer(shape, precision);
}

/** The same of one layer. */
export function kvBytesPerTokenOfLayer(shape: ModelShape, precision: Precision): number {
  return 2 * shape.kvHeadCount * shape.headSize * kvElementBytes(precision);
}

/** Multiply-adds of attention in one layer for one token that looks at `contextCount` others: scores and sum. */
export function attentionMacs(shape: ModelShape, contextCount: number): number {
  return 2 * shape.headCount * shape.headSize * contextCount;
}

// name: [layers, hidden, heads, KV heads, head size, ffn, vocabulary, tied, context]; each from the model's config.json
// on Hugging Face.
const dense: Readonly<
  Record<string, readonly [number, number, number, number, number, number, number, boolean, number]>
> = {
  'llama-3.1-8b': [32, 4096, 32, 8, 128, 14336, 128256, false, 131072],
  'llama-3.1-70b': [80, 8192, 64, 8, 128, 28672, 128256, false, 131072],
  'llama-3.1-405b': [126, 16384, 128, 8, 128, 53248, 128256, false, 131072],
  'llama-2-13b': [40, 5120, 40, 40, 128, 13824, 32000, false, 4096],
  'qwen2-72b': [80, 8192, 64, 8, 128, 29568, 152064, false, 131072],
  'qwen2.5-coder-0.5b': [24, 896, 14, 2, 64, 4864, 151936, true, 32768],
  'qwen2.5-coder-1.5b': [28, 1536, 12, 2, 128, 8960, 151936, true, 32768],
  'qwen2.5-coder-7b': [28, 3584, 28, 4, 128, 18944, 152064, false, 131072],
  'qwen2.5-coder-32b': [64, 5120, 40, 8, 128, 27648, 152064, false, 131072],
  'qwen3-32b': [64, 5120, 64, 8, 128, 25600, 151936, false, 131072],
};

const mixtures: readonly ModelShape[] = [
  {
    ...{ name: 'qwen3-coder-480b-a35b', layerCount: 62, hiddenSize: 6144, headCount: 96, kvHeadCount: 8 },
    ...{ headSize: 128, ffnSize: 2560, expertCount: 160, activeExpertCount: 8, vocabSize: 151936 },
    ...{ tiedEmbeddings: false, contextLength: 262144, fullAttentionLayerCount: 62 },
  },
  {
    ...{ name: 'gpt-oss-120b', layerCount: 36, hiddenSize: 2880, headCount: 64, kvHeadCount: 8 },
    ...{ headSize: 64, ffnSize: 2880, expertCount: 128, activeExpertCount: 4, vocabSize: 201088 },
    // Every second layer sees 128 tokens only.
    ...{ tiedEmbeddings: false, contextLength: 131072, fullAttentionLayerCount: 18 },
  },
];

/** Every model that is known by name. */
export const SHAPES: readonly ModelShape[] = [
  ...Object.entries(dense).map(
    ([name, [layers, hidden, heads, kvHeads, head, ffn, vocab, tied, context]]) => ({
      ...{
        name,
        layerCount: layers,
        hiddenSize: hidden,
        headCount: heads,
        kvHeadCount: kvHeads,
        headSize: head,
      },
      ...{ ffnSize: ffn, expertCount: 1, activeExpertCount: 1, vocabSize: vocab, tiedEmbeddings: tied },
      ...{ contextLength: context, fullAttentionLayerCount: layers },
    }),
  ),
  ...mixtures,
];

/** A model or device that nobody knows, or a config.json that is none. The message lists what is known. */
export class UnknownShapeError extends Error {
  override readonly name = 'UnknownShapeError';
}

/** The shape of that name. Throws UnknownShapeError. */
export function namedShape(name: string): ModelShape {
  const shape = SHAPES.find((candidate) => candidate.name === name.toLowerCase());
  if (shape !== undefined) return shape;
  const known = SHAPES.map((candidate) => candidate.name).join(', ');
  throw new UnknownShapeError(
    `model ${JSON.stringify(name)} is not known; known are ${known}, or a directory`,
  );
}

/** The shape that a Hugging Face config.json (parsed) describes. Throws UnknownShapeError naming the field. */
export function shapeOfConfig(name: string, config: unknown): ModelShape {
  const fields = (typeof config === 'object' && config !== null ? config : {}) as Record<string, unknown>;
  const count = (key: string, fallback?: number): number => {
    const value = fields[key] ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value < 2 ** 31)
      return value;
    throw new UnknownShapeError(`config.json of ${name}: ${key} is ${JSON.stringify(value)}, not a count`);
  };
  const hiddenSize = count('hidden_size');
  const headCount = count('num_attention_heads');
  const layerCount = count('num_hidden_layers');
  const expertCount = count('num_experts', count('num_local_experts', 1));
  const ffnSize =
    expertCount > 1 ? count('moe_intermediate_size', count('intermediate_size')) : count('intermediate_size');
  const layerTypes = Array.isArray(fields['layer_types']) ? fields['layer_types'] : null;
  const windowed = layerTypes?.filter((type) => type === 'sliding_attention').length ?? 0;
  return {
    name,
    layerCount,
    hiddenSize,
    headCount,
    kvHeadCount: count('num_key_value_heads', headCount),
    headSize: count('head_dim', Math.floor(hiddenSize / headCount)),
    ffnSize,
    expertCount,
    activeExpertCount: expertCount > 1 ? Math.min(expertCount, count('num_experts_per_tok')) : 1,
    vocabSize: count('vocab_size'),
    tiedEmbeddings: fields['tie_word_embeddings'] === true,
    contextLength: count('max_position_embeddings'),
    fullAttentionLayerCount: Math.max(1, layerCount - windowed),
  };
}
