// FetchCost: what bringing so many blocks takes, as a line through what was measured lately: a wait, whatever the number, and so much for
// each block. Over a slow line few blocks take hardly less time than many. Numbers only. Used by tier-rates.ts.

const DECAY = 0.75; // of what was measured before, with each measurement
const SPREAD_MIN = 0.01; // of the counts, squared, against their mean: below, they say nothing of a slope

export class FetchCost {
  // Sums over fetches, each weighing less with every one after it: x blocks took y ms.
  #weight = 0;
  #x = 0;
  #y = 0;
  #xx = 0;
  #xy = 0;

  get known(): boolean {
    return this.#weight > 0;
  }

  /** `blockCount` ≥ 1 blocks took `elapsedMs`. */
  learn(blockCount: number, elapsedMs: number): void {
    this.#weight = DECAY * this.#weight + 1;
    this.#x = DECAY * this.#x + blockCount;
    this.#y = DECAY * this.#y + elapsedMs;
    this.#xx = DECAY * this.#xx + blockCount * blockCount;
    this.#xy = DECAY * this.#xy + blockCount * elapsedMs;
  }

  /** All of it was less than it seemed. */
  forgive(factor: number): void {
    this.#y *= factor;
    this.#xy *= factor;
  }

  /** Milliseconds; hopeful where fetches of one size only are known: a mistake is made once, and a skipped fetch teaches nothing. */
  expectedMs(blockCount: number): number {
    const [x, y] = [this.#x / this.#weight, this.#y / this.#weight];
    const spread = this.#xx / this.#weight - x * x;
    if (spread < SPREAD_MIN * x * x) return y * Math.min(1, blockCount / x);
    const slope = Math.max(0, (this.#xy / this.#weight - x * y) / spread);
    return y + Math.min(slope, y / x) * (blockCount - x); // no wait is shorter than none
  }
}
