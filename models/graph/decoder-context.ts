// What every part of a decoder graph is written with, and the probes between the parts. Before it: decoder.ts makes it;
// after it: norm-nodes.ts, attention-nodes.ts, feed-forward-nodes.ts.
import type { ModelSpec } from '../spec.ts';
import type { WeightSource } from '../weights/weights.ts';
import type { Arithmetic, Linear, LinearRole } from './arithmetic.ts';
import type { GraphWriter } from './graph-writer.ts';
import type { SmoothedRole } from './smoothing.ts';

/** How keys and values are kept; the weights do not depend on it. */
export type KvPrecision = 'fp32' | 'int8';

/** Whose kernels compute the graph: the cpu's, or another device's. */
export type GraphTarget = 'cpu' | 'device';

export interface DecoderContext {
  readonly spec: ModelSpec;
  readonly kv: KvPrecision;
  readonly target: GraphTarget;
  readonly probed: boolean;
  readonly ownKernels: boolean; // our own operators compute where they can
  readonly guesses: boolean; // it can compute several tokens as if each came alone: alone-nodes.ts
  readonly source: WeightSource;
  readonly writer: GraphWriter;
  readonly arithmetic: Arithmetic;
}

/** Queries, keys and values go to attention as they leave their projection, as one. */
export function isPacked({ queryKeyNorm, scoreGrowth }: ModelSpec): boolean {
  return queryKeyNorm === 'none' && scoreGrowth === null;
}

export function rangeName(role: SmoothedRole, layer: number): string {
  return `range.${role}.${layer}`;
}

/** [..., size] → [size], the largest magnitude of each channel. */
export function writeProbe(
  { writer, probed }: DecoderContext,
  output: string,
  [input, size]: readonly [string, number],
): void {
  if (!probed) return;
  const shape = writer.constant(`shape.${size}`, 'int64', [2], BigInt64Array.of(-1n, BigInt(size)));
  const axes = writer.constant('first_axis', 'int64', [1], BigInt64Array.of(0n));
  const magnitudes = writer.node('Abs', `${output}.magnitudes`, [input]);
  const rows = writer.node('Reshape', `${output}.rows`, [magnitudes, shape]);
  writer.node('ReduceMax', output, [rows, axes], { keepdims: { int: 0 } });
}

/** `input` times a constant; `input` itself where that is 1. */
export function writeScaled({ writer }: DecoderContext, input: string, factor: number): string {
  if (factor === 1) return input;
  const constant = writer.constant(`factor.${factor}`, 'float', [], Float32Array.of(factor));
  return writer.node('Mul', `${input}.scaled`, [input, constant]);
}

/** cap · tanh(input / cap) as `output`. */
export function writeSoftCap({ writer }: DecoderContext, output: string, input: string, cap: number): string {
  const constant = writer.constant(`cap.${cap}`, 'float', [], Float32Array.of(cap));
  const share = writer.node('Div', `${output}.share`, [input, constant]);
  const capped = writer.node('Tanh', `${output}.capped`, [share]);
  return writer.node('Mul', output, [capped, constant]);
}

/** A matrix of the checkpoint under its own name. */
export function linearOf(
  name: string,
  { role, inSize, outSize, bias }: { role: LinearRole; inSize: number; outSize: number; bias: boolean },
): Linear {
  return { name, role, inSize, outSize, weights: [`${name}.weight`], biases: bias ? [`${name}.bias`] : [] };
}
