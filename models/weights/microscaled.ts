// MXFP4: blocks of 32 values of 4 bits (E2M1) with a power of two each, as gpt-oss publishes its experts. Twice a value is
// an integer within ±12, so that a kernel of 8 bits computes with exactly these numbers. Pure. Before it: safetensors.ts;
// after it: checkpoint/checkpoint.ts. Source: OCP Microscaling Formats, 1.0.
import type { BlockQuantised, StoredLayout } from './weights.ts';

const length = 32; // values a block
const doubles = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]; // of each level's value
const middle = 128; // of the kernel's levels

export const microscaledLayout: StoredLayout = { bits: 8, blockSize: length };

/** `bytes`: two values each, the low half first; `exponents`: one for each 16 bytes, about 127. */
export function levelsOf(bytes: Uint8Array, exponents: Uint8Array): BlockQuantised {
  const data = new Uint8Array(bytes.length * 2);
  for (let at = 0; at < bytes.length; at++) {
    data[2 * at] = middle + doubles[bytes[at]! & 15]!;
    data[2 * at + 1] = middle + doubles[bytes[at]! >> 4]!;
  }
  const scales = Float32Array.from(exponents, (exponent) => 2 ** (exponent - 127 - 1)); // half: levels are doubled
  return { data, scales, zeroPoints: null };
}

export function widened({ data, scales }: BlockQuantised): Float32Array {
  return Float32Array.from(data, (level, at) => (level - middle) * scales[Math.floor(at / length)]!);
}
