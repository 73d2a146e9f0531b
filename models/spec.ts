// ModelSpec: the dimensions of a decoder, as data. It owns no weights and does no I/O.
// checkpoint/checkpoint-config.ts makes one from a Hugging Face config.json, gguf/gguf-spec.ts from GGUF metadata; graphs, devices and
// the engine only read it. What families differ in is said here, field by field, and computed by whoever reads it: no
// reader asks for a family's name.

/** Llama-3 frequency scaling of rotary embeddings. Source: transformers `rope_type: "llama3"`. */
export interface Llama3RopeScaling {
  readonly kind: 'llama3';
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalContextLength: number; // tokens
}

/** Position interpolation: every position is divided by `factor`. */
export interface LinearRopeScaling {
  readonly kind: 'linear';
  readonly factor: number;
}

/** Every frequency is divided by a number of its own, as GGUF files write Llama 3's scaling. */
export interface DividedRopeScaling {
  readonly kind: 'divisors';
  readonly divisors: readonly number[]; // [rotarySize / 2]
}

/**
 * Low frequencies are divided by `factor`, high ones stay, those between `betaSlow` and `betaFast` turns over the original
 * context are blended; cosines and sines are multiplied by `magnitude`. Source: arXiv:2309.00071, transformers `yarn`.
 */
export interface YarnRopeScaling {
  readonly kind: 'yarn';
  readonly factor: number;
  readonly betaFast: number; // turns
  readonly betaSlow: number; // turns
  readonly truncate: boolean; // the band is rounded outwards to whole frequencies
  readonly magnitude: number;
  readonly originalContextLength: number; // tokens
}

/**
 * Beyond the original context the base grows with the position, so that a token is turned as if the text ended with it.
 * transformers computes the same when it is given a text token by token.
 */
export interface DynamicRopeScaling {
  readonly kind: 'dynamic';
  readonly factor: number;
  readonly originalContextLength: number; // tokens
}

/**
 * Every frequency is divided by a number of its own, and there are two sets of them: for contexts within the original one
 * and for longer ones. Which one holds follows from the context that is served (ModelSpec.contextLength), not from how
 * long a text is by now: keys stay as they were turned.
 */
export interface LongRopeScaling {
  readonly kind: 'longrope';
  readonly shortDivisors: readonly number[]; // [rotarySize / 2]
  readonly longDivisors: readonly number[]; // [rotarySize / 2]
  readonly magnitude: number; // of cosines and sines
  readonly originalContextLength: number; // tokens
}

export type RopeScaling =
  | Llama3RopeScaling
  | LinearRopeScaling
  | DividedRopeScaling
  | YarnRopeScaling
  | DynamicRopeScaling
  | LongRopeScaling;

/** One layer's attention. */
export interface LayerAttention {
  readonly window: number | null; // tokens that a token sees, itself included; null: all before it
  readonly rotary: 'main' | 'local' | 'none'; // 'local': ModelSpec.localRopeTheta, unscaled
}

export type Activation = 'silu' | 'gelu' | 'gelu-tanh';

/** Far above any published decoder; bounds the list of needed tensors. */
export const layerCountMax = 1024; // layers

/** A feed-forward of many, of which a token uses a few. */
export interface Experts {
  readonly count: number;
  readonly activeCount: number; // of a token
  readonly isNormalised: boolean; // weights of the chosen ones sum to 1
  readonly hasRouterBias: boolean;
  /** Null: as `activation` says. Else gate · σ(alpha · gate) · (up + 1), gate ≤ limit and |up| ≤ limit. */
  readonly clamp: { readonly alpha: number; readonly limit: number } | null;
  /** A feed-forward that every token has besides; gated: its answer times σ(gate · x). */
  readonly shared: { readonly size: number; readonly isGated: boolean } | null;
  readonly dense: DenseLayers | null;
}

/** Layers that have one feed-forward of this size instead of experts. */
export interface DenseLayers {
  readonly layers: readonly number[];
  readonly size: number; // elements, its ffnSize
}

export interface ModelSpec {
  readonly name: string;
  readonly architecture: string; // the family's name in GGUF files: qwen2, llama, gemma3
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number; // elements per head, even (rotary)
  readonly ffnSize: number; // of one expert where there are any
  readonly experts: Experts | null;
  readonly contextLength: number; // tokens, max_position_embeddings
  readonly norm: 'rms' | 'layer'; // layer: centred, and with a bias
  readonly rmsNormEps: number; // of every norm
  /** Of attention and feed-forward: what they read, what they write, or both is normalised. */
  readonly normPlacement: 'before' | 'after' | 'around';
  readonly queryKeyNorm: 'none' | 'head' | 'whole'; // each head by itself, or all of them as one vector
  readonly hasSinks: boolean; // a score for each head that takes its share of attention and brings nothing
  readonly activation: Activation;
  readonly isGated: boolean; // down(act(gate(x)) · up(x)), else down(act(up(x)))
  readonly layers: readonly LayerAttention[]; // [layerCount]
  readonly rotarySize: number; // elements of a head that are turned, the first ones; even
  readonly unpadded?: Pick<ModelSpec, 'headSize' | 'rotarySize'>; // as the checkpoint has them, of heads that were padded (graph/padded-heads.ts)
  readonly ropeTheta: number;
  readonly localRopeTheta: number | null;
  readonly ropeScaling: RopeScaling | null;
  readonly embeddingMultiplier: number;
  readonly residualMultiplier: number; // of what attention and feed-forward add
  readonly attentionMultiplier: number; // of scores; 1 / √headSize where nothing else is said
  /** Scores of tokens far on are multiplied by 1 + beta · ln(1 + ⌊position / length⌋). Source: transformers `llama_4_scaling_beta`. */
  readonly scoreGrowth: { readonly beta: number; readonly length: number } | null;
  readonly logitMultiplier: number;
  readonly attentionSoftCap: number | null; // scores become cap · tanh(score / cap)
  readonly logitSoftCap: number | null;
  readonly tiedEmbeddings: boolean;
  readonly qkvBias: boolean;
  readonly attentionOutputBias: boolean;
  readonly mlpBias: boolean;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[]; // generation stops after any of these
}

/** The decoder that is built where at most `contextTokens` are served: see LongRopeScaling. */
export function servedSpec(spec: ModelSpec, contextTokens: number): ModelSpec {
  const { ropeScaling: scaling, contextLength } = spec;
  if (scaling?.kind !== 'longrope' || contextTokens > scaling.originalContextLength) return spec;
  return { ...spec, contextLength: Math.min(contextLength, scaling.originalContextLength) };
}

const headStep = 16; // elements; source: GroupQueryAttention of ONNX Runtime on the CPU

/** Elements that a head, or the part of one that is turned, takes where it is computed: graph/padded-heads.ts. */
export function computedHeadSize(size: number): number {
  return Math.ceil(size / headStep) * headStep;
}

/** What the scores of a token at this position are multiplied by. */
export function scoreGrowthAt({ scoreGrowth: growth }: ModelSpec, position: number): number {
  return growth === null ? 1 : 1 + growth.beta * Math.log(1 + Math.floor(position / growth.length));
}

/** Whether a layer's tokens choose among experts. */
export function hasExperts({ experts }: ModelSpec, layer: number): boolean {
  return experts !== null && experts.dense?.layers.includes(layer) !== true;
}

/** Bytes of key and value that one token adds over all layers. `elementSize` in bytes (fp32 = 4). */
export function kvBytesPerToken(spec: ModelSpec, elementSize: number): number {
  return 2 * spec.layerCount * spec.kvHeadCount * computedHeadSize(spec.headSize) * elementSize;
}

/** Number of weights, biases included; tied embeddings are counted once. */
export function weightCount(spec: ModelSpec): number {
  const { hiddenSize: d, headSize: h } = spec;
  const q = spec.headCount * h;
  const kv = spec.kvHeadCount * h;
  const attention =
    d * (q + 2 * kv) + q * d + (spec.qkvBias ? q + 2 * kv : 0) + (spec.attentionOutputBias ? d : 0);
  const wide = spec.isGated ? 2 : 1;
  const feedForward = (size: number) => (wide + 1) * d * size + (spec.mlpBias ? wide * size + d : 0);
  const norm = spec.norm === 'layer' ? 2 * d : d;
  const queryKeyNorms = { none: 0, head: 2 * h, whole: q + kv }[spec.queryKeyNorm];
  const norms = norm * (spec.normPlacement === 'around' ? 4 : 2) + queryKeyNorms;
  const sinks = spec.hasSinks ? spec.headCount : 0;
  const embeddings = spec.vocabSize * d * (spec.tiedEmbeddings ? 1 : 2);
  const feeds = feedForwardWeights(spec, feedForward);
  return spec.layerCount * (attention + sinks + norms) + feeds + embeddings + norm;
}

/** Of all layers' feed-forwards, routers and experts; `sized`: the weights of one feed-forward. */
function feedForwardWeights(spec: ModelSpec, sized: (size: number) => number): number {
  const { experts, layerCount, ffnSize, hiddenSize: d } = spec;
  if (experts === null) return layerCount * sized(ffnSize);
  const { count, hasRouterBias, shared, dense } = experts;
  const router = count * (hasRouterBias ? d + 1 : d);
  const always = shared === null ? 0 : sized(shared.size) + (shared.isGated ? d : 0);
  const denseCount = dense?.layers.length ?? 0;
  const mixed = count * sized(ffnSize) + router + always;
  return (layerCount - denseCount) * mixed + denseCount * sized(dense?.size ?? 0);
}

/** What a family is whatever a config says. */
export type DecoderPlan = Pick<ModelSpec, 'norm' | 'normPlacement' | 'queryKeyNorm' | 'hasSinks' | 'isGated'>;

/** A decoder of Llama's kind; families say where they differ. */
export const plainDecoder: DecoderPlan = {
  norm: 'rms',
  normPlacement: 'before',
  queryKeyNorm: 'none',
  hasSinks: false,
  isGated: true,
};
