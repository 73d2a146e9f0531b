// EncoderSpec: the dimensions of a model that reads a text as a whole and answers a vector for each token, as data. Owns no
// weights and does no I/O. encoder-config.ts makes one; encoder-graph.ts computes what it says and asks for no family's name.
import type { ModelSpec } from '../spec.ts';

/** One layer's attention: every token sees every other. */
export interface EncoderLayer {
  readonly reach: number | null; // tokens that a token sees to either side; null: all
  readonly ropeTheta: number | null; // null: positions are in the embeddings
}

export interface EncoderSpec
  extends Pick<
    ModelSpec,
    | 'name'
    | 'architecture'
    | 'vocabSize'
    | 'hiddenSize'
    | 'headCount'
    | 'ffnSize'
    | 'activation'
    | 'isGated'
    | 'qkvBias'
  > {
  readonly contextLength: number; // tokens, start and end included
  readonly layers: readonly EncoderLayer[];
  readonly normEps: number;
  readonly hasNormBias: boolean;
  readonly normPlacement: 'before' | 'after'; // before: the first layer's attention reads the embeddings' norm
  readonly hasPositions: boolean; // learned ones
  readonly positionStart: number; // row of the first position
  readonly segmentCount: number; // rows of the table of segments, of which the first is added; 0: none
  readonly outputBias: boolean;
  readonly feedBias: boolean;
}

/**
 * Every tensor that an encoder computes with, by our names, and its shape; [out, in] for matrices. Tables may have more
 * rows than are used.
 */
export function encoderTensors(spec: EncoderSpec): ReadonlyMap<string, readonly number[]> {
  const { hiddenSize: d, ffnSize: f, layers } = spec;
  const tensors = new Map<string, readonly number[]>([['words.weight', [spec.vocabSize, d]]]);
  const norm = (name: string) => {
    tensors.set(`${name}.weight`, [d]);
    if (spec.hasNormBias) tensors.set(`${name}.bias`, [d]);
  };
  const linear = (name: string, out: number, size: number, bias: boolean) => {
    tensors.set(`${name}.weight`, [out, size]);
    if (bias) tensors.set(`${name}.bias`, [out]);
  };
  if (spec.hasPositions) tensors.set('positions.weight', [spec.positionStart + spec.contextLength, d]);
  if (spec.segmentCount > 0) tensors.set('segments.weight', [spec.segmentCount, d]);
  norm('embedding_norm');
  for (const layer of layers.keys()) {
    const prefix = `layers.${layer}`;
    if (!isFirstNormLeftOut(spec, layer)) norm(`${prefix}.attention_norm`);
    for (const name of ['query', 'key', 'value']) linear(`${prefix}.${name}`, d, d, spec.qkvBias);
    linear(`${prefix}.output`, d, d, spec.outputBias);
    norm(`${prefix}.feed_norm`);
    if (spec.isGated) linear(`${prefix}.gate`, f, d, spec.feedBias);
    linear(`${prefix}.up`, f, d, spec.feedBias);
    linear(`${prefix}.down`, d, f, spec.feedBias);
  }
  if (spec.normPlacement === 'before') norm('final_norm');
  return tensors;
}

/** The embeddings' norm is the first layer's, where norms come before what they serve. */
export function isFirstNormLeftOut({ normPlacement }: EncoderSpec, layer: number): boolean {
  return normPlacement === 'before' && layer === 0;
}

/** Number of weights, biases included. */
export function encoderWeightCount(spec: EncoderSpec): number {
  let count = 0;
  for (const shape of encoderTensors(spec).values())
    count += shape.reduce((product, size) => product * size, 1);
  return count;
}
