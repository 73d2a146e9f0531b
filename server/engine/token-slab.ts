// TokenSlab: memory for the tokens of short sequences, many of them in one piece. An array with memory of its own costs 2 µs,
// as much as a step of its sequence, and work at each collection. A piece goes when the last array in it has gone; nothing
// of it is given twice. Used by sequence-table.ts.

const pieceTokens = 8192; // 32 KiB
const sharedTokensMax = 512; // longer arrays are worth memory of their own

export class TokenSlab {
  #piece = new Int32Array(0);
  #takenCount = 0; // of its tokens

  /** [count] zeros. */
  take(count: number): Int32Array {
    if (count > sharedTokensMax) return new Int32Array(count);
    if (this.#takenCount + count > this.#piece.length) {
      this.#piece = new Int32Array(pieceTokens);
      this.#takenCount = 0;
    }
    const start = this.#takenCount;
    this.#takenCount += count;
    return this.#piece.subarray(start, this.#takenCount);
  }
}
