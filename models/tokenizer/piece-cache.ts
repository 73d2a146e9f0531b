// Token ids of pieces that were encoded before: words come again and again. Bounded in pieces and in their length.
// Used by byte-pair-encoder.ts and unigram-encoder.ts.

const pieceCountMax = 1 << 15; // pieces; the cache is emptied when full
const pieceLengthMax = 64; // UTF-16 units; longer pieces rarely come again

export class PieceCache {
  readonly #ids = new Map<string, Int32Array>();

  /** The array is shared and must not be written. */
  ids(piece: string, encode: () => Int32Array): Int32Array {
    const known = this.#ids.get(piece);
    if (known) return known;
    const ids = encode();
    if (piece.length <= pieceLengthMax) {
      if (this.#ids.size >= pieceCountMax) this.#ids.clear();
      this.#ids.set(piece, ids);
    }
    return ids;
  }
}
