// Confidence intervals by cluster bootstrap: whole sessions are drawn again with replacement, because turns of one
// session resemble each other. Percentile intervals, seeded, so equal data give equal intervals.
import type { Random } from '../../kernels/random.ts';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export const RESAMPLES = 1000;
const LEVEL = 0.95;

/** Σ numerator / Σ denominator over the clusters: means (sum, count), shares (good, all), rates. */
export function ratioInterval(
  clusters: readonly { readonly numerator: number; readonly denominator: number }[],
  random: Random,
  resamples = RESAMPLES,
): Interval | null {
  const n = clusters.length;
  if (n < 2) return null;
  const results = new Float64Array(resamples);
  for (let round = 0; round < resamples; round++) {
    let numerator = 0;
    let denominator = 0;
    for (let at = 0; at < n; at++) {
      const cluster = clusters[random.integer(0, n - 1)]!;
      numerator += cluster.numerator;
      denominator += cluster.denominator;
    }
    results[round] = denominator === 0 ? Number.NaN : numerator / denominator;
  }
  return percentileInterval(results);
}

/** The q-quantile of all values together. `clusters[i]` are the values of one session. */
export function quantileInterval(
  clusters: readonly (readonly number[])[],
  q: number,
  random: Random,
  resamples = RESAMPLES,
): Interval | null {
  const n = clusters.length;
  if (n < 2) return null;
  const sorted = clusters
    .flatMap((values, cluster) => values.map((value) => ({ value, cluster })))
    .sort((a, b) => a.value - b.value);
  if (sorted.length === 0) return null;
  const sizes = clusters.map((values) => values.length);
  const times = new Int32Array(n); // how often each cluster was drawn
  const results = new Float64Array(resamples);
  for (let round = 0; round < resamples; round++) {
    times.fill(0);
    let total = 0;
    for (let at = 0; at < n; at++) {
      const drawn = random.integer(0, n - 1);
      times[drawn]!++;
      total += sizes[drawn]!;
    }
    results[round] = weightedQuantile(sorted, times, Math.ceil(q * total));
  }
  return percentileInterval(results);
}

/** The rank-th smallest value when value i counts times[cluster of i] times. */
function weightedQuantile(
  sorted: readonly { readonly value: number; readonly cluster: number }[],
  times: Int32Array,
  rank: number,
): number {
  let passed = 0;
  for (const { value, cluster } of sorted) {
    passed += times[cluster]!;
    if (passed >= rank && times[cluster]! > 0) return value;
  }
  return Number.NaN;
}

/** Of the results of all resamples; those that are no number are left out. Null: none is one. Sorts a copy. */
export function percentileInterval(results: Float64Array): Interval | null {
  const valid = results.filter((value) => !Number.isNaN(value)).sort();
  if (valid.length === 0) return null;
  const at = (share: number) =>
    valid[Math.min(valid.length - 1, Math.max(0, Math.round(share * (valid.length - 1))))]!;
  return { low: at((1 - LEVEL) / 2), high: at((1 + LEVEL) / 2) };
}
