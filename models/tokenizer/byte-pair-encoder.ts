// Byte-pair merging: one piece of text (a word, as the pre-tokeniser cuts it) → token ids. Owns the merge table
// and a bounded cache of pieces; knows nothing of special tokens or regular expressions. The package's own merge
// costs 5–16 µs per character of a long run (measured), which would stop the event loop for seconds; this one
// stays below 1 µs and is held to the package's results by test/property. Before it: tokenizer.ts.

import { CheckpointError } from '../files/model-file.ts';
import { byteCharacters } from './byte-level.ts';
import { PieceCache } from './piece-cache.ts';
import { characterIds } from './token-fallback.ts';
import type { BpeModel } from './tokenizer-file.ts';

const idSpan = 2 ** 21; // above every id: left · idSpan + right names a pair
const positionSpan = 2 ** 31; // above every position: rank · positionSpan + position orders merges
const standIns = byteCharacters(); // [256]
const utf8 = new TextEncoder();

export interface BpeSettings {
  readonly path: string; // for messages
  readonly vocab: ReadonlyMap<string, number>;
  readonly model: BpeModel;
  readonly alphabet: 'bytes' | 'characters';
}

export class BytePairEncoder {
  readonly #settings: BpeSettings;
  readonly #byteIds: Int32Array | null; // [256] -1 = no token; null: tokens are written in characters
  readonly #mergeOf = new Map<number, number>(); // pair → index into the merges
  readonly #mergedIds: Int32Array; // [merges]
  readonly #ranks: Int32Array | null; // [merges] null: the index is the rank
  readonly #words: RegExp | null; // what no merge reaches across
  readonly #cache = new PieceCache();

  /** Throws CheckpointError when a merge has no token. */
  constructor(settings: BpeSettings) {
    const { vocab, model, path } = settings;
    const idOf = (token: string, field: string): number => {
      const id = vocab.get(token);
      if (id !== undefined) return id;
      throw new CheckpointError(`${JSON.stringify(token)} is not in the vocabulary`, { file: path, field });
    };
    this.#settings = settings;
    this.#byteIds =
      settings.alphabet === 'bytes'
        ? Int32Array.from(standIns, (character) => vocab.get(character) ?? -1)
        : null;
    this.#ranks = model.ranks;
    this.#mergedIds = new Int32Array(model.merges.length);
    for (const [index, [left, right]] of model.merges.entries()) {
      const field = `model.merges.${index}`;
      const pair = idOf(left, field) * idSpan + idOf(right, field);
      this.#mergedIds[index] = idOf(left + right, field);
      this.#mergeOf.set(pair, index);
    }
    this.#words = wordsOf(settings);
  }

  /** Ids of one piece; the array is shared and must not be written. `piece` is well-formed. */
  encode(piece: string): Int32Array {
    return this.#cache.ids(piece, () => this.#encodeNew(piece));
  }

  #encodeNew(piece: string): Int32Array {
    const words = this.#words ? (piece.match(this.#words) ?? []) : [];
    if (words.length > 1) return concatenate(words.map((word) => this.encode(word)));
    const whole = this.#settings.model.ignoreMerges ? this.#wholeId(piece) : undefined;
    return whole === undefined ? this.#merge(this.#symbols(piece)) : Int32Array.of(whole);
  }

  #wholeId(piece: string): number | undefined {
    const { vocab } = this.#settings;
    return vocab.get(this.#byteIds ? inStandIns(utf8.encode(piece)) : piece);
  }

  /** What merging begins with: a token for each byte or character, or what stands in for those without. */
  #symbols(piece: string): Int32Array {
    if (!this.#byteIds) return characterIds(piece, this.#settings.vocab, this.#settings.model);
    const bytes = utf8.encode(piece);
    const ids = new Int32Array(bytes.length);
    for (let at = 0; at < bytes.length; at++) {
      const id = this.#byteIds[bytes[at]!]!;
      if (id < 0) return characterIds(inStandIns(bytes), this.#settings.vocab, this.#settings.model);
      ids[at] = id;
    }
    return ids;
  }

  /**
   * Joins the pair of lowest rank, leftmost first, until none is left. Symbols are a linked list over their
   * positions: a join keeps the left position and unlinks the right one, [a]→[b]→[c] becomes [ab]→[c]. Writes `ids`.
   */
  #merge(ids: Int32Array): Int32Array {
    const count = ids.length;
    const next = ids.map((_, at) => at + 1); // count = none
    const previous = ids.map((_, at) => at - 1); // -1 = none
    const merges = new Int32Array(count).fill(-1); // of the pair that begins here; tells stale heap entries
    const heap: number[] = [];
    const rankOf = (merge: number): number => (this.#ranks ? this.#ranks[merge]! : merge);
    const offer = (at: number): void => {
      const right = next[at]!;
      const merge = right < count ? this.#mergeOf.get(ids[at]! * idSpan + ids[right]!) : undefined;
      merges[at] = merge ?? -1;
      if (merge !== undefined) pushHeap(heap, rankOf(merge) * positionSpan + at);
    };
    for (let at = 0; at + 1 < count; at++) offer(at);
    let symbolCount = count;
    while (heap.length > 0) {
      const key = popHeap(heap);
      const rank = Math.floor(key / positionSpan);
      const at = key - rank * positionSpan;
      const merge = merges[at]!;
      if (merge < 0 || rankOf(merge) !== rank) continue;
      const right = next[at]!;
      ids[at] = this.#mergedIds[merge]!;
      merges[right] = -1;
      next[at] = next[right]!;
      if (next[at]! < count) previous[next[at]!] = at;
      symbolCount--;
      offer(at);
      if (previous[at]! >= 0) offer(previous[at]!);
    }
    const merged = new Int32Array(symbolCount);
    for (let at = 0, index = 0; at < count; at = next[at]!) merged[index++] = ids[at]!;
    return merged;
  }
}

/**
 * Where tokens are written in characters, a whole text may be one piece. If no token has the mark of a space behind
 * another character, none reaches across such a place, and words can be merged one by one and remembered.
 */
function wordsOf({ alphabet, model, vocab }: BpeSettings): RegExp | null {
  // A character that is dropped would bring together what lies on both sides of it.
  const dropsNothing = model.unknownId !== null && vocab.has('▁');
  if (alphabet === 'bytes' || model.ignoreMerges || !dropsNothing) return null;
  const reachesAcross = model.merges.some(([left, right]) => /[^▁]▁/u.test(left + right));
  return reachesAcross ? null : /▁*[^▁]+|▁+/gu;
}

function inStandIns(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += standIns[byte];
  return text;
}

function concatenate(parts: readonly Int32Array[]): Int32Array {
  const whole = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A binary min-heap of plain numbers. */
function pushHeap(heap: number[], key: number): void {
  let at = heap.length;
  heap.push(key);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]! <= key) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = key;
}

/** Removes and returns the least key of a heap that is not empty. */
function popHeap(heap: number[]): number {
  const least = heap[0]!;
  const key = heap.pop()!;
  const size = heap.length;
  if (size === 0) return least;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= key) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = key;
  return least;
}
