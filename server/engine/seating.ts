// Seating: who sits where on the device, how many of which class, and who could stand up for somebody else. Decides nothing:
// which of several free seats, kept-seats.ts does. Used by scheduler.ts.
import assert from 'node:assert/strict';
import type { Backend } from '../../kernels/backend.ts';
import { KeptSeats, type SeatPlace } from './kept-seats.ts';
import type { PrefixCache } from './prefix-cache.ts';
import { ReplicaSet } from './replica-set.ts';
import type { Priority } from './request.ts';
import type { Sequence } from './sequence.ts';

interface SeatTaken extends SeatPlace {
  readonly presentCount: number; // tokens of the text that lie there already
}

type SeatedDevice = Pick<Backend, 'limits' | 'releaseSlot' | 'keepSlot'>;

export class Seating {
  readonly #backend: SeatedDevice;
  readonly #kept: KeptSeats;
  readonly #keeps: boolean;
  readonly #seats: (Sequence | null)[][]; // [replica][slot]
  readonly #counts: Int32Array; // [replica]
  readonly #empty: ReplicaSet; // nobody sits there
  readonly #ready: ReplicaSet; // somebody does, and no step is in flight
  readonly #stepping: Uint8Array; // [replica] 1: one is
  readonly #countByClass = [0, 0, 0]; // [classRank] all replicas
  #count = 0; // their sum
  #takenCount = 0;

  /** `keeps`: seats keep what somebody has left there, where the device lets them. */
  constructor(backend: SeatedDevice, cache: Pick<PrefixCache, 'useOf'>, keeps: boolean) {
    const { replicaCount, slotCount } = backend.limits;
    this.#backend = backend;
    this.#kept = new KeptSeats(backend.limits, cache);
    this.#keeps = keeps;
    this.#seats = Array.from({ length: replicaCount }, () => new Array(slotCount).fill(null));
    this.#counts = new Int32Array(replicaCount);
    this.#stepping = new Uint8Array(replicaCount);
    this.#ready = new ReplicaSet(replicaCount);
    this.#empty = new ReplicaSet(replicaCount);
    for (let replica = 0; replica < replicaCount; replica++) this.#empty.put(replica, true);
  }

  get count(): number {
    return this.#count;
  }

  /** How often somebody has sat down. */
  get takenCount(): number {
    return this.#takenCount;
  }

  /** By slot; null where nobody sits. */
  at(replica: number): readonly (Sequence | null)[] {
    return this.#seats[replica]!;
  }

  /** The first replica from `from` on where somebody sits and no step is in flight; −1: there is none. */
  nextReady(from: number): number {
    return this.#ready.next(from);
  }

  /** A step of the replica is in flight, or is not any more. */
  stepping(replica: number, inFlight: boolean): void {
    this.#stepping[replica] = inFlight ? 1 : 0;
    this.#ready.put(replica, !inFlight && this.#counts[replica] !== 0);
  }

  isEmpty(replica: number): boolean {
    return this.#counts[replica] === 0;
  }

  /** The replica with the most free seats; −1: there is none. */
  freest(): number {
    const { slotCount, replicaCount } = this.#backend.limits;
    if (this.#count === replicaCount * slotCount) return -1;
    const empty = this.#empty.next(0);
    if (empty !== -1) return empty;
    let best = -1;
    for (let replica = 0; replica < replicaCount; replica++) {
      if (this.#counts[replica]! >= slotCount) continue;
      if (best === -1 || this.#counts[replica]! < this.#counts[best]!) best = replica;
    }
    return best;
  }

  hasBelow(rank: number): boolean {
    return this.#countByClass.some((count, other) => other > rank && count > 0);
  }

  /**
   * A free seat of the replica, or of one where as many are free, that has kept most of the blocks `found`. Whatever else was
   * kept there is lost.
   */
  take(sequence: Sequence, replica: number, found: readonly number[]): SeatTaken {
    const place = this.#kept.choose(this.#seats, this.#counts, { replica, found });
    const presentCount = this.#kept.sharedCount(place, found) * this.#backend.limits.blockSize;
    this.#takenCount++;
    this.#seats[place.replica]![place.slot] = sequence;
    this.#change(sequence, place.replica, 1);
    if (this.#kept.forget(place) && presentCount === 0) this.#backend.releaseSlot(place.replica, place.slot);
    return { replica: place.replica, slot: place.slot, presentCount };
  }

  /** `sound`: its seat may keep what it has computed. */
  leave(sequence: Sequence, sound: boolean): void {
    const { replica, slot } = sequence;
    const seats = this.#seats[replica]!;
    assert(seats[slot] === sequence);
    seats[slot] = null;
    this.#change(sequence, replica, -1);
    if (!this.#keeps || !sound || !this.#keep(sequence)) this.#backend.releaseSlot(replica, slot);
  }

  #keep({ replica, slot, blocks, mirroredCount, presentCount }: Sequence): boolean {
    const { blockSize } = this.#backend.limits;
    const count = Math.min(mirroredCount, Math.floor(presentCount / blockSize));
    if (count === 0 || !this.#kept.suits(this.#seats[replica]!, slot)) return false;
    if (this.#backend.keepSlot?.(replica, slot, count * blockSize) !== true) return false;
    const outgoing = this.#kept.outgoing(replica);
    if (outgoing !== null && this.#kept.forget(outgoing)) this.#backend.releaseSlot(replica, outgoing.slot);
    this.#kept.keep({ replica, slot }, blocks.slice(0, count));
    return true;
  }

  /** Gives up what free seats of the replica have kept. */
  forgetKept(replica: number): void {
    for (let slot = 0; slot < this.#backend.limits.slotCount; slot++)
      if (this.#kept.forget({ replica, slot })) this.#backend.releaseSlot(replica, slot);
  }

  /** Throws AssertionError where a seat that somebody has counts as kept, or lies between others. */
  check(): void {
    this.#kept.check(this.#seats);
  }

  /** Of those that may stand up and are not in flight, the first in `precedes`; null: there is none. */
  victim(
    allowed: (other: Sequence) => boolean,
    precedes: (a: Sequence, b: Sequence) => boolean,
  ): Sequence | null {
    let victim: Sequence | null = null;
    for (const seats of this.#seats) {
      for (const other of seats) {
        if (other === null || other.inFlight || !allowed(other)) continue;
        if (victim === null || precedes(other, victim)) victim = other;
      }
    }
    return victim;
  }

  #change(sequence: Sequence, replica: number, by: 1 | -1): void {
    this.#counts[replica]! += by;
    const isEmpty = this.#counts[replica] === 0;
    this.#empty.put(replica, isEmpty);
    this.#ready.put(replica, !isEmpty && this.#stepping[replica] === 0);
    this.#countByClass[classRank(sequence)]! += by;
    this.#count += by;
  }
}

const classRanks: Readonly<Record<Priority, number>> = { turn: 0, side: 1, background: 2 };

export function classRank(sequence: Sequence): number {
  return classRanks[sequence.request.priority];
}
