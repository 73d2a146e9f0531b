// 16-bit floats as they lie in weight files, widened exactly to float32: IEEE 754 binary16 and bfloat16. Pure.
// Used by safetensors.ts and gguf/.

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The float32 of binary16 bits; every value, subnormal, infinity and NaN included, is exact. */
export function halfToFloat(half: number): number {
  scratchBits[0] = widenedBits(half);
  return scratch[0]!;
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
