// Counts that nodes share, in memory: what Redis does, on a clock that is given. It can be gone and come back empty. For tests.
import type { Clock } from '../kernels/clock.ts';
import { createLog } from '../server/base/log.ts';
import type { CountAsk } from '../server/cluster/count-store.ts';
import { SharedCounts } from '../server/cluster/shared-counts.ts';
import { MemoryLink } from './memory-link.ts';

export class MemoryCounts extends MemoryLink {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { level: number; atMs: number }>();
  readonly #sums = new Map<string, Map<string, number>>(); // by name and holder

  constructor(clock: Clock) {
    super();
    this.#clock = clock;
  }

  override clear(): void {
    this.#buckets.clear();
    this.#sums.clear();
  }

  countsOf(holder: string): SharedCounts {
    return new SharedCounts({
      store: { exchange: async (asks) => this.#exchange(holder, asks) },
      ...{ link: this, clock: this.#clock, ownerIdOf: (owner: string) => `owner ${owner}` },
      log: createLog({ level: 'silent', write: () => {}, epochMs: () => 0 }),
    });
  }

  #exchange(holder: string, asks: readonly CountAsk[]): readonly number[] {
    this.reach();
    return asks.map((ask) =>
      ask.perMinute === null ? this.#sum(holder, ask) : this.#bucket(ask, ask.perMinute),
    );
  }

  #sum(holder: string, { name, taken }: CountAsk): number {
    const parts = this.#sums.get(name) ?? new Map<string, number>();
    this.#sums.set(name, parts.set(holder, taken));
    return [...parts.values()].reduce((sum, part) => sum + part, 0);
  }

  #bucket({ name, taken }: CountAsk, perMinute: number): number {
    const nowMs = this.#clock.nowMs();
    const { level, atMs } = this.#buckets.get(name) ?? { level: perMinute, atMs: nowMs };
    const flowed = Math.min(perMinute, level + ((nowMs - atMs) * perMinute) / 60_000);
    const left = Math.min(perMinute, flowed - taken);
    this.#buckets.set(name, { level: left, atMs: nowMs });
    return left;
  }
}
