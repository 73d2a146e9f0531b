// TokenIndex: where in a growing text of tokens did its last few tokens stand before? Chains of places by hashed grams of
// two lengths, latest first; every place is compared token by token, and a bounded number of places is looked at. O(1) per
// token. Used by drafting only.
import assert from 'node:assert/strict';

const gramLengths = [4, 2] as const; // longest first: a longer match predicts better
const matchLengthMax = 64; // tokens compared backwards; more would not change a decision
const placesMax = 16; // looked at, the latest ones; 64 find one guess in two hundred more

export interface TokenMatch {
  readonly next: number; // position after the earlier occurrence
  readonly length: number; // tokens that agree, ≥ 2, counted up to matchLengthMax
}

/** The places of one gram length. */
interface Chains {
  readonly heads: Int32Array; // by hash: position after the gram's latest place; 0: none
  readonly links: Int32Array; // by position: that of the place before it
}

export class TokenIndex {
  #capacity = 128; // positions before the tables grow
  #chains = gramLengths.map(() => emptyChains(this.#capacity));
  #indexedCount = 0;

  /** Takes notice of tokens [0, count); call with a growing count. */
  extend(tokens: Int32Array, count: number): void {
    assert(count >= this.#indexedCount);
    if (count > this.#capacity) this.#grow(tokens, count);
    for (let end = this.#indexedCount + 1; end <= count; end++) this.#insert(tokens, end);
    this.#indexedCount = count;
  }

  /** The longest known earlier occurrence of the end of `query` [0, count) within `tokens`, the latest of equals; or null. */
  find(tokens: Int32Array, query: Int32Array, count: number): TokenMatch | null {
    const [first, ...others] = this.places(tokens, query, count);
    if (first === undefined) return null;
    return others.reduce((best, place) => (place.length > best.length ? place : best), first);
  }

  /** The latest of all such occurrences, latest first, that agree on four tokens; or, where there is none, on two. */
  places(tokens: Int32Array, query: Int32Array, count: number): readonly TokenMatch[] {
    for (const [order, gramLength] of gramLengths.entries()) {
      if (count < gramLength) continue;
      const { heads, links } = this.#chains[order]!;
      const found: TokenMatch[] = [];
      let next = heads[hashGram(query, count - gramLength, gramLength) & (heads.length - 1)]!;
      for (let place = 0; place < placesMax && next !== 0; place++, next = links[next]!) {
        const length = agreeing(tokens, next, query, count);
        if (length >= gramLength) found.push({ next, length });
      }
      if (found.length > 0) return found;
    }
    return [];
  }

  // The gram that ends before `end` is entered one token late, so that find() never meets its own query.
  #insert(tokens: Int32Array, end: number): void {
    const position = end - 1;
    for (const [order, gramLength] of gramLengths.entries()) {
      if (position < gramLength) continue;
      const { heads, links } = this.#chains[order]!;
      const hash = hashGram(tokens, position - gramLength, gramLength) & (heads.length - 1);
      links[position] = heads[hash]!;
      heads[hash] = position;
    }
  }

  #grow(tokens: Int32Array, count: number): void {
    while (this.#capacity < count) this.#capacity *= 2;
    this.#chains = gramLengths.map(() => emptyChains(this.#capacity));
    for (let end = 1; end <= this.#indexedCount; end++) this.#insert(tokens, end);
  }
}

function emptyChains(capacity: number): Chains {
  return { heads: new Int32Array(capacity * 2), links: new Int32Array(capacity) };
}

function agreeing(tokens: Int32Array, next: number, query: Int32Array, count: number): number {
  const bound = Math.min(matchLengthMax, next, count);
  let length = 0;
  while (length < bound && tokens[next - 1 - length] === query[count - 1 - length]) length++;
  return length;
}

function hashGram(tokens: Int32Array, start: number, length: number): number {
  let hash = length;
  for (let index = start; index < start + length; index++) {
    hash = Math.imul(hash ^ tokens[index]!, 0x01000193); // FNV-1a over token ids
    hash ^= hash >>> 15;
  }
  return hash;
}
