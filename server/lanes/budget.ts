// Budget: money per API key and day (UTC). Owns what each key has spent and reserved today; a reservation is the most that a
// request may cost and becomes what it did cost. In memory: a restart forgets the day. Used by visit.ts.

const DAY_MS = 86_400_000;

export interface Reservation {
  /** What it really cost. Idempotent. */
  settle(cost: number): void;
}

export class Budget {
  readonly #limit: number | null; // per key and day; null: none
  readonly #epochMs: () => number;
  readonly #spent = new Map<string, number>(); // by key, today: the server's configuration bounds the keys
  #day = 0;

  constructor(limit: number | null, epochMs: () => number) {
    this.#limit = limit;
    this.#epochMs = epochMs;
  }

  /** Null: the day's budget does not hold it. What costs nothing is always held. */
  reserve(owner: string, cost: number): Reservation | null {
    const day = this.#today();
    const spent = this.#spent.get(owner) ?? 0;
    if (this.#limit !== null && cost > 0 && spent + cost > this.#limit) return null;
    this.#spent.set(owner, spent + cost);
    let settled = false;
    return {
      settle: (real) => {
        // What was reserved yesterday is yesterday's.
        if (settled || this.#today() !== day) return;
        settled = true;
        this.#spent.set(owner, Math.max(0, (this.#spent.get(owner) ?? 0) + real - cost));
      },
    };
  }

  spent(owner: string): number {
    this.#today();
    return this.#spent.get(owner) ?? 0;
  }

  get limit(): number | null {
    return this.#limit;
  }

  /** Until the next day begins. */
  get renewsMs(): number {
    return DAY_MS - (this.#epochMs() % DAY_MS);
  }

  #today(): number {
    const day = Math.floor(this.#epochMs() / DAY_MS);
    if (day !== this.#day) {
      this.#day = day;
      this.#spent.clear();
    }
    return day;
  }
}
