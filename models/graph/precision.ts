// Which number formats a graph can be built in, and which one a model gets by default. Before it: build.ts and the
// server's configuration; after it: one arithmetic each.

import { type ModelSpec, weightCount } from '../spec.ts';
import { requiredTensors } from '../weights/required-tensors.ts';
import type { WeightSource } from '../weights/weights.ts';
import type { Arithmetic } from './arithmetic.ts';
import { blockArithmetic } from './block-arithmetic.ts';
import { floatArithmetic } from './float-arithmetic.ts';
import { integerArithmetic } from './integer-arithmetic.ts';
import { ownArithmetic } from './own-arithmetic.ts';
import { smoothedRoles } from './smoothing.ts';

/** `stored`: blocks of 4 or 8 bits as a GGUF file has them, where a kernel takes them; all others in 8 bits. */
export const precisions = ['fp32', 'int8', 'int4', 'w8a8', 'stored'] as const;
export type Precision = (typeof precisions)[number];

/**
 * Whether a format errs less with smoothed weights: those that round the activations finely enough for it to matter. Not
 * at 4 bits, which would lose the grid of weights that were quantised to it before.
 */
export function isSmoothable(precision: Precision): boolean {
  return precision === 'int8' || precision === 'w8a8';
}

/** Whether a format has another head where products are exact: all that round it, but what is kept as it is stored. */
export function hasFineHead(precision: Precision): boolean {
  return precision !== 'fp32' && precision !== 'stored';
}

const ownBits = { int8: 8, int4: 4, stored: 'stored' } as const;

/** Whether our own operators multiply by weights of a format: those of blocks. */
export function hasOwnProducts(precision: Precision): precision is keyof typeof ownBits {
  return precision in ownBits;
}

type ArithmeticOptions = Readonly<Record<'smoothed' | 'exactProducts' | 'fineHead' | 'ownKernels', boolean>>;

/**
 * `smoothed`: whether the source's activations have been evened out (smoothing.ts); `exactProducts`: as of Calibration (build.ts);
 * `fineHead`: whether a large head is the finer one; `ownKernels`: whether our own operators compute, where they have the format.
 */
export function arithmeticOf(
  precision: Precision,
  source: WeightSource,
  { smoothed, exactProducts, fineHead, ownKernels }: ArithmeticOptions,
): Arithmetic {
  if (ownKernels && hasOwnProducts(precision)) return ownArithmetic(source, ownBits[precision]);
  const options = { coarse: smoothed && exactProducts, fineHead };
  switch (precision) {
    case 'fp32':
      return floatArithmetic(source);
    case 'int8':
      return blockArithmetic(source, 8, options);
    case 'int4':
      return blockArithmetic(source, 4, options);
    case 'w8a8':
      return integerArithmetic(source, fineHead);
    case 'stored':
      return blockArithmetic(source, 'stored', { coarse: false, fineHead: false });
  }
}

/**
 * Mean divergence from fp32 that each format stays within, nats, where it was calibrated: measured on SmolLM2-135M and
 * spark-nano by `make quality` (PERFORMANCE.md, "Accuracy"). Other models may differ; larger ones usually err less.
 */
export const expectedDivergence: Readonly<Record<Precision, number>> = {
  fp32: 0,
  int8: 0.0045,
  w8a8: 0.02,
  int4: 0.25,
  stored: 0.0045, // from the file's own values: only activations are rounded, and weights of other types
};

/** What a default may cost at most, nats; beyond it the server says so at start. */
export const divergenceBound = 0.005;

// Up to this many weights a decode step is bound by the number of operators, and activations have no outliers to speak
// of: w8a8 of spark-nano, 6.5 M, stays within the bound (0.0040), of SmolLM2, 135 M, it does not (PERFORMANCE.md).
const smallModelWeights = 20e6;

/**
 * The fastest format that keeps `divergenceBound`: the file's own blocks where a kernel takes those of any layer, else
 * w8a8 for small models, int8 in blocks for all others and wherever our own operators compute.
 */
export function defaultPrecision(spec: ModelSpec, source: WeightSource, ownKernels = false): Precision {
  const isStored = (name: string) => {
    const layout = source.storedLayout?.(name) ?? null;
    return layout !== null && (ownKernels || layout.hasOffsets !== true);
  };
  if (layerMatrices(spec).some(isStored)) return 'stored';
  if (ownKernels) return 'int8';
  // w8a8 needs activations whose outliers can be folded away: not all families have norms where they would go.
  const isSmooth = smoothedRoles(spec).length === 3;
  return isSmooth && weightCount(spec) <= smallModelWeights ? 'w8a8' : 'int8';
}

function layerMatrices(spec: ModelSpec): readonly string[] {
  return [...requiredTensors(spec)]
    .filter(([name, shape]) => name.startsWith('model.layers.') && shape.length === 2)
    .map(([name]) => name);
}
