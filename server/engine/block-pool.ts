// BlockPool: which KV blocks exist and how many sequences hold each. It knows nothing of tokens or memory;
// prefix-cache.ts decides what a block means and when an idle one may be taken back.
import assert from 'node:assert/strict';

export class BlockPool {
  readonly blockCount: number;
  readonly #refs: Int32Array; // [blockCount] holders of each block
  readonly #uses: Float64Array; // [blockCount] how often each was handed out
  readonly #free: Int32Array; // [blockCount] stack of free block ids
  #freeCount: number;
  #freeCountMin: number; // so far
  #inUseCount = 0;

  constructor(blockCount: number) {
    assert(blockCount > 0);
    this.blockCount = blockCount;
    this.#refs = new Int32Array(blockCount);
    this.#uses = new Float64Array(blockCount);
    this.#free = Int32Array.from({ length: blockCount }, (_, index) => blockCount - 1 - index); // 0 on top
    this.#freeCount = blockCount;
    this.#freeCountMin = blockCount;
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  get inUseCount(): number {
    return this.#inUseCount;
  }

  /** Blocks held by nobody and not free: their content is kept, and may be dropped at any time. */
  get idleCount(): number {
    return this.blockCount - this.#freeCount - this.#inUseCount;
  }

  /** Blocks that were ever used: freed ones are taken first again, so the memory of the others was never written. */
  get touchedCount(): number {
    return this.blockCount - this.#freeCountMin;
  }

  /** A free block, held once; -1 when none is free. */
  allocate(): number {
    if (this.#freeCount === 0) return -1;
    const block = this.#free[--this.#freeCount]!;
    this.#freeCountMin = Math.min(this.#freeCountMin, this.#freeCount);
    assert(this.#refs[block] === 0);
    this.#refs[block] = 1;
    this.#uses[block]!++;
    this.#inUseCount++;
    return block;
  }

  /** One more holder. The block is in use, or idle and becomes in use. */
  retain(block: number): void {
    if (this.#refs[block]! === 0) this.#inUseCount++;
    this.#refs[block]!++;
  }

  /** One holder less; true when that was the last one: the block is idle now, until retain() or free(). */
  release(block: number): boolean {
    const left = --this.#refs[block]!;
    assert(left >= 0, `block ${block} released more often than held`);
    if (left > 0) return false;
    this.#inUseCount--;
    return true;
  }

  /** Gives an idle block back to the free ones. */
  free(block: number): void {
    assert(this.#refs[block] === 0, `block ${block} freed while held`);
    this.#free[this.#freeCount++] = block;
  }

  refCount(block: number): number {
    return this.#refs[block]!;
  }

  /** Another one whenever the block is handed out for new content. */
  useOf(block: number): number {
    return this.#uses[block]!;
  }

  /** Full audit, O(blockCount): every block is free, idle or in use, and no free one is listed twice. */
  check(): void {
    const seen = new Uint8Array(this.blockCount);
    for (let index = 0; index < this.#freeCount; index++) {
      const block = this.#free[index]!;
      assert(seen[block] === 0, `block ${block} is free twice`);
      assert(this.#refs[block] === 0, `block ${block} is free and held`);
      seen[block] = 1;
    }
    let inUse = 0;
    for (const refs of this.#refs) if (refs > 0) inUse++;
    assert(inUse === this.#inUseCount, 'in-use count');
  }
}
