// When a quantile may be stated at all: there must be enough samples for the order statistics to bound it from above
// with 97.5 % confidence, the upper end of a two-sided 95 % interval.

const TAIL = 0.025; // half of 5 %

/**
 * The smallest n at which the largest of n samples lies above the q-quantile with 97.5 % confidence:
 * 1 − qⁿ ≥ 0.975, n ≥ ln 0.025 / ln q. 368 for p99, 72 for p95, 36 for p90.
 */
export function samplesNeeded(q: number): number {
  return Math.ceil(Math.log(TAIL) / Math.log(q));
}

/** Null when it may be stated, otherwise why not. */
export function refusalOf(q: number, sampleCount: number): string | null {
  const needed = samplesNeeded(q);
  if (sampleCount >= needed) return null;
  return `p${formatPercent(q)} needs ${needed} samples to be bounded with 95 % confidence, there are ${sampleCount}`;
}

export function formatPercent(q: number): string {
  return String(Math.round(q * 100_000) / 1000);
}
