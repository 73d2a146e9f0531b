// KV in host memory: the seats that ONNX Runtime works in, and the store of finished blocks that outlives them.
// Owns the layout and the copies between the two; never decides what is copied. Before it: device.ts, which carries
// out a step's restores and saves; after it: nothing.
//
// Per layer one array of keys and one of values, [layer 0 key, layer 0 value, layer 1 key, …]:
//   seats   [slotCount, kvHeadCount, slotTokensMax, headSize]   what GroupQueryAttention wants
//   blocks  [blockCount, kvHeadCount, blockSize, headSize]
// so a block is kvHeadCount runs of blockSize · headSize numbers in each array, contiguous on both sides.
import assert from 'node:assert/strict';

export interface KvShape {
  readonly layerCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
  readonly slotCount: number;
  readonly slotTokensMax: number;
  readonly blockSize: number; // tokens
  readonly blockCount: number;
  readonly scales: KvScales | null; // null: numbers are fp32, else int8
}

/** How numbers become int8. */
export interface KvScales {
  /** [2 · layerCount] arrays of [kvHeadCount · headSize], ordered as the arrays of KV: what a step of 1 is worth. */
  readonly steps: readonly Float32Array[];
  /** [2 · layerCount] arrays: what is added to values before attention, and to its answers; sizes as the graph has them. */
  readonly shifts: readonly Float32Array[];
}

/** [2 · layerCount] arrays as drawn above. */
export type KvArrays = readonly (Float32Array | Int8Array)[];

/** Memory for all seats of one replica, zeroed; the operating system commits it page by page as it is written. */
export function allocateSeats(shape: KvShape, memory: 'shared' | 'private'): KvArrays {
  return allocate(shape, shape.slotCount * slotElements(shape), memory);
}

/** Memory for the block store, shared by all replicas. */
export function allocateBlocks(shape: KvShape): KvArrays {
  return allocate(shape, shape.blockCount * blockElements(shape), 'shared');
}

/** Elements of one seat in one array. */
export function slotElements(shape: KvShape): number {
  return shape.kvHeadCount * shape.slotTokensMax * shape.headSize;
}

export interface BlockPlace {
  readonly slot: number;
  readonly position: number; // of the block's first token within the seat
  readonly block: number;
}

export function restoreBlock(memory: KvMemory, place: BlockPlace): void {
  copyBlock(memory, place, 'restore');
}

export function saveBlock(memory: KvMemory, place: BlockPlace): void {
  copyBlock(memory, place, 'save');
}

/** Bytes of one block in all arrays. */
export function blockBytes(shape: KvShape): number {
  return 2 * shape.layerCount * blockElements(shape) * elementArray(shape).BYTES_PER_ELEMENT;
}

/** A block's numbers, array after array, between the store and `bytes` (blockBytes long, of this machine's order). */
export function copyContent(
  { shape, blocks }: Pick<KvMemory, 'shape' | 'blocks'>,
  block: number,
  bytes: Uint8Array,
  direction: 'read' | 'write',
): void {
  assert(bytes.length === blockBytes(shape), `${bytes.length} bytes for a block of ${blockBytes(shape)}`);
  let at = 0;
  for (const piece of blockPieces({ shape, blocks }, block)) {
    const outside = bytes.subarray(at, at + piece.length);
    if (direction === 'read') outside.set(piece);
    else piece.set(outside);
    at += piece.length;
  }
}

/** The block's numbers in the store, one view for each array. */
export function blockPieces(
  { shape, blocks }: Pick<KvMemory, 'shape' | 'blocks'>,
  block: number,
): readonly Uint8Array[] {
  assert(block >= 0 && block < shape.blockCount, `block ${block} of ${shape.blockCount}`);
  const size = blockElements(shape) * elementArray(shape).BYTES_PER_ELEMENT;
  return blocks.map((store) => new Uint8Array(store.buffer, store.byteOffset + block * size, size));
}

export interface KvMemory {
  readonly shape: KvShape;
  readonly seats: KvArrays;
  readonly blocks: KvArrays;
}

function copyBlock(
  { shape, seats, blocks }: KvMemory,
  { slot, position, block }: BlockPlace,
  direction: 'restore' | 'save',
): void {
  const { kvHeadCount, headSize, slotTokensMax, blockSize } = shape;
  assert(slot >= 0 && slot < shape.slotCount, `slot ${slot} of ${shape.slotCount}`);
  assert(block >= 0 && block < shape.blockCount, `block ${block} of ${shape.blockCount}`);
  assert(position >= 0 && position + blockSize <= slotTokensMax, `position ${position} of ${slotTokensMax}`);
  const runElements = blockSize * headSize;
  for (let array = 0; array < seats.length; array++) {
    const seat = seats[array]!;
    const store = blocks[array]!;
    for (let head = 0; head < kvHeadCount; head++) {
      const inSeat = ((slot * kvHeadCount + head) * slotTokensMax + position) * headSize;
      const inStore = (block * kvHeadCount + head) * runElements;
      if (direction === 'restore') seat.set(store.subarray(inStore, inStore + runElements), inSeat);
      else store.set(seat.subarray(inSeat, inSeat + runElements), inStore);
    }
  }
}

function blockElements(shape: KvShape): number {
  return shape.kvHeadCount * shape.blockSize * shape.headSize;
}

function allocate(shape: KvShape, elements: number, memory: 'shared' | 'private'): KvArrays {
  const size = elements * elementArray(shape).BYTES_PER_ELEMENT;
  const open = () => (memory === 'shared' ? new SharedArrayBuffer(size) : new ArrayBuffer(size));
  return Array.from({ length: 2 * shape.layerCount }, () =>
    shape.scales === null ? new Float32Array(open()) : new Int8Array(open()),
  );
}

function elementArray({ scales }: KvShape): typeof Float32Array | typeof Int8Array {
  return scales === null ? Float32Array : Int8Array;
}
