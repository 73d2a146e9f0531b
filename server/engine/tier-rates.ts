// TierRates: what bringing a block back costs, what asking elsewhere for it does, and what computing its tokens costs, as measured
// so far. Decides which is quicker. Numbers only. Used by cold-tier.ts.
import { FetchCost } from './fetch-cost.ts';

const WEIGHT = 0.25; // of the newest measurement
// A fetch that was skipped measures nothing. Each skip makes the next one cheaper in our eyes, so that a disk that was
// slow once is tried again after about ten skips at twice the cost of computing.
const FORGIVENESS = 0.93;
const FOUND_SHARE_MIN = 0.25; // of what is asked for, as far as is known: most questions are answered with no

export class TierRates {
  #computeMsPerToken: number | null = null; // null: never measured
  readonly #fetchCost = new FetchCost();
  #askMs: number | null = null;
  // Tokens, each question weighing less with every one after it: a long one says more than the end of a turn that nobody can have.
  #askedTokens = 0;
  #foundTokens = 0;

  /** `deviceMs` for `tokenCount` > 0 prompt tokens. */
  learnCompute(tokenCount: number, deviceMs: number): void {
    this.#computeMsPerToken = blend(this.#computeMsPerToken, deviceMs / tokenCount);
  }

  /** `blockCount` ≥ 0 blocks came in `elapsedMs`; none counts as one that was slow. */
  learnFetch(blockCount: number, elapsedMs: number): void {
    this.#fetchCost.learn(Math.max(1, blockCount), elapsedMs);
  }

  /** Somebody else was asked for `tokenCount` tokens, and had `foundCount` of them, as was known after `elapsedMs`. */
  learnAsk(elapsedMs: number, { tokenCount, foundCount }: { tokenCount: number; foundCount: number }): void {
    this.#askMs = blend(this.#askMs, elapsedMs);
    this.#askedTokens = (1 - WEIGHT) * this.#askedTokens + tokenCount;
    this.#foundTokens = (1 - WEIGHT) * this.#foundTokens + foundCount;
  }

  /** Whether to ask who may have `tokenCount` tokens; yes as long as one of the two has never been measured. */
  askPays(tokenCount: number): boolean {
    if (this.#computeMsPerToken === null || this.#askMs === null) return true;
    const found = Math.max(FOUND_SHARE_MIN, this.#foundTokens / Math.max(1, this.#askedTokens));
    if (this.#askMs < found * this.#computeMsPerToken * tokenCount) return true;
    this.#askMs *= FORGIVENESS;
    return false;
  }

  /** Whether to fetch; yes as long as one of the two has never been measured. */
  fetchPays(blockCount: number, tokenCount: number): boolean {
    if (this.#computeMsPerToken === null || !this.#fetchCost.known) return true;
    if (this.#fetchCost.expectedMs(blockCount) < this.#computeMsPerToken * tokenCount) return true;
    this.#fetchCost.forgive(FORGIVENESS);
    return false;
  }
}

function blend(before: number | null, now: number): number {
  return before === null ? now : before + WEIGHT * (now - before);
}
