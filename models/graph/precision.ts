// Which number formats a graph can be built in, and which one a model gets by default. Before it: build.ts and the
// server's configuration; after it: one arithmetic each.
import { type ModelSpec, weightCount } from '../spec.ts';
import type { Arithmetic, WeightSource } from './arithmetic.ts';
import { blockArithmetic } from './block-arithmetic.ts';
import { floatArithmetic } from './float-arithmetic.ts';
import { integerArithmetic } from './integer-arithmetic.ts';

export const precisions = ['fp32', 'int8', 'int4', 'w8a8'] as const;
export type Precision = (typeof precisions)[number];

export function arithmeticOf(precision: Precision, source: WeightSource): Arithmetic {
  switch (precision) {
    case 'fp32':
      return floatArithmetic(source);
    case 'int8':
      return blockArithmetic(source, 8);
    case 'int4':
      return blockArithmetic(source, 4);
    case 'w8a8':
      return integerArithmetic(source);
  }
}

// Past this many weights a decode step is bound by reading them, not by the number of operators, and activations
// have outliers that one scale per row does not survive.
const smallModelWeights = 100e6;

/**
 * The fastest format that keeps 95 % of the most likely tokens of fp32 and 0.005 nats of its distribution, as
 * measured by test/bench/graph.bench.ts (PERFORMANCE.md, "Precision and graphs"): w8a8 for small models; for large
 * ones, where w8a8 is unproven, int8 in blocks. int4 is never a default: it loses one most likely token in eight.
 */
export function defaultPrecision(spec: ModelSpec): Precision {
  return weightCount(spec) <= smallModelWeights ? 'w8a8' : 'int8';
}
