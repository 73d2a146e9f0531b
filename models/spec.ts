// ModelSpec: the dimensions of a decoder, as data. It owns no weights and does no I/O.
// checkpoint-config.ts makes one from a Hugging Face config.json, gguf/gguf-spec.ts from GGUF metadata; graphs, devices and the engine only read it.

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
  readonly divisors: readonly number[]; // [headSize / 2]
}

export type RopeScaling = Llama3RopeScaling | LinearRopeScaling | DividedRopeScaling;

/** Far above any published decoder; bounds the list of needed tensors. */
export const layerCountMax = 1024; // layers

export interface ModelSpec {
  readonly name: string;
  readonly architecture: 'qwen2' | 'llama';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number; // elements per head, even (rotary)
  readonly ffnSize: number;
  readonly contextLength: number; // tokens, max_position_embeddings
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  readonly tiedEmbeddings: boolean;
  readonly qkvBias: boolean;
  readonly attentionOutputBias: boolean;
  readonly mlpBias: boolean;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[]; // generation stops after any of these
}

/** Bytes of key and value that one token adds over all layers. `elementSize` in bytes (fp32 = 4). */
export function kvBytesPerToken(spec: ModelSpec, elementSize: number): number {
  return 2 * spec.layerCount * spec.kvHeadCount * spec.headSize * elementSize;
}

/** Number of weights, biases included; tied embeddings are counted once. */
export function weightCount(spec: ModelSpec): number {
  const { hiddenSize: d, ffnSize: f, headSize: h } = spec;
  const q = spec.headCount * h;
  const kv = spec.kvHeadCount * h;
  const attention =
    d * (q + 2 * kv) + q * d + (spec.qkvBias ? q + 2 * kv : 0) + (spec.attentionOutputBias ? d : 0);
  const mlp = 3 * d * f + (spec.mlpBias ? 2 * f + d : 0);
  const embeddings = spec.vocabSize * d * (spec.tiedEmbeddings ? 1 : 2);
  return spec.layerCount * (attention + mlp + 2 * d) + embeddings + d;
}
