// Seating: who sits where on the device, how many of which class, and who could stand up for somebody else. Decides nothing.
// Used by scheduler.ts.
import assert from 'node:assert/strict';
import type { Backend } from '../../kernels/backend.ts';
import { ReplicaSet } from './replica-set.ts';
import type { Priority } from './request.ts';
import type { Sequence } from './sequence.ts';

export class Seating {
  readonly #backend: Pick<Backend, 'limits' | 'releaseSlot'>;
  readonly #seats: (Sequence | null)[][]; // [replica][slot]
  readonly #counts: Int32Array; // [replica]
  readonly #empty: ReplicaSet; // nobody sits there
  readonly #ready: ReplicaSet; // somebody does, and no step is in flight
  readonly #stepping: Uint8Array; // [replica] 1: one is
  readonly #countByClass = [0, 0, 0]; // [classRank] all replicas
  #count = 0; // their sum

  constructor(backend: Pick<Backend, 'limits' | 'releaseSlot'>) {
    const { replicaCount, slotCount } = backend.limits;
    this.#backend = backend;
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

  /** Takes the lowest free slot, as devices batch contiguous seats; says which. */
  take(sequence: Sequence, replica: number): number {
    const seats = this.#seats[replica]!;
    const slot = seats.indexOf(null);
    seats[slot] = sequence;
    this.#change(sequence, replica, 1);
    return slot;
  }

  leave(sequence: Sequence): void {
    const { replica, slot } = sequence;
    assert(this.#seats[replica]![slot] === sequence);
    this.#seats[replica]![slot] = null;
    this.#change(sequence, replica, -1);
    this.#backend.releaseSlot(replica, slot);
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
