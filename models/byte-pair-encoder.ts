// Byte-pair merging: one piece of text (a word, as the pre-tokeniser cuts it) → token ids. Owns the merge table
// and a bounded cache of pieces; knows nothing of special tokens or regular expressions. The package's own merge
// costs 5–16 µs per character of a long run (measured), which would stop the event loop for seconds; this one
// stays below 1 µs and is held to the package's results by test/property. Before it: tokenizer.ts.
import { byteCharacters } from './byte-level.ts';
import { CheckpointError } from './model-file.ts';
import type { TokenizerFile } from './tokenizer-file.ts';

const idSpan = 2 ** 21; // above every id: left · idSpan + right names a pair
const positionSpan = 2 ** 31; // above every position: rank · positionSpan + position orders merges
const cachedPieceCountMax = 1 << 15; // pieces; the cache is emptied when full
const cachedPieceLengthMax = 64; // UTF-16 units; longer pieces rarely come again
const standIns = byteCharacters(); // [256]

export class BytePairEncoder {
  readonly #byteIds: Int32Array; // [256]
  readonly #ranks = new Map<number, number>(); // pair → rank, lower first
  readonly #mergedIds: Int32Array; // [merges] by rank
  readonly #wholePieces: ReadonlyMap<string, number> | null; // UTF-8 text → id, if merges may be ignored
  readonly #cache = new Map<string, Int32Array>();
  readonly #utf8 = new TextEncoder();

  /** Throws CheckpointError when a byte or a merge has no token. */
  constructor(file: TokenizerFile) {
    const idOf = (token: string, field: string): number => {
      const id = file.vocab.get(token);
      if (id !== undefined) return id;
      throw new CheckpointError(`${JSON.stringify(token)} is not in the vocabulary`, {
        file: file.path,
        field,
      });
    };
    this.#byteIds = Int32Array.from(standIns, (character) => idOf(character, 'model.vocab'));
    this.#mergedIds = new Int32Array(file.merges.length);
    for (const [rank, [left, right]] of file.merges.entries()) {
      const field = `model.merges.${rank}`;
      const pair = idOf(left, field) * idSpan + idOf(right, field);
      this.#mergedIds[rank] = idOf(left + right, field);
      if (!this.#ranks.has(pair)) this.#ranks.set(pair, rank);
    }
    this.#wholePieces = file.ignoreMerges ? file.vocab : null;
  }

  /** Ids of one piece; the array is shared and must not be written. A lone surrogate counts as U+FFFD. */
  encode(piece: string): Int32Array {
    const cached = this.#cache.get(piece);
    if (cached) return cached;
    const bytes = this.#utf8.encode(piece);
    const ids = this.#encodeWhole(bytes) ?? this.#merge(bytes);
    if (piece.length <= cachedPieceLengthMax) {
      if (this.#cache.size >= cachedPieceCountMax) this.#cache.clear();
      this.#cache.set(piece, ids);
    }
    return ids;
  }

  #encodeWhole(bytes: Uint8Array): Int32Array | null {
    if (!this.#wholePieces) return null;
    let token = '';
    for (const byte of bytes) token += standIns[byte];
    const id = this.#wholePieces.get(token);
    return id === undefined ? null : Int32Array.of(id);
  }

  /**
   * Joins the pair of lowest rank, leftmost first, until none is left. Symbols are a linked list over byte
   * positions: a join keeps the left position and unlinks the right one, [a]→[b]→[c] becomes [ab]→[c].
   */
  #merge(bytes: Uint8Array): Int32Array {
    const count = bytes.length;
    const ids = Int32Array.from(bytes, (byte) => this.#byteIds[byte]!);
    const next = Int32Array.from(bytes, (_, at) => at + 1); // count = none
    const previous = Int32Array.from(bytes, (_, at) => at - 1); // -1 = none
    const ranks = new Int32Array(count).fill(-1); // of the pair that begins here; tells stale heap entries
    const heap: number[] = [];
    const offer = (at: number): void => {
      const right = next[at]!;
      const rank = right < count ? this.#ranks.get(ids[at]! * idSpan + ids[right]!) : undefined;
      ranks[at] = rank ?? -1;
      if (rank !== undefined) pushHeap(heap, rank * positionSpan + at);
    };
    for (let at = 0; at + 1 < count; at++) offer(at);
    let symbolCount = count;
    while (heap.length > 0) {
      const key = popHeap(heap);
      const rank = Math.floor(key / positionSpan);
      const at = key - rank * positionSpan;
      if (ranks[at] !== rank) continue;
      const right = next[at]!;
      ids[at] = this.#mergedIds[rank]!;
      ranks[right] = -1;
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
