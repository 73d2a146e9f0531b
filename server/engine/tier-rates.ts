// TierRates: what bringing a block back costs and what computing its tokens costs, as measured so far. Decides which is
// quicker. Numbers only. Used by cold-tier.ts.

const WEIGHT = 0.25; // of the newest measurement
// A fetch that was skipped measures nothing. Each skip makes the next one cheaper in our eyes, so that a disk that was
// slow once is tried again after about ten skips at twice the cost of computing.
const FORGIVENESS = 0.93;

export class TierRates {
  #computeMsPerToken: number | null = null; // null: never measured
  #fetchMsPerBlock: number | null = null;

  /** `deviceMs` for `tokenCount` > 0 prompt tokens. */
  learnCompute(tokenCount: number, deviceMs: number): void {
    this.#computeMsPerToken = blend(this.#computeMsPerToken, deviceMs / tokenCount);
  }

  /** `blockCount` ≥ 0 blocks came in `elapsedMs`; none counts as one that was slow. */
  learnFetch(blockCount: number, elapsedMs: number): void {
    this.#fetchMsPerBlock = blend(this.#fetchMsPerBlock, elapsedMs / Math.max(1, blockCount));
  }

  /** Whether to fetch; yes as long as one of the two has never been measured. */
  fetchPays(blockCount: number, tokenCount: number): boolean {
    if (this.#computeMsPerToken === null || this.#fetchMsPerBlock === null) return true;
    if (this.#fetchMsPerBlock * blockCount < this.#computeMsPerToken * tokenCount) return true;
    this.#fetchMsPerBlock *= FORGIVENESS;
    return false;
  }
}

function blend(before: number | null, now: number): number {
  return before === null ? now : before + WEIGHT * (now - before);
}
