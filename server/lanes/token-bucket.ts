// TokenBucket: so many a minute, as many at once after a quiet minute. Owns a level on a clock it is told; what is taken
// in any span of time is at most a minute's worth and what flowed in meanwhile. Used by gate.ts.
import type { ShareCount, TellTaken } from '../cluster/shared-counts.ts';

export interface BucketShare {
  readonly count: ShareCount;
  readonly named: { readonly name: string; readonly owner?: string };
  readonly nowMs: () => number;
}

const MINUTE_MS = 60_000;

export class TokenBucket {
  readonly #capacity: number;
  readonly #tell: TellTaken | null; // nodes that take from the same one
  #level: number;
  #atMs: number;

  /** `share`: with other nodes; it is told what they have left. */
  constructor(perMinute: number, nowMs: number, share: BucketShare | null = null) {
    this.#capacity = perMinute;
    this.#level = perMinute;
    this.#atMs = nowMs;
    this.#tell =
      share?.count({
        ...share.named,
        perMinute,
        onTold: (level) => {
          this.#flow(share.nowMs());
          this.#level = Math.min(this.#capacity, level);
        },
      }) ?? null;
  }

  /**
   * Milliseconds until `amount` can be taken, 0 if now; `ahead`: what others will have taken before. More than a full bucket
   * waits for a full one.
   */
  missingMs(amount: number, nowMs: number, ahead = 0): number {
    this.#flow(nowMs);
    const missing = ahead + Math.min(amount, this.#capacity) - this.#level;
    return missing <= SLACK ? 0 : (missing * MINUTE_MS) / this.#capacity;
  }

  /** May leave a debt: ask missingMs first. A negative amount gives back what was not used. */
  take(amount: number, nowMs: number): void {
    this.#flow(nowMs);
    this.#level = Math.min(this.#capacity, this.#level - amount);
    this.#tell?.(amount);
  }

  #flow(nowMs: number): void {
    this.#level = Math.min(this.#capacity, this.#level + ((nowMs - this.#atMs) * this.#capacity) / MINUTE_MS);
    this.#atMs = nowMs;
  }
}

const SLACK = 1e-6; // rounding of the flow; a caller that waited as long as it was told must not be told again
