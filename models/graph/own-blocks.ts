// Weights as our own operators read them (kernels/native/product.h): groups of 16 outputs, in each blocks of inputs with their
// scales in front, and levels of several outputs side by side, so that a processor multiplies them as they come. Owns that
// layout and the rounding to it. Pure. Before it: own-arithmetic.ts.
import { floatToHalf, halfToFloat } from '../weights/half-floats.ts';
import type { Bits, BlockQuantised } from '../weights/weights.ts';

const group = 16; // outputs

/** Of a matrix [rows, columns]: `rows` outputs, `columns` inputs. */
export interface OwnLayout {
  readonly rows: number;
  readonly columns: number;
  readonly bits: Bits;
  readonly blockSize: number; // inputs, a multiple of 16
}

/** Bytes of the whole matrix. */
export function ownSize(layout: OwnLayout): number {
  return Math.ceil(layout.rows / group) * blocksOf(layout) * blockBytes(layout);
}

function blocksOf({ columns, blockSize }: OwnLayout): number {
  return Math.ceil(columns / blockSize);
}

/** 8 bits: a scale for each output; 4 bits: an offset too. */
function headingBytes({ bits }: OwnLayout): number {
  return (bits === 8 ? 2 : 4) * group;
}

function blockBytes(layout: OwnLayout): number {
  return headingBytes(layout) + (layout.blockSize * group * layout.bits) / 8;
}

/** A matrix that is filled block by block; what nobody fills is zero. */
class OwnMatrix {
  readonly bytes: Uint8Array;
  readonly #halves: Uint16Array;
  readonly #layout: OwnLayout;
  readonly #blocks: number;
  readonly #blockBytes: number;
  readonly #heading: number;

  constructor(layout: OwnLayout) {
    this.bytes = new Uint8Array(ownSize(layout));
    this.#halves = new Uint16Array(this.bytes.buffer);
    this.#layout = layout;
    this.#blocks = blocksOf(layout);
    this.#blockBytes = blockBytes(layout);
    this.#heading = headingBytes(layout);
  }

  /** Where the block of this row begins. */
  startOf(row: number, block: number): number {
    return (Math.floor(row / group) * this.#blocks + block) * this.#blockBytes;
  }

  scale(row: number, start: number, half: number): void {
    this.#halves[(start >> 1) + (row % group)] = half;
  }

  offset(row: number, start: number, half: number): void {
    this.#halves[(start >> 1) + group + (row % group)] = half;
  }

  /** Level of an input within its block: −127 … 127 at 8 bits, 0 … 15 at 4. */
  level(row: number, start: number, input: number, level: number): void {
    const output = row % group;
    const data = start + this.#heading;
    if (this.#layout.bits === 8) {
      this.bytes[data + (input >> 1) * 2 * group + 2 * output + (input & 1)] = level;
      return;
    }
    const word = (input >> 2) * 2 * group + 2 * (2 * (output & 7) + (input & 1));
    this.bytes[data + word + ((input >> 1) & 1)]! |= level << (output < 8 ? 0 : 4);
  }
}

/** Nearest values on each block's own grid. */
export function ownBlocks(values: Float32Array, layout: OwnLayout): Uint8Array {
  const { rows, columns, blockSize, bits } = layout;
  const matrix = new OwnMatrix(layout);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block * blockSize < columns; block++) {
      const from = row * columns + block * blockSize;
      const part = values.subarray(from, from + Math.min(blockSize, columns - block * blockSize));
      const start = matrix.startOf(row, block);
      if (bits === 8) writeBytes(matrix, part, { row, start });
      else writeNibbles(matrix, part, { row, start });
    }
  }
  return matrix.bytes;
}

/** The block's extreme becomes ±127. */
function writeBytes(
  matrix: OwnMatrix,
  values: Float32Array,
  { row, start }: { readonly row: number; readonly start: number },
): void {
  let magnitude = 0;
  for (let index = 0; index < values.length; index++)
    magnitude = Math.max(magnitude, Math.abs(values[index]!));
  const half = floatToHalf(magnitude / 127);
  const scale = halfToFloat(half);
  matrix.scale(row, start, half);
  if (scale === 0) return;
  const inverse = 1 / scale;
  for (let index = 0; index < values.length; index++) {
    const level = Math.round(values[index]! * inverse);
    matrix.level(row, start, index, Math.max(-127, Math.min(127, level)));
  }
}

// Shares of the block's span that its grid may have: a few extremes may be clipped where that serves the many small weights.
const shares = [1, 0.9, 0.8];
const levelMax = 15;

/** The grid of least squared error among the candidates, each fitted to the levels it gave. */
function writeNibbles(
  matrix: OwnMatrix,
  values: Float32Array,
  { row, start }: { readonly row: number; readonly start: number },
): void {
  let [least, largest] = [values[0]!, values[0]!];
  for (let index = 1; index < values.length; index++) {
    const value = values[index]!;
    if (value < least) least = value;
    else if (value > largest) largest = value;
  }
  let best: HalfGrid | null = null;
  for (const share of shares) {
    const cut = ((1 - share) * (largest - least)) / 2;
    const grid = halfGrid((share * (largest - least)) / levelMax, least + cut);
    for (const candidate of [grid, fittedGrid(values, grid)]) {
      const error = squaredError(values, candidate);
      if (best === null || error < best.error) best = { ...candidate, error };
    }
    if (best!.error <= 1e-12 * (largest - least) ** 2) break; // they lay on such a grid
  }
  const { scale, offset } = best!;
  matrix.scale(row, start, floatToHalf(scale));
  matrix.offset(row, start, floatToHalf(offset));
  for (let index = 0; index < values.length; index++)
    matrix.level(row, start, index, levelOn(values[index]!, scale, offset));
}

/** Values are scale · level + offset; both are halves. */
interface Grid {
  readonly scale: number;
  readonly offset: number;
}
type HalfGrid = Grid & { readonly error: number };

function halfGrid(scale: number, offset: number): Grid {
  return { scale: halfToFloat(floatToHalf(scale)), offset: halfToFloat(floatToHalf(offset)) };
}

function levelOn(value: number, scale: number, offset: number): number {
  if (scale === 0) return 0;
  const level = Math.round((value - offset) / scale);
  return Math.max(0, Math.min(levelMax, level));
}

function squaredError(values: Float32Array, { scale, offset }: Grid): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    sum += (value - scale * levelOn(value, scale, offset) - offset) ** 2;
  }
  return sum;
}

/** The line of least squared error through the levels that `grid` gives. */
function fittedGrid(values: Float32Array, { scale, offset }: Grid): Grid {
  let [levels, squares, products, total] = [0, 0, 0, 0];
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    const level = levelOn(value, scale, offset);
    levels += level;
    squares += level * level;
    products += level * value;
    total += value;
  }
  const spread = values.length * squares - levels * levels;
  if (spread === 0) return { scale, offset };
  const slope = (values.length * products - levels * total) / spread;
  return halfGrid(slope, (total - slope * levels) / values.length);
}

/** Blocks of a file as they are: their scales and offsets are halves there. */
export function ownStoredBlocks(parts: readonly BlockQuantised[], layout: OwnLayout): Uint8Array {
  const { columns, blockSize, bits } = layout;
  const matrix = new OwnMatrix(layout);
  const blocks = columns / blockSize;
  let first = 0; // row
  for (const { data, scales, zeroPoints, offsets } of parts) {
    const rows = scales.length / blocks;
    for (let at = 0; at < scales.length; at++) {
      const block = at % blocks;
      const row = (at - block) / blocks;
      const start = matrix.startOf(first + row, block);
      matrix.scale(first + row, start, floatToHalf(scales[at]!));
      if (bits === 8) {
        for (let i = 0; i < blockSize; i++)
          matrix.level(first + row, start, i, data[at * blockSize + i]! - 128);
        continue;
      }
      const zero = () => (zeroPoints![row * Math.ceil(blocks / 2) + (block >> 1)]! >> (4 * (block & 1))) & 15;
      matrix.offset(first + row, start, floatToHalf(offsets?.[at] ?? -zero() * scales[at]!));
      for (let i = 0; i < blockSize; i++) {
        const level = (data[(at * blockSize + i) >> 1]! >> (4 * (i & 1))) & 15;
        matrix.level(first + row, start, i, level);
      }
    }
    first += rows;
  }
  return matrix.bytes;
}
