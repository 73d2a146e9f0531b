// ReplicaSet: which replicas are something, as bits, so that the next of them is found without asking all the others: a wafer
// has hundreds. Used by seating.ts.

export class ReplicaSet {
  readonly #words: Int32Array; // 32 replicas each

  constructor(replicaCount: number) {
    this.#words = new Int32Array(Math.ceil(replicaCount / 32));
  }

  put(replica: number, isMember: boolean): void {
    const bit = 1 << (replica & 31);
    if (isMember) this.#words[replica >>> 5]! |= bit;
    else this.#words[replica >>> 5]! &= ~bit;
  }

  /** The first member from `from` on; −1: there is none. */
  next(from: number): number {
    let word = from >>> 5;
    if (word >= this.#words.length) return -1;
    let bits = this.#words[word]! & (-1 << (from & 31));
    while (bits === 0) {
      if (++word === this.#words.length) return -1;
      bits = this.#words[word]!;
    }
    return 32 * word + 31 - Math.clz32(bits & -bits);
  }
}
