// Weights as small integers with one scale per block, in the layout of ONNX Runtime's MatMulNBits and
// GatherBlockQuantized. Pure arithmetic on one matrix at a time. Before it: precision.ts.

export type Bits = 4 | 8;

export interface BlockQuantised {
  readonly data: Uint8Array; // [rows, blocks, blockSize · bits / 8], zero point 2^(bits − 1); low nibble first
  readonly scales: Float32Array; // [rows, blocks]
}

/** Symmetric, nearest; the last block of a row is padded with zeros when `blockSize` does not divide `columns`. */
export function quantiseBlocks(
  values: Float32Array, // [rows, columns]
  { columns, blockSize, bits }: { readonly columns: number; readonly blockSize: number; readonly bits: Bits },
): BlockQuantised {
  const rows = values.length / columns;
  const blocks = Math.ceil(columns / blockSize);
  const data = new Uint8Array((rows * blocks * blockSize * bits) / 8);
  const scales = new Float32Array(rows * blocks);
  const zero = 2 ** (bits - 1);
  if (bits === 8) data.fill(zero);
  else data.fill(zero | (zero << 4));
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * columns + block * blockSize;
      const source = values.subarray(start, Math.min(start + blockSize, (row + 1) * columns));
      const at = row * blocks + block;
      const scale = bits === 8 ? scale8(source) : scale4(source);
      scales[at] = scale;
      writeBlock(source, { scale, bits, target: data, offset: at * blockSize });
    }
  }
  return { data, scales };
}

function writeBlock(
  source: Float32Array,
  to: { readonly scale: number; readonly bits: Bits; readonly target: Uint8Array; readonly offset: number },
): void {
  const zero = 2 ** (to.bits - 1);
  const inverse = to.scale === 0 ? 0 : 1 / to.scale;
  for (let index = 0; index < source.length; index++) {
    const value = quantised(source[index]! * inverse, zero) + zero;
    const at = to.offset + index;
    if (to.bits === 8) to.target[at] = value;
    else {
      const shift = (at & 1) * 4;
      to.target[at >> 1] = (to.target[at >> 1]! & (0xf0 >> shift)) | (value << shift);
    }
  }
}

/** Nearest level in [−zero, zero): the shift makes it positive, so that truncation (`| 0`) rounds to nearest. */
function quantised(level: number, zero: number): number {
  const rounded = ((level + 0.5 + 2 * zero) | 0) - 2 * zero;
  return rounded < -zero ? -zero : rounded >= zero ? zero - 1 : rounded;
}

function scale8(block: Float32Array): number {
  return Math.fround(Math.abs(extremeOf(block)) / 127);
}

// Candidates for the 4-bit scale, as a share of the one that maps the block's extreme to −8: the extreme may be
// clipped a little where that serves the many small weights.
const shares4 = [1, 0.95, 0.9, 0.85, 0.8, 0.75, 1.07];

/** The candidate with the least squared error. */
function scale4(block: Float32Array): number {
  const extreme = extremeOf(block);
  let best = 0;
  let bestError = Number.POSITIVE_INFINITY;
  for (const share of shares4) {
    const scale = Math.fround((extreme * share) / -8);
    const error = squaredError(block, scale);
    if (error < bestError) [best, bestError] = [scale, error];
  }
  return best;
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

function squaredError(block: Float32Array, scale: number): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let sum = 0;
  for (let index = 0; index < block.length; index++) {
    const value = block[index]!;
    const difference = value - quantised(value * inverse, 8) * scale;
    sum += difference * difference;
  }
  return sum;
}
