// Where a curve of latency against load turns upward: the point farthest below the chord between its ends, after both
// axes were scaled to [0, 1]. Source: Satopää et al., Finding a "Kneedle" in a Haystack (2011), for convex rising curves.

export interface CurvePoint {
  readonly load: number;
  readonly value: number;
}

const BEND_MIN = 0.1; // of the unit square; a straighter curve has no knee worth naming

/** The index of the knee, or null where the curve has fewer than three points or no bend. Points by rising load. */
export function kneeIndex(points: readonly CurvePoint[]): number | null {
  if (points.length < 3) return null;
  const first = points[0]!;
  const last = points.at(-1)!;
  const loadSpan = last.load - first.load;
  const values = points.map(({ value }) => value);
  const low = Math.min(...values);
  const valueSpan = Math.max(...values) - low;
  if (loadSpan <= 0 || valueSpan <= 0) return null;
  let best: number | null = null;
  let bestBend = BEND_MIN;
  for (const [index, { load, value }] of points.entries()) {
    const bend = (load - first.load) / loadSpan - (value - low) / valueSpan;
    if (bend > bestBend) {
      best = index;
      bestBend = bend;
    }
  }
  return best;
}
