// ModelShape: what a simulated device must know of a model: how many weights lie where, how many of them one token
// uses, and how much KV it leaves behind. Data and arithmetic only; no weights, no runtime. Layers may differ (dense
// and mixture, full and windowed): what is said "of one layer" is the mean over all of them.
// Made by catalogue.ts and shape-config.ts; read by gpu/ and wafer/.
import type { ModelSpec } from '../../models/spec.ts';
import { kvElementBytes, type SimKvPrecision, type SimPrecision, weightBytes } from './precision.ts';

/** Latent attention (DeepSeek's MLA): KV is one compressed vector and one rotary key for all heads. Elements. */
export interface LatentAttention {
  readonly kvRank: number;
  readonly queryRank: number; // 0: queries are not compressed
  readonly ropeSize: number;
  readonly nopeSize: number;
  readonly valueSize: number;
}

/** Layers without growing KV (gated delta net): a state of fixed size for each sequence. */
export interface LinearAttention {
  readonly layerCount: number;
  readonly keyHeadCount: number;
  readonly valueHeadCount: number;
  readonly keyHeadSize: number;
  readonly valueHeadSize: number;
  readonly convolutionSize: number;
}

/** The sizes of a decoder. In `mixtureLayerCount` layers a token uses `activeExpertCount` experts and the shared one. */
export interface ModelShape
  extends Pick<
    ModelSpec,
    | 'name'
    | 'layerCount'
    | 'hiddenSize'
    | 'headCount'
    | 'kvHeadCount'
    | 'headSize'
    | 'vocabSize'
    | 'tiedEmbeddings'
    | 'contextLength'
  > {
  readonly denseFfnSize: number; // of layers that are no mixture
  readonly mixtureLayerCount: number; // 0: dense
  readonly ffnSize: number; // of one expert; of a dense model, the same as denseFfnSize
  readonly expertCount: number; // 1: dense
  readonly activeExpertCount: number;
  readonly sharedFfnSize: number; // of all shared experts together; 0: none
  readonly fullAttentionLayerCount: number; // their KV grows with the context
  readonly windowedLayerCount: number;
  readonly windowTokens: number; // that a windowed layer sees; 0: no such layer
  readonly gatedAttention: boolean; // the queries' projection also makes a gate of their size
  readonly latent: LatentAttention | null;
  readonly linear: LinearAttention | null;
  readonly encoderWeights: number; // of a vision tower: memory, but no cost per token
  readonly publishedPrecision: SimPrecision; // of the checkpoint; 16 bits of either kind: fp16
  readonly hasBlockScales: boolean; // a scale for each block of its fp8 weights, not one for a matrix
  readonly draftLayerCount: number; // multi-token prediction layers that are published with it; not loaded
}

// Weights of a softmax-attention layer outside the feed-forward part. Norms and biases (below 0.1 %) are left out.
function softmaxWeights(shape: ModelShape): number {
  const { hiddenSize, headCount, latent } = shape;
  if (latent === null) {
    const q = headCount * shape.headSize;
    return hiddenSize * ((shape.gatedAttention ? 3 : 2) * q + 2 * shape.kvHeadCount * shape.headSize);
  }
  const { kvRank, queryRank, ropeSize, nopeSize, valueSize } = latent;
  const q = headCount * (ropeSize + nopeSize);
  const queries = queryRank === 0 ? hiddenSize * q : queryRank * (hiddenSize + q);
  const keysAndValues = hiddenSize * (kvRank + ropeSize) + kvRank * headCount * (nopeSize + valueSize);
  return queries + keysAndValues + headCount * valueSize * hiddenSize;
}

function linearWeights({ hiddenSize }: ModelShape, linear: LinearAttention): number {
  const keys = linear.keyHeadCount * linear.keyHeadSize;
  const values = linear.valueHeadCount * linear.valueHeadSize;
  const projections = hiddenSize * (2 * keys + 3 * values + 2 * linear.valueHeadCount); // q k, v z out, β α
  return projections + (2 * keys + values) * linear.convolutionSize;
}

// All layers' weights outside the feed-forward part.
function attentionWeightsOfAll(shape: ModelShape): number {
  const { linear, layerCount } = shape;
  if (linear === null) return layerCount * softmaxWeights(shape);
  const softmax = (layerCount - linear.layerCount) * softmaxWeights(shape);
  return softmax + linear.layerCount * linearWeights(shape, linear);
}

// Weights of one expert of one layer: gate, up and down.
function expertWeights(shape: ModelShape): number {
  return 3 * shape.hiddenSize * shape.ffnSize;
}

// Weights of all routed experts of all layers.
function routedWeights(shape: ModelShape): number {
  return shape.mixtureLayerCount * shape.expertCount * expertWeights(shape);
}

/** Weights of the routed experts that one token meets. */
export function activeRoutedWeights(shape: ModelShape): number {
  return shape.mixtureLayerCount * shape.activeExpertCount * expertWeights(shape);
}

/** Share of a layer's experts that some token of `tokenCount` meets: uniform routing leaves one out with (1 − k/E)^tokens. */
export function metShare({ activeExpertCount, expertCount }: ModelShape, tokenCount: number): number {
  return 1 - (1 - activeExpertCount / expertCount) ** tokenCount;
}

/** Weights of all layers that every token meets: attention, routers, shared experts, dense feed-forward parts. */
export function commonWeights(shape: ModelShape): number {
  const { hiddenSize, mixtureLayerCount, layerCount } = shape;
  const perMixture = hiddenSize * (shape.expertCount + 3 * shape.sharedFfnSize);
  const dense = (layerCount - mixtureLayerCount) * 3 * hiddenSize * shape.denseFfnSize;
  return attentionWeightsOfAll(shape) + mixtureLayerCount * perMixture + dense;
}

/** All weights of one layer. */
export function layerWeights(shape: ModelShape): number {
  return (commonWeights(shape) + routedWeights(shape)) / shape.layerCount;
}

/** Weights of one layer that one token meets. */
export function activeLayerWeights(shape: ModelShape): number {
  return (commonWeights(shape) + activeRoutedWeights(shape)) / shape.layerCount;
}

/** Weights of the output projection, which tied models share with the embeddings. */
export function headWeights(shape: ModelShape): number {
  return shape.vocabSize * shape.hiddenSize;
}

/** Embeddings and output projection. */
function vocabularyWeights(shape: ModelShape): number {
  return headWeights(shape) * (shape.tiedEmbeddings ? 1 : 2);
}

/** Weights that must be kept somewhere. */
export function totalWeights(shape: ModelShape): number {
  const { encoderWeights } = shape;
  return commonWeights(shape) + routedWeights(shape) + vocabularyWeights(shape) + encoderWeights;
}

/** Weights that one token multiplies with. The embedding is a look-up, not a product. */
export function activeWeights(shape: ModelShape): number {
  return commonWeights(shape) + activeRoutedWeights(shape) + headWeights(shape);
}

/** Bytes of the layers' weights: all that every token meets, and all routed experts. */
export function layerBytes(
  shape: ModelShape,
  precision: SimPrecision,
): { readonly common: number; readonly routed: number } {
  const mixture = shape.mixtureLayerCount > 0;
  return {
    common: commonWeights(shape) * weightBytes(precision, mixture ? 'common' : 'expert'),
    routed: routedWeights(shape) * weightBytes(precision, 'expert'),
  };
}

/** Bytes of the output projection. */
export function headBytes(shape: ModelShape, precision: SimPrecision): number {
  return headWeights(shape) * weightBytes(precision, 'vocabulary');
}

/** Bytes of everything that must be kept somewhere. */
export function totalBytes(shape: ModelShape, precision: SimPrecision): number {
  const { common, routed } = layerBytes(shape, precision);
  const outside = vocabularyWeights(shape) + shape.encoderWeights;
  return common + routed + outside * weightBytes(precision, 'vocabulary');
}

// Context for which windowed layers' KV is counted per token: a coding turn. A window of 128 is next to nothing of it.
const windowContextTokens = 8192;

/** Bytes of KV that one more token of context needs over all layers; of windows, their share of 8,192 tokens. */
export function shapeKvBytesPerToken(shape: ModelShape, precision: SimKvPrecision): number {
  const windowShare = Math.min(1, shape.windowTokens / windowContextTokens);
  const layers = shape.fullAttentionLayerCount + shape.windowedLayerCount * windowShare;
  return layers * kvBytesPerTokenOfLayer(shape, precision);
}

/** The same where windowed layers keep all of the context. */
export function keptKvBytesPerToken(shape: ModelShape, precision: SimKvPrecision): number {
  return (
    (shape.fullAttentionLayerCount + shape.windowedLayerCount) * kvBytesPerTokenOfLayer(shape, precision)
  );
}

/** Of one layer that keeps it. */
export function kvBytesPerTokenOfLayer(shape: ModelShape, precision: SimKvPrecision): number {
  const { latent } = shape;
  const elements = latent === null ? 2 * shape.kvHeadCount * shape.headSize : latent.kvRank + latent.ropeSize;
  return elements * kvElementBytes(precision);
}

const stateBytes = 4; // of an element of a linear layer's state: fp32, as its reference kernels keep it

/** Bytes that one sequence's step reads and writes of linear layers' states. */
export function stateBytesPerRow({ linear }: ModelShape): number {
  if (linear === null) return 0;
  const state = linear.valueHeadCount * linear.keyHeadSize * linear.valueHeadSize;
  return 2 * linear.layerCount * state * stateBytes;
}

/** Multiply-adds of attention in one layer for one token of a prompt that looks at `contextCount` others. */
export function attentionMacs(shape: ModelShape, contextCount: number): number {
  const { latent, headCount } = shape;
  const perHead = latent === null ? 2 * shape.headSize : latent.ropeSize + latent.nopeSize + latent.valueSize;
  return headCount * perHead * contextCount;
}

/** The same for a decoded token: over latent KV every head multiplies with the compressed vectors. */
export function decodeAttentionMacs(shape: ModelShape, contextCount: number): number {
  const { latent, headCount } = shape;
  if (latent === null) return attentionMacs(shape, contextCount);
  return headCount * (2 * latent.kvRank + latent.ropeSize) * contextCount;
}
