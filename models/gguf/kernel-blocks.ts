// The GGUF types that a kernel computes with as they are: Q4_0 and Q8_0, whose levels and scales ONNX Runtime's MatMulNBits
// takes once they lie in its order, and Q4_1 and Q4_K, whose offsets our own operators take. Bit for bit the file's numbers. Pure. Before it: gguf-checkpoint.ts;
// after it: graph/block-arithmetic.ts.
import type { BlockQuantised, StoredLayout } from '../weights/weights.ts';
import { halfAt } from './small-blocks.ts';
import { blocksOfQ4K } from './super-blocks.ts';

const length = 32; // values a block
const layouts: Readonly<Record<string, StoredLayout>> = {
  Q4_0: { bits: 4, blockSize: length },
  Q4_1: { bits: 4, blockSize: length, hasOffsets: true },
  Q4_K: { bits: 4, blockSize: length, hasOffsets: true, roundsScales: true },
  Q8_0: { bits: 8, blockSize: length },
};

/** Null for a type that has to be quantised anew. */
export function kernelLayout(type: string): StoredLayout | null {
  return layouts[type] ?? null;
}

/** `bytes` are rows of whole blocks of one of these types, `columns` values each. */
export function kernelBlocks(bytes: Uint8Array, layout: StoredLayout, columns: number): BlockQuantised {
  if (layout.roundsScales === true) return blocksOfQ4K(bytes);
  if (layout.hasOffsets === true) return nibblesOfQ41(bytes);
  return layout.bits === 8 ? bytesOfQ8(bytes) : nibblesOfQ4(bytes, columns);
}

/** Signed levels become those about 128. */
function bytesOfQ8(bytes: Uint8Array): BlockQuantised {
  const blockCount = bytes.length / 34;
  const data = new Uint8Array(blockCount * length);
  const scales = new Float32Array(blockCount);
  for (let block = 0; block < blockCount; block++) {
    const at = block * 34;
    scales[block] = halfAt(bytes, at);
    for (let i = 0; i < length; i++) data[block * length + i] = bytes[at + 2 + i]! ^ 0x80;
  }
  return { data, scales, zeroPoints: null };
}

/** A byte of the file holds values i and i + 16, one of the kernel's 2i and 2i + 1; both count from 8. */
function nibblesOfQ4(bytes: Uint8Array, columns: number): BlockQuantised {
  const blockCount = bytes.length / 18;
  const data = new Uint8Array((blockCount * length) / 2);
  const scales = new Float32Array(blockCount);
  for (let block = 0; block < blockCount; block++) {
    scales[block] = halfAt(bytes, block * 18);
    pairNeighbours(bytes, block * 18 + 2, data, block);
  }
  const blocksPerRow = columns / length;
  const zeroPoints = new Uint8Array((blockCount / blocksPerRow) * Math.ceil(blocksPerRow / 2)).fill(0x88);
  return { data, scales, zeroPoints };
}

/** The same with a minimum of its own for each block. */
function nibblesOfQ41(bytes: Uint8Array): BlockQuantised {
  const blockCount = bytes.length / 20;
  const data = new Uint8Array((blockCount * length) / 2);
  const [scales, offsets] = [new Float32Array(blockCount), new Float32Array(blockCount)];
  for (let block = 0; block < blockCount; block++) {
    scales[block] = halfAt(bytes, block * 20);
    offsets[block] = halfAt(bytes, block * 20 + 2);
    pairNeighbours(bytes, block * 20 + 4, data, block);
  }
  return { data, scales, zeroPoints: null, offsets };
}

function pairNeighbours(bytes: Uint8Array, from: number, data: Uint8Array, block: number): void {
  const half = length / 2;
  for (let i = 0; i < half; i += 2) {
    const [first, second] = [bytes[from + i]!, bytes[from + i + 1]!];
    const to = block * half + (i >> 1);
    data[to] = (first & 15) | ((second & 15) << 4);
    data[to + half / 2] = (first >> 4) | (second & 0xf0);
  }
}
