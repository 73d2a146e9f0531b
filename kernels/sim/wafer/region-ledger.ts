// RegionLedger: which mesh row of a region holds which block of KV. New blocks go to the emptiest row, so that all
// rows work equally on attention; when a block leaves a hole, one moves in from the fullest row.
// Every operation takes constant time. Used by kv-floor.ts; regions of equal shape share one ledger.
import assert from 'node:assert/strict';

export class RegionLedger {
  readonly rowCount: number;
  readonly blocksPerRow: number;
  readonly #rowOfFrame: Int32Array; // [frameCount] −1: not placed
  readonly #next: Int32Array; // [frameCount] of the same row; −1: last
  readonly #previous: Int32Array;
  readonly #first: Int32Array; // [rowCount] a frame of the row; −1: empty
  readonly #level: Int32Array; // [rowCount] blocks held
  readonly #order: Int32Array; // [rowCount] rows by level, ascending
  readonly #placeOf: Int32Array; // [rowCount] index in #order
  readonly #below: Int32Array; // [blocksPerRow + 2] rows with a level below this one
  #count = 0;

  constructor({
    rowCount,
    blocksPerRow,
    frameCount,
  }: { rowCount: number; blocksPerRow: number; frameCount: number }) {
    assert(
      frameCount <= rowCount * blocksPerRow,
      `${frameCount} frames in ${rowCount} rows of ${blocksPerRow}`,
    );
    this.rowCount = rowCount;
    this.blocksPerRow = blocksPerRow;
    this.#rowOfFrame = new Int32Array(frameCount).fill(-1);
    this.#next = new Int32Array(frameCount).fill(-1);
    this.#previous = new Int32Array(frameCount).fill(-1);
    this.#first = new Int32Array(rowCount).fill(-1);
    this.#level = new Int32Array(rowCount);
    this.#order = Int32Array.from({ length: rowCount }, (_, row) => row);
    this.#placeOf = Int32Array.from(this.#order);
    this.#below = new Int32Array(blocksPerRow + 2).fill(rowCount);
    this.#below[0] = 0;
  }

  /** Blocks held by all rows. */
  get count(): number {
    return this.#count;
  }

  /** Blocks in a row, ≤ blocksPerRow. */
  level(row: number): number {
    return this.#level[row]!;
  }

  /** Puts a frame into the emptiest row. */
  place(frame: number): void {
    assert(this.#rowOfFrame[frame] === -1, `frame ${frame} placed twice`);
    this.#link(frame, this.#order[0]!);
    this.#count++;
  }

  /** Takes a frame out; returns how many blocks moved to close the hole: 0 or 1. */
  remove(frame: number): number {
    const row = this.#rowOfFrame[frame]!;
    assert(row >= 0, `frame ${frame} is not placed`);
    this.#unlink(frame, row);
    this.#count--;
    const fullest = this.#order[this.rowCount - 1]!;
    if (this.#level[fullest]! - this.#level[row]! < 2) return 0;
    const moved = this.#first[fullest]!;
    this.#unlink(moved, fullest);
    this.#link(moved, row);
    return 1;
  }

  /** Full audit. Throws AssertionError. */
  check(): void {
    let total = 0;
    for (let row = 0; row < this.rowCount; row++) {
      let held = 0;
      for (let frame = this.#first[row]!; frame !== -1; frame = this.#next[frame]!) {
        assert.equal(this.#rowOfFrame[frame], row);
        held++;
      }
      assert.equal(held, this.#level[row]);
      assert(held <= this.blocksPerRow, `row ${row} holds ${held} of ${this.blocksPerRow}`);
      total += held;
    }
    assert.equal(total, this.#count);
    const lowest = this.#level[this.#order[0]!]!;
    const highest = this.#level[this.#order[this.rowCount - 1]!]!;
    assert(highest - lowest <= 1, 'rows are level');
  }

  #link(frame: number, row: number): void {
    const first = this.#first[row]!;
    this.#rowOfFrame[frame] = row;
    this.#next[frame] = first;
    this.#previous[frame] = -1;
    if (first !== -1) this.#previous[first] = frame;
    this.#first[row] = frame;
    this.#raise(row);
  }

  #unlink(frame: number, row: number): void {
    const next = this.#next[frame]!;
    const previous = this.#previous[frame]!;
    if (next !== -1) this.#previous[next] = previous;
    if (previous === -1) this.#first[row] = next;
    else this.#next[previous] = next;
    this.#rowOfFrame[frame] = -1;
    this.#lower(row);
  }

  // [… level l … | … l + 1 …]: the row becomes the last of its level, then the border moves before it.
  #raise(row: number): void {
    const level = this.#level[row]!;
    assert(level < this.blocksPerRow, `row ${row} is full`);
    const last = this.#below[level + 1]! - 1;
    this.#swap(this.#placeOf[row]!, last);
    this.#below[level + 1] = last;
    this.#level[row] = level + 1;
  }

  // [… l − 1 … | … l …]: the row becomes the first of its level, then the border moves behind it.
  #lower(row: number): void {
    const level = this.#level[row]!;
    const first = this.#below[level]!;
    this.#swap(this.#placeOf[row]!, first);
    this.#below[level] = first + 1;
    this.#level[row] = level - 1;
  }

  #swap(a: number, b: number): void {
    const rowA = this.#order[a]!;
    const rowB = this.#order[b]!;
    this.#order[a] = rowB;
    this.#order[b] = rowA;
    this.#placeOf[rowB] = a;
    this.#placeOf[rowA] = b;
  }
}
