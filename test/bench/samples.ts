// What benchmarks draw and how they sum up.
import type { Random } from '../../kernels/random.ts';

const plainIds = 8000; // ids below are ordinary tokens in every vocabulary

export function randomTokens(random: Random, count: number): number[] {
  return Array.from({ length: count }, () => random.integer(0, plainIds - 1));
}

/** The upper one of two in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
