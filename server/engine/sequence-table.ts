// SequenceTable: everyone whom the engine has, waiting or seated, by number. Numbers are given once, ascending. No Map: what is
// always put in and taken out again makes it copy itself over and over, and each copy keeps whom it held until the next full
// collection. Used by engine.ts.
import assert from 'node:assert/strict';
import type { SequenceRequest, SequenceSink } from './request.ts';
import { newSequence, type Sequence } from './sequence.ts';
import { TokenSlab } from './token-slab.ts';

const bitsMin = 6; // of a place's index

export class SequenceTable {
  readonly #slab = new TokenSlab();
  #bits = bitsMin;
  #places: (Sequence | null)[] = new Array(1 << bitsMin).fill(null); // each at its own place, or at the next free one behind it
  #count = 0; // at most half of the places
  #lastId = 0;

  get count(): number {
    return this.#count;
  }

  open(request: SequenceRequest, sink: SequenceSink, nowMs: number): Sequence {
    const sequence = newSequence(++this.#lastId, request, sink, nowMs, this.#slab);
    this.#put(sequence);
    if (2 * ++this.#count > this.#places.length) this.#grow();
    return sequence;
  }

  get(id: number): Sequence | undefined {
    for (let place = this.#placeOf(id); ; place = this.#next(place)) {
      const found = this.#places[place]!;
      if (found === null) return undefined;
      if (found.id === id) return found;
    }
  }

  close(sequence: Sequence): void {
    const places = this.#places;
    let hole = this.#placeOf(sequence.id);
    while (places[hole] !== sequence) {
      assert(places[hole] !== null, 'a sequence is closed once');
      hole = this.#next(hole);
    }
    // [hole | a, b, free]: whoever would not be found behind the hole moves into it, and leaves one.
    const mask = places.length - 1;
    for (let place = this.#next(hole); places[place] !== null; place = this.#next(place)) {
      const away = (place - this.#placeOf(places[place]!.id)) & mask;
      if (away < ((place - hole) & mask)) continue;
      places[hole] = places[place]!;
      hole = place;
    }
    places[hole] = null;
    this.#count--;
  }

  /** In the order in which they came. */
  all(): Sequence[] {
    return this.#places.filter((sequence) => sequence !== null).sort((a, b) => a.id - b.id);
  }

  #put(sequence: Sequence): void {
    let place = this.#placeOf(sequence.id);
    while (this.#places[place] !== null) place = this.#next(place);
    this.#places[place] = sequence;
  }

  #grow(): void {
    const sequences = this.all();
    this.#places = new Array(1 << ++this.#bits).fill(null);
    for (const sequence of sequences) this.#put(sequence);
  }

  // Scattered: neighbours by number side by side would be one long row to look through whenever somebody leaves.
  #placeOf(id: number): number {
    return Math.imul(id, 0x9e3779b1) >>> (32 - this.#bits); // by the golden ratio
  }

  #next(place: number): number {
    return (place + 1) & (this.#places.length - 1);
  }
}
