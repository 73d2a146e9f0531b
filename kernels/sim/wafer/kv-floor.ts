// KvFloor: which blocks of KV lie on the wafers, and which in the external store. A block that a seated sequence
// uses is pinned; the others stay until their room is needed, the least recently used leave first (evict, spill).
// With nothing left to evict, a block is read from the store at every step instead (stream).
// A block lies in every stage's region at once; where in a region is region-ledger.ts's business.
import assert from 'node:assert/strict';
import type { PlacedStage } from './floorplan.ts';
import { RegionLedger } from './region-ledger.ts';

/** What one step moved, in blocks over all layers. */
export interface KvTraffic {
  fetched: number; // from the store, to stay
  spilled: number; // to the store
  streamed: number; // from the store, for this step only
}

export interface KvUse {
  readonly frameCount: number; // blocks that the wafers have room for
  readonly residentCount: number;
  readonly pinnedCount: number;
  readonly movedCount: number; // within regions, since the start
  readonly spilledCount: number; // since the start
  readonly fetchedCount: number;
}

export class KvFloor {
  readonly #ledgers: readonly RegionLedger[]; // one for each shape of region
  readonly #frameCount: number;
  readonly #frameOf: Int32Array; // [blockCount] −1: not on the wafers
  readonly #stored: Uint8Array; // [blockCount] 1: its content lies in the store
  readonly #pins: Int32Array; // [blockCount] seats that use it
  readonly #older: Int32Array; // [blockCount] neighbours among the evictable; −1: none
  readonly #newer: Int32Array;
  readonly #freeFrames: number[] = [];
  readonly #seats: (Holding | undefined)[] = []; // [seat]
  #oldest = -1;
  #newest = -1;
  #pinnedCount = 0; // resident and pinned
  #movedCount = 0;
  #spilledCount = 0;
  #fetchedCount = 0;

  /** `blockCount` > `frameCount`: the rest lies in the external store. */
  constructor(
    stages: readonly PlacedStage[],
    { frameCount, blockCount }: { frameCount: number; blockCount: number },
  ) {
    assert(blockCount >= frameCount && frameCount > 0);
    const shapes = new Map<string, RegionLedger>();
    for (const { rows, sram } of stages) {
      if (sram.blockBytes === 0) continue;
      const ledger = new RegionLedger({ rowCount: rows, blocksPerRow: sram.blocksPerRow, frameCount });
      shapes.set(`${rows} ${sram.blocksPerRow}`, ledger);
    }
    this.#ledgers = [...shapes.values()];
    this.#frameCount = frameCount;
    this.#frameOf = new Int32Array(blockCount).fill(-1);
    this.#stored = new Uint8Array(blockCount);
    this.#pins = new Int32Array(blockCount);
    this.#older = new Int32Array(blockCount).fill(-1);
    this.#newer = new Int32Array(blockCount).fill(-1);
    for (let frame = frameCount - 1; frame >= 0; frame--) this.#freeFrames.push(frame);
  }

  get use(): KvUse {
    return {
      frameCount: this.#frameCount,
      residentCount: this.#frameCount - this.#freeFrames.length,
      pinnedCount: this.#pinnedCount,
      movedCount: this.#movedCount,
      spilledCount: this.#spilledCount,
      fetchedCount: this.#fetchedCount,
    };
  }

  /**
   * A seat computes with `blocks`, the first `filledCount` of which hold finished KV. Pins them all until release(),
   * brings in what is missing, and adds to `traffic`.
   */
  hold(seat: number, blocks: readonly number[], filledCount: number, traffic: KvTraffic): void {
    const holding = this.#holdingOf(seat);
    const { pinned, settledCount } = holding;
    for (let index = settledCount; index < blocks.length; index++) {
      const block = blocks[index]!;
      const before = pinned[index];
      if (before === block) continue;
      // Since the last step the engine may have found that somebody else's block holds the same tokens.
      if (before !== undefined) this.#unpin(before);
      pinned[index] = block;
      this.#pin(block);
      if (index >= filledCount) this.#stored[block] = 0; // new content: whatever the store has is old
    }
    // A pinned block on the wafers stays there: only new ones need a look, unless some had no room.
    holding.missing = this.#cover(pinned, holding.missing ? 0 : settledCount, traffic);
    holding.settledCount = filledCount;
  }

  /** The seat's sequence has left. */
  release(seat: number): void {
    const holding = this.#seats[seat];
    if (holding === undefined) return;
    while (holding.pinned.length > 0) this.#unpin(holding.pinned.pop()!);
    holding.settledCount = 0;
    holding.missing = false;
  }

  /** Full audit of frames and rows, O(blocks). Throws AssertionError. */
  check(): void {
    const seen = new Uint8Array(this.#frameCount);
    let resident = 0;
    for (const frame of this.#frameOf) {
      if (frame === -1) continue;
      assert(seen[frame] === 0, `frame ${frame} holds two blocks`);
      seen[frame] = 1;
      resident++;
    }
    assert.equal(resident + this.#freeFrames.length, this.#frameCount);
    let evictable = 0;
    for (let block = this.#oldest; block !== -1; block = this.#newer[block]!) {
      assert(this.#frameOf[block] !== -1 && this.#pins[block] === 0);
      evictable++;
    }
    assert.equal(evictable + this.#pinnedCount, resident);
    for (const ledger of this.#ledgers) {
      ledger.check();
      assert.equal(ledger.count, resident);
    }
  }

  /** Blocks in the fullest mesh row of any region over the room of a row: 1 = a core is full. */
  get fullestRowShare(): number {
    let share = 0;
    for (const ledger of this.#ledgers) {
      for (let row = 0; row < ledger.rowCount; row++) {
        share = Math.max(share, ledger.level(row) / ledger.blocksPerRow);
      }
    }
    return share;
  }

  #holdingOf(seat: number): Holding {
    let holding = this.#seats[seat];
    if (holding === undefined) {
      holding = { pinned: [], settledCount: 0, missing: false };
      this.#seats[seat] = holding;
    }
    return holding;
  }

  // Brings in what is missing of blocks [from, …); true if some found no room.
  #cover(blocks: readonly number[], from: number, traffic: KvTraffic): boolean {
    let missing = false;
    for (let index = from; index < blocks.length; index++) {
      const block = blocks[index]!;
      if (this.#frameOf[block] !== -1) continue;
      const frame = this.#takeFrame(traffic);
      const stored = this.#stored[block] === 1;
      if (frame === -1) {
        traffic.streamed++;
        this.#stored[block] = 1;
        missing = true;
        continue;
      }
      if (stored) {
        traffic.fetched++;
        this.#fetchedCount++;
      }
      this.#frameOf[block] = frame;
      this.#pinnedCount++;
      for (const ledger of this.#ledgers) ledger.place(frame);
    }
    return missing;
  }

  // A free frame, or the least recently used block's; −1: every block on the wafers is pinned.
  #takeFrame(traffic: KvTraffic): number {
    const free = this.#freeFrames.pop();
    if (free !== undefined) return free;
    const block = this.#oldest;
    if (block === -1) return -1;
    this.#unlink(block);
    const frame = this.#frameOf[block]!;
    this.#frameOf[block] = -1;
    if (this.#stored[block] === 0) {
      this.#stored[block] = 1;
      traffic.spilled++;
      this.#spilledCount++;
    }
    for (const ledger of this.#ledgers) this.#movedCount += ledger.remove(frame);
    return frame;
  }

  #pin(block: number): void {
    if (this.#pins[block]!++ > 0 || this.#frameOf[block] === -1) return;
    this.#unlink(block);
    this.#pinnedCount++;
  }

  #unpin(block: number): void {
    if (--this.#pins[block]! > 0 || this.#frameOf[block] === -1) return;
    this.#pinnedCount--;
    this.#older[block] = this.#newest;
    this.#newer[block] = -1;
    if (this.#newest === -1) this.#oldest = block;
    else this.#newer[this.#newest] = block;
    this.#newest = block;
  }

  #unlink(block: number): void {
    const older = this.#older[block]!;
    const newer = this.#newer[block]!;
    if (older === -1) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === -1) this.#newest = older;
    else this.#older[newer] = older;
    this.#older[block] = -1;
    this.#newer[block] = -1;
  }
}

interface Holding {
  readonly pinned: number[]; // blocks, in the order of the sequence's tokens
  settledCount: number; // leading blocks that are finished and findable: they do not change any more
  missing: boolean; // some have no room on the wafers
}
