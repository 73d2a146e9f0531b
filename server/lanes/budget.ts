// Budget: money per API key and day (UTC). Owns what each key has spent and reserved today; a reservation is the most that a
// request may cost and becomes what it did cost. In memory: a restart forgets the day, unless nodes share it. Used by visit.ts.
import type { SharedCounts, TellTaken } from '../cluster/shared-counts.ts';

const DAY_MS = 86_400_000;

export interface Reservation {
  /** What it really cost. Idempotent. */
  settle(cost: number): void;
}

export class Budget {
  readonly #limit: number | null; // per key and day; null: none
  readonly #epochMs: () => number;
  readonly #shared: Pick<SharedCounts, 'share' | 'forget'> | null;
  readonly #tells = new Map<string, TellTaken>(); // by key, today
  readonly #spent = new Map<string, number>(); // by key, today: the server's configuration bounds the keys
  #day = 0;

  /** `shared`: with other nodes; what these `owners` have spent there counts from the start. */
  constructor(
    limit: number | null,
    epochMs: () => number,
    shared: Pick<SharedCounts, 'share' | 'forget'> | null = null,
    owners: readonly string[] = [],
  ) {
    this.#limit = limit;
    this.#epochMs = epochMs;
    this.#shared = limit === null ? null : shared;
    this.#today();
    for (const owner of owners) this.#tell(owner, 0);
  }

  /** Null: the day's budget does not hold it. What costs nothing is always held. */
  reserve(owner: string, cost: number): Reservation | null {
    const day = this.#today();
    const spent = this.#spent.get(owner) ?? 0;
    if (this.#limit !== null && cost > 0 && spent + cost > this.#limit) return null;
    this.#spent.set(owner, spent + cost);
    this.#tell(owner, cost);
    let settled = false;
    return {
      settle: (real) => {
        // What was reserved yesterday is yesterday's.
        if (settled || this.#today() !== day) return;
        settled = true;
        this.#spent.set(owner, Math.max(0, (this.#spent.get(owner) ?? 0) + real - cost));
        this.#tell(owner, real - cost);
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

  #tell(owner: string, cost: number): void {
    if (this.#shared === null) return;
    let tell = this.#tells.get(owner);
    if (tell === undefined) {
      const day = this.#day;
      tell = this.#shared.share({
        ...{ name: nameOf(day), owner, perMinute: null },
        onTold: (total) => {
          if (this.#day === day) this.#spent.set(owner, Math.max(0, total));
        },
      });
      this.#tells.set(owner, tell);
    }
    tell(cost);
  }

  #today(): number {
    const day = Math.floor(this.#epochMs() / DAY_MS);
    if (day !== this.#day) {
      for (const owner of this.#tells.keys()) this.#shared?.forget(nameOf(this.#day), owner);
      this.#tells.clear();
      this.#day = day;
      this.#spent.clear();
    }
    return day;
  }
}

function nameOf(day: number): string {
  return `budget:${day}`;
}
