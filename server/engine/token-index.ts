// TokenIndex: where in a growing text of tokens did its last few tokens stand before? Hashed n-grams of three
// lengths, O(1) per token, exact (every hit is compared token by token). Used by drafting only.
import assert from 'node:assert/strict';

const gramLengths = [8, 4, 2] as const; // longest first: a longer match predicts better
const matchLengthMax = 32; // tokens compared backwards; more would not change a decision

export interface TokenMatch {
  readonly next: number; // position after the earlier occurrence
  readonly length: number; // tokens that agree, ≥ 2, counted up to matchLengthMax
}

export class TokenIndex {
  #tables = gramLengths.map(() => new Int32Array(256)); // position after a gram; 0: empty
  #capacity = 128; // positions before the tables grow
  #indexedCount = 0;

  /** Takes notice of tokens [0, count); call with a growing count. */
  extend(tokens: Int32Array, count: number): void {
    assert(count >= this.#indexedCount);
    if (count > this.#capacity) this.#grow(tokens, count);
    for (let end = this.#indexedCount + 1; end <= count; end++) this.#insert(tokens, end);
    this.#indexedCount = count;
  }

  /** The longest known earlier occurrence of the end of `query` [0, count) within `tokens`, or null. */
  find(tokens: Int32Array, query: Int32Array, count: number): TokenMatch | null {
    for (const [order, gramLength] of gramLengths.entries()) {
      if (count < gramLength) continue;
      const table = this.#tables[order]!;
      const next = table[hashGram(query, count - gramLength, gramLength) & (table.length - 1)]!;
      if (next === 0) continue;
      const length = agreeing(tokens, next, query, count);
      if (length >= gramLength) return { next, length };
    }
    return null;
  }

  // The gram that ends before `end` is entered one token late, so that find() never meets its own query.
  #insert(tokens: Int32Array, end: number): void {
    const position = end - 1;
    for (const [order, gramLength] of gramLengths.entries()) {
      if (position < gramLength) continue;
      const table = this.#tables[order]!;
      table[hashGram(tokens, position - gramLength, gramLength) & (table.length - 1)] = position;
    }
  }

  #grow(tokens: Int32Array, count: number): void {
    while (this.#capacity < count) this.#capacity *= 2;
    this.#tables = gramLengths.map(() => new Int32Array(this.#capacity * 2));
    for (let end = 1; end <= this.#indexedCount; end++) this.#insert(tokens, end);
  }
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
