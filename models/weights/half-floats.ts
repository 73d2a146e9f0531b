// 16-bit floats as they lie in weight files, widened exactly to float32: IEEE 754 binary16 and bfloat16; and the nearest binary16
// of a float. Pure. Used by safetensors.ts, gguf/ and graph/own-arithmetic.ts.

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The float32 of binary16 bits; every value, subnormal, infinity and NaN included, is exact. */
export function halfToFloat(half: number): number {
  scratchBits[0] = widenedBits(half);
  return scratch[0]!;
}

/** The bits of the nearest binary16, ties to even; beyond 65,504 an infinity. */
export function floatToHalf(value: number): number {
  scratch[0] = value;
  const sign = (scratchBits[0]! >>> 16) & 0x8000;
  const magnitude = scratchBits[0]! & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // no number
  if (magnitude >= 0x38800000) {
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | Math.min((rounded - 0x38000000) >>> 13, 0x7c00);
  }
  const scaled = Math.abs(scratch[0]!) * 2 ** 24; // subnormal: a multiple of 2⁻²⁴
  const low = Math.floor(scaled);
  const rest = scaled - low;
  return sign | (low + (rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? 1 : 0));
}

/** `to` holds float32 bits. */
export function widenF16(from: Uint16Array, to: Uint32Array): void {
  for (let i = 0; i < from.length; i++) to[i] = widenedBits(from[i]!);
}

/** `to` holds float32 bits. */
export function widenBf16(from: Uint16Array, to: Uint32Array): void {
  for (let i = 0; i < from.length; i++) to[i] = from[i]! << 16;
}

function widenedBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) {
    scratch[0] = mantissa * 2 ** -24; // Zero or subnormal: exact in float32.
    return sign | scratchBits[0]!;
  }
  const exponent32 = exponent === 31 ? 255 : exponent + 112; // Bias 15 → 127; 31 is infinity or NaN.
  return sign | (exponent32 << 23) | (mantissa << 13);
}
