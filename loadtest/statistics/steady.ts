// Where a series settles: the beginning whose removal makes the mean of the rest most certain (MSER-5, on means of five).
// Source: White, An effective truncation heuristic for bias reduction in simulation output (1997). Pure.

const BATCH = 5;
const UNSETTLED_SHARE = 0.45; // of the series: a best start this late is no start
const BATCHES_MIN = 8; // fewer say nothing

/** The index from which the values are steady; null: they never are (no settled half), or there are too few. */
export function steadyIndex(values: readonly number[]): number | null {
  const batches: number[] = [];
  for (let at = 0; at + BATCH <= values.length; at += BATCH) {
    let sum = 0;
    for (let offset = 0; offset < BATCH; offset++) sum += values[at + offset]!;
    batches.push(sum / BATCH);
  }
  const n = batches.length;
  if (n < BATCHES_MIN) return null;
  let best = 0;
  let bestError = Number.POSITIVE_INFINITY;
  // From the end: sums of what is left grow by one batch at a time.
  let sum = 0;
  let squares = 0;
  for (let start = n - 1; start >= 0; start--) {
    const value = batches[start]!;
    sum += value;
    squares += value * value;
    const left = n - start;
    if (start > n / 2) continue; // what is left would be too little to tell from chance
    const error = Math.max(0, squares - (sum * sum) / left) / (left * left);
    if (error <= bestError) {
      bestError = error;
      best = start;
    }
  }
  return best > UNSETTLED_SHARE * n || drifts(batches.slice(best)) ? null : best * BATCH;
}

const DRIFT_SIGMAS = 4;
const DRIFT_SHARE = 0.25; // of the mean: less is no trouble, however certain

/** Whether the second half lies elsewhere than the first: a series that goes on growing has no steady part at all. */
function drifts(batches: readonly number[]): boolean {
  const middle = batches.length >> 1;
  const [first, second] = [momentsOf(batches.slice(0, middle)), momentsOf(batches.slice(middle))];
  const apart = Math.abs(second.mean - first.mean);
  const error = Math.sqrt(first.variance / first.count + second.variance / second.count);
  return apart > DRIFT_SIGMAS * error && apart > (DRIFT_SHARE * Math.abs(first.mean + second.mean)) / 2;
}

function momentsOf(values: readonly number[]): { count: number; mean: number; variance: number } {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  return {
    count,
    mean,
    variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, count - 1),
  };
}
