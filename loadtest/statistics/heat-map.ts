// HeatMap: how many gaps of which length began when, in a fixed number of cells. The time axis doubles its bin width
// whenever the run outgrows it.

const TIME_BINS = 96;
/** Lower bounds, ms; shorter gaps are no stalls. */
export const STALL_BOUNDS_MS = [20, 50, 100, 200, 500, 1000, 2000, 5000] as const;

export interface HeatCell {
  readonly startMs: number;
  readonly widthMs: number;
  readonly boundMs: number; // of STALL_BOUNDS_MS
  readonly count: number;
}

export class HeatMap {
  #binMs = 250;
  readonly #counts = STALL_BOUNDS_MS.map(() => new Float64Array(TIME_BINS));

  add(atMs: number, gapMs: number): void {
    if (gapMs < STALL_BOUNDS_MS[0] || atMs < 0) return;
    while (atMs >= this.#binMs * TIME_BINS) this.#widen();
    let row = 0;
    while (row + 1 < STALL_BOUNDS_MS.length && gapMs >= STALL_BOUNDS_MS[row + 1]!) row++;
    this.#counts[row]![Math.floor(atMs / this.#binMs)]!++;
  }

  get cells(): HeatCell[] {
    const cells: HeatCell[] = [];
    for (const [row, counts] of this.#counts.entries()) {
      for (const [bin, count] of counts.entries()) {
        if (count === 0) continue;
        const widthMs = this.#binMs;
        cells.push({ startMs: bin * widthMs, widthMs, boundMs: STALL_BOUNDS_MS[row]!, count });
      }
    }
    return cells;
  }

  #widen(): void {
    this.#binMs *= 2;
    for (const counts of this.#counts) {
      for (let bin = 0; bin < TIME_BINS; bin++) {
        const even = counts[2 * bin] ?? 0;
        counts[bin] = even + (counts[2 * bin + 1] ?? 0);
      }
    }
  }
}
