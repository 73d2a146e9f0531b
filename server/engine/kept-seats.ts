// KeptSeats: what sequences have left in seats that nobody has taken since, so that whoever goes on from it need not have it
// copied there. A kept seat is known by the blocks of the prefix cache that it has the bits of, and is worth something only to
// whom the cache gives those very blocks: it changes no answer, finds nothing that the cache would not, outlives
// nothing that the cache has forgotten, and holds no block. It is free for anybody at any time. Owns the list; never tells
// the device. Used by seating.ts.
import assert from 'node:assert/strict';
import type { BackendLimits } from '../../kernels/backend.ts';
import type { PrefixCache } from './prefix-cache.ts';
import type { Sequence } from './sequence.ts';

/**
 * Of a replica. Memory that a seat was once written to stays the process's, so callers who take turns would have every seat's in
 * the end; and more than a few conversations are seldom gone on with.
 */
export const KEPT_MAX = 4;

export interface SeatPlace {
  readonly replica: number;
  readonly slot: number;
}

interface KeptSeat {
  readonly blocks: readonly number[]; // [i] whose content the seat has for tokens [i·blockSize, (i + 1)·blockSize)
  readonly uses: readonly number[]; // [i] of blocks[i], when it was kept: another one, and its content is another
  readonly order: number; // the lowest was used least recently
}

type Row = readonly (Sequence | null)[]; // seats of a replica, by slot

export class KeptSeats {
  readonly #cache: Pick<PrefixCache, 'useOf'>;
  readonly #seats: (KeptSeat | null)[][]; // [replica][slot] null: nothing is kept, or somebody sits there
  readonly #counts: Int32Array; // [replica]
  #count = 0; // their sum
  #keptCount = 0; // since the start

  constructor({ replicaCount, slotCount }: BackendLimits, cache: Pick<PrefixCache, 'useOf'>) {
    this.#cache = cache;
    this.#seats = Array.from({ length: replicaCount }, () => new Array(slotCount).fill(null));
    this.#counts = new Int32Array(replicaCount);
  }

  /**
   * Whether a seat that has just become free may keep its KV. Not between two that are taken: a device that computes
   * them together passes over an empty seat, and would have to attend to a full one, or compute them apart.
   */
  suits(row: Row, slot: number): boolean {
    // From the seat outwards, where the next taken one is near: whoever leaves a full simulated device asks this.
    let before = slot - 1;
    while (before >= 0 && row[before] === null) before--;
    if (before < 0) return true;
    let after = slot + 1;
    while (after < row.length && row[after] === null) after++;
    return after === row.length;
  }

  /** The seat that has to be forgotten before another one of the replica keeps anything; null: there is room. */
  outgoing(replica: number): SeatPlace | null {
    if (this.#counts[replica]! < KEPT_MAX) return null;
    return { replica, slot: this.#leastUsed(replica, (_, kept) => kept !== null) };
  }

  keep(place: SeatPlace, blocks: readonly number[]): void {
    this.forget(place);
    const uses = blocks.map((block) => this.#cache.useOf(block));
    this.#seats[place.replica]![place.slot] = { blocks, uses, order: this.#keptCount++ };
    this.#counts[place.replica]!++;
    this.#count++;
  }

  /** Whether there was anything to forget. */
  forget({ replica, slot }: SeatPlace): boolean {
    if (this.#seats[replica]![slot] === null) return false;
    this.#seats[replica]![slot] = null;
    this.#counts[replica]!--;
    this.#count--;
    return true;
  }

  /** How many of these blocks, which hold a text from its beginning, the seat has: the first so many. */
  sharedCount({ replica, slot }: SeatPlace, found: readonly number[]): number {
    const kept = this.#seats[replica]![slot] ?? null;
    if (kept === null) return 0;
    const { blocks, uses } = kept;
    const limit = Math.min(blocks.length, found.length);
    let count = 0;
    while (
      count < limit &&
      blocks[count] === found[count] &&
      this.#cache.useOf(found[count]!) === uses[count]
    )
      count++;
    return count;
  }

  /**
   * Where somebody sits down whose text begins with the blocks `found`, if `replica` has room: in the seat that has kept
   * most of them, there or at a replica where no more sit, unless more would be lost there than is won. Else in a seat
   * that has kept nothing, else in the one that was used least recently. `counts`: [replica] taken seats.
   */
  choose(
    rows: readonly Row[],
    counts: ArrayLike<number>,
    { replica, found }: { readonly replica: number; readonly found: readonly number[] },
  ): SeatPlace {
    // Devices batch contiguous seats: the lowest.
    if (this.#count === 0) return { replica, slot: rows[replica]!.indexOf(null) };
    const kept =
      found.length === 0 ? null : this.#bestFor(found, rows, (at) => counts[at]! <= counts[replica]!);
    return kept ?? { replica, slot: this.#leastMissed(replica, rows[replica]!) };
  }

  /** Throws AssertionError where a seat is kept and taken, or between taken ones, or where too many are. */
  check(rows: readonly Row[]): void {
    let count = 0;
    for (const [replica, row] of rows.entries()) {
      for (const [slot, seat] of this.#seats[replica]!.entries()) {
        if (seat === null) continue;
        assert(row[slot] === null, `seat ${slot} of replica ${replica} is kept and taken`);
        assert(this.suits(row, slot), `seat ${slot} of replica ${replica} is kept between taken ones`);
        count++;
      }
    }
    assert.equal(this.#count, count, 'kept seats');
    assert(
      this.#counts.every((kept) => kept <= KEPT_MAX),
      `${this.#counts} kept seats`,
    );
  }

  #bestFor(
    found: readonly number[],
    rows: readonly Row[],
    allowed: (replica: number) => boolean,
  ): SeatPlace | null {
    let best: SeatPlace | null = null;
    let bestCount = 0;
    for (const [replica, row] of rows.entries()) {
      if (this.#counts[replica] === 0 || !allowed(replica)) continue;
      for (const [slot, kept] of this.#seats[replica]!.entries()) {
        if (kept === null || !joins(row, slot)) continue;
        const place = { replica, slot };
        const count = this.sharedCount(place, found);
        if (count <= bestCount || 2 * count < kept.blocks.length) continue;
        best = place;
        bestCount = count;
      }
    }
    return best;
  }

  /** Its first block is another's by now: nobody will be given it again. */
  #isWorthless({ blocks, uses }: KeptSeat): boolean {
    return this.#cache.useOf(blocks[0]!) !== uses[0];
  }

  #leastMissed(replica: number, row: Row): number {
    if (this.#counts[replica] === 0) return row.indexOf(null);
    return this.#leastUsed(replica, (slot) => row[slot] === null && joins(row, slot));
  }

  /** Of those seats the lowest one that has kept nothing of worth, else the one that was used least recently; −1: there is none. */
  #leastUsed(replica: number, isWanted: (slot: number, kept: KeptSeat | null) => boolean): number {
    let best = -1;
    let bestOrder = Number.POSITIVE_INFINITY;
    for (const [slot, kept] of this.#seats[replica]!.entries()) {
      if (!isWanted(slot, kept)) continue;
      const order = kept === null || this.#isWorthless(kept) ? -1 : kept.order;
      if (order >= bestOrder) continue;
      best = slot;
      bestOrder = order;
    }
    return best;
  }
}

/** Whether no free seat would lie between this free one and those that are taken: devices batch contiguous seats. */
function joins(row: Row, slot: number): boolean {
  const first = row.findIndex((sequence) => sequence !== null);
  const last = row.findLastIndex((sequence) => sequence !== null);
  return last === -1 || (slot >= first - 1 && slot <= last + 1);
}
