// Weights as small integers with one scale per block, in the layout of ONNX Runtime's MatMulNBits and
// GatherBlockQuantized: 8 bits about a zero in the middle, 4 bits about a zero point of each block's own.
// Pure arithmetic on one matrix at a time. Before it: block-arithmetic.ts.
import type { Bits, BlockQuantised } from '../weights/weights.ts';

interface Layout {
  readonly columns: number;
  readonly blockSize: number;
  readonly bits: Bits;
}

/** Nearest values; the last block of a row is padded with zeros when `blockSize` does not divide `columns`. */
export function quantiseBlocks(values: Float32Array, layout: Layout): BlockQuantised {
  return layout.bits === 8 ? quantiseBytes(values, layout) : quantiseNibbles(values, layout);
}

const middle = 128;

/** The block's extreme becomes ±127. */
function quantiseBytes(values: Float32Array, { columns, blockSize }: Layout): BlockQuantised {
  const rows = values.length / columns;
  const blocks = Math.ceil(columns / blockSize);
  const data = new Uint8Array(rows * blocks * blockSize).fill(middle);
  const scales = new Float32Array(rows * blocks);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    const rowEnd = (row + 1) * columns;
    for (let start = row * columns; start < rowEnd; start += blockSize, at++) {
      const end = Math.min(start + blockSize, rowEnd);
      let magnitude = 0;
      for (let index = start; index < end; index++) magnitude = Math.max(magnitude, Math.abs(values[index]!));
      const scale = Math.fround(magnitude / 127);
      const inverse = scale === 0 ? 0 : 1 / scale;
      scales[at] = scale;
      const to = at * blockSize - start;
      // Within ±127 about the middle, so positive: what is stored is cut off to an integer, after + ½ the nearest.
      for (let index = start; index < end; index++)
        data[to + index] = values[index]! * inverse + middle + 0.5;
    }
  }
  return { data, scales, zeroPoints: null };
}

function quantiseNibbles(values: Float32Array, { columns, blockSize }: Layout): BlockQuantised {
  const rows = values.length / columns;
  const blocks = Math.ceil(columns / blockSize);
  const data = new Uint8Array((rows * blocks * blockSize) / 2);
  const scales = new Float32Array(rows * blocks);
  const zeroRow = Math.ceil(blocks / 2); // bytes
  const zeroPoints = new Uint8Array(rows * zeroRow);
  for (let at = 0; at < rows * blocks; at++) {
    const source = blockAt(values, at, { columns, blockSize, blocks });
    const { scale, zero } = nearestGrid(source);
    const inverse = scale === 0 ? 0 : 1 / scale;
    const block = at % blocks;
    scales[at] = scale;
    zeroPoints[((at - block) / blocks) * zeroRow + (block >> 1)]! |= zero << (4 * (block & 1));
    for (let index = 0; index < blockSize; index++) {
      const nibble = index < source.length ? level(source[index]! * inverse + zero, 15) : zero;
      data[(at * blockSize + index) >> 1]! |= nibble << (4 * (index & 1));
    }
  }
  return { data, scales, zeroPoints };
}

function blockAt(
  values: Float32Array,
  at: number,
  { columns, blockSize, blocks }: { columns: number; blockSize: number; blocks: number },
): Float32Array {
  const block = at % blocks;
  const start = ((at - block) / blocks) * columns + block * blockSize;
  return values.subarray(start, Math.min(start + blockSize, start + columns - block * blockSize));
}

/** Rounded to an integer within 0 … max. What is added first makes it positive, so that `| 0` rounds to nearest. */
function level(value: number, max: number): number {
  const rounded = ((value + 0.5 + max) | 0) - max;
  return rounded < 0 ? 0 : Math.min(rounded, max);
}

/** Values are scale · (level − zero), levels 0 … 15. */
interface Grid {
  readonly scale: number;
  readonly zero: number;
}

// Candidates for the distance of neighbours, as a share of the one that spans the block from its least to its largest:
// a few extremes may be clipped where that serves the many small weights.
const shares = [1, 0.9, 0.8];
const refinements = 2;

/** Of least squared error among the candidates, its scale then fitted to the levels it gave. */
function nearestGrid(block: Float32Array): Grid {
  // The grid of Q4_0, so that weights which were once on it keep their values.
  let scale = Math.fround(extremeOf(block) / -8);
  let zero = 8;
  let error = squaredError(block, scale, zero, Number.POSITIVE_INFINITY);
  let [least, largest] = [0, 0]; // zero stays a level: it is where the padding and most of the weights are
  for (let index = 0; index < block.length; index++) {
    const value = block[index]!;
    if (value < least) least = value;
    else if (value > largest) largest = value;
  }
  if (error <= 1e-12 * (largest - least) ** 2) return { scale, zero };
  const wholeZero = (-15 * least) / (largest - least);
  const lowZero = Math.floor(wholeZero);
  const highZero = Math.ceil(wholeZero);
  for (let at = 0; at < 2 * shares.length; at++) {
    const candidate = Math.fround(((largest - least) * shares[at >> 1]!) / 15);
    const candidateZero = at % 2 === 0 ? lowZero : highZero;
    const own = squaredError(block, candidate, candidateZero, error);
    if (own < error) [scale, zero, error] = [candidate, candidateZero, own];
  }
  for (let round = 0; round < refinements; round++) {
    const fitted = fittedScale(block, { scale, zero });
    const own = squaredError(block, fitted, zero, error);
    if (own >= error) break;
    [scale, error] = [fitted, own];
  }
  return { scale, zero };
}

const stride = 8; // values between two looks at the bound

/** Of the values on that grid; as soon as it is seen to reach `bound`, what it has come to, for it is not wanted any more. */
function squaredError(block: Float32Array, scale: number, zero: number, bound: number): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let sum = 0;
  for (let start = 0; start < block.length && sum < bound; start += stride) {
    const end = Math.min(start + stride, block.length);
    for (let index = start; index < end; index++) {
      const value = block[index]!;
      const difference = value - (level(value * inverse + zero, 15) - zero) * scale;
      sum += difference * difference;
    }
  }
  return sum;
}

/** The scale of least squared error for the levels that `grid` gives. */
function fittedScale(block: Float32Array, { scale, zero }: Grid): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let [product, square] = [0, 0];
  for (let index = 0; index < block.length; index++) {
    const value = block[index]!;
    const step = level(value * inverse + zero, 15) - zero;
    product += step * value;
    square += step * step;
  }
  return square === 0 ? 0 : Math.fround(product / square);
}

/** The value of the largest magnitude, with its sign. */
function extremeOf(block: Float32Array): number {
  let extreme = 0;
  for (let index = 0; index < block.length; index++) {
    const value = block[index]!;
    if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  }
  return extreme;
}
