// Rates and budgets that nodes share: each node counts for itself and tells the others five times a second what was taken, so that
// together they take at most what one may, and what all of them take within that time. Owns what is not told yet; without the store
// each node goes on with its own numbers. Before it: lanes/; after it: count-store.ts.
import type { Clock, Timer } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import type { CountStore } from './count-store.ts';
import type { StoreLink } from './store-link.ts';

export interface SharedCountsOptions {
  readonly store: CountStore;
  readonly link: StoreLink;
  readonly clock: Pick<Clock, 'schedule' | 'nowMs'>;
  readonly log: Log;
  readonly ownerIdOf: (owner: string) => string; // the same on every node
}

/** A number that is counted on every node. */
export interface SharedCount {
  readonly name: string; // the same on every node; of an owner where one is given
  readonly owner?: string;
  readonly perMinute: number | null; // of a bucket; null: a sum
  /** What all nodes together have left of it, or taken. */
  onTold(value: number): void;
}

/** Whoever counts says so; negative: given back. */
export type TellTaken = (amount: number) => void;

export type ShareCount = (count: SharedCount) => TellTaken;

interface Counted extends SharedCount {
  readonly key: string;
  pending: number; // taken here: from a bucket since it was told, of a sum ever since
  usedMs: number;
}

const EXCHANGE_MS = 200;
const USED_MS = 120_000; // a bucket that nobody has used for so long is full
const COUNTS_MAX = 4096; // more are counted on this node alone; keys of the configuration and lanes bound them

export class SharedCounts {
  readonly #options: SharedCountsOptions;
  readonly #counts = new Map<string, Counted>();
  #timer: Timer | null = null;
  #noted = false;
  #closed = false;

  constructor(options: SharedCountsOptions) {
    this.#options = options;
    options.link.watch({ onUp: () => this.#onUp(), onDown: () => {} });
  }

  /** What is taken of it is told from now on. */
  readonly share: ShareCount = (count) => {
    const { ownerIdOf, clock } = this.#options;
    const key = count.owner === undefined ? count.name : `${count.name}:${ownerIdOf(count.owner)}`;
    if (this.#counts.size >= COUNTS_MAX) return () => {};
    const counted: Counted = {
      ...count,
      onTold: (value) => count.onTold(value),
      key,
      pending: 0,
      usedMs: clock.nowMs(),
    };
    this.#counts.set(key, counted);
    this.#exchangeSoon();
    return (amount) => {
      counted.pending += amount;
      counted.usedMs = clock.nowMs();
      this.#exchangeSoon();
    };
  };

  /** A sum that nobody counts any more: of yesterday, say. */
  forget(name: string, owner: string): void {
    this.#counts.delete(`${name}:${this.#options.ownerIdOf(owner)}`);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #onUp(): void {
    for (const counted of this.#counts.values()) {
      const { perMinute, pending } = counted;
      counted.usedMs = this.#options.clock.nowMs(); // it may be back empty: sums are told again
      // What a bucket has given meanwhile has flowed in again meanwhile, up to what it holds.
      if (perMinute !== null) counted.pending = Math.min(pending, perMinute);
    }
    this.#exchangeSoon();
  }

  #exchangeSoon(): void {
    if (this.#closed || this.#timer !== null) return;
    this.#timer = this.#options.clock.schedule(EXCHANGE_MS, () => {
      this.#timer = null;
      void this.#exchange();
    });
  }

  async #exchange(): Promise<void> {
    const { store, link, clock, log } = this.#options;
    if (!link.up) return; // asked again once it is there
    const inUse = [...this.#counts.values()].filter(
      ({ usedMs, pending, perMinute }) =>
        clock.nowMs() - usedMs < USED_MS || (pending !== 0 && perMinute !== null),
    );
    if (inUse.length === 0) return;
    const asks = inUse.map(({ key: name, perMinute, pending: taken }) => ({ name, perMinute, taken }));
    for (const counted of inUse) if (counted.perMinute !== null) counted.pending = 0;
    try {
      const told = await store.exchange(asks);
      for (const [index, counted] of inUse.entries()) {
        // With what was taken meanwhile.
        const { perMinute, pending } = counted;
        counted.onTold(told[index]! + (perMinute === null ? pending - asks[index]!.taken : -pending));
      }
      this.#noted = false;
    } catch (error) {
      for (const [index, counted] of inUse.entries()) {
        if (counted.perMinute !== null) counted.pending += asks[index]!.taken;
      }
      if (link.up && !this.#noted) {
        this.#noted = true;
        const { message: reason } = error as Error;
        log.warn('the nodes’ store did not answer', { what: 'count rates and budgets', reason });
      }
    }
    this.#exchangeSoon();
  }
}
