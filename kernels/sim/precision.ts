// Number formats of weights and KV, and what one element of each takes, block scales included. Arithmetic only.
// Read by shapes.ts and the chips.

export type SimPrecision = 'fp16' | 'bf16' | 'fp8' | 'int8' | 'int4' | 'nvfp4' | 'mxfp4';

export const PRECISIONS = [
  'fp16',
  'bf16',
  'fp8',
  'int8',
  'int4',
  'nvfp4',
  'mxfp4',
] as const satisfies readonly SimPrecision[];

export type SimKvPrecision = 'fp16' | 'fp8' | 'fp4';

export const KV_PRECISIONS: readonly SimKvPrecision[] = ['fp16', 'fp8', 'fp4'];

// Bytes of one weight.
const bytes: Readonly<Record<SimPrecision, number>> = {
  fp16: 2,
  bf16: 2,
  fp8: 1,
  int8: 1.125, // weights only, blocks of 32 with a scale of 32 bits: this server's
  int4: 0.5 * 1.0625, // weights only; one fp16 scale per 128 and a zero point: + 6.25 %; layout of GPTQ/AWQ group 128
  nvfp4: (4 + 8 / 16) / 8, // one fp8 scale per 16; NVIDIA's NVFP4
  mxfp4: (4 + 8 / 32) / 8, // one 8-bit exponent per 32; OCP Microscaling Formats 1.0
};

/** Where a weight lies: routed experts and whole dense layers, what a mixture's layers share, or the vocabulary. */
export type WeightPart = 'expert' | 'common' | 'vocabulary';

/**
 * Bytes of one weight. Published 4-bit checkpoints keep some parts in 16 bits: MXFP4 (gpt-oss) all but the experts,
 * NVFP4 (ModelOpt) the vocabulary.
 */
export function weightBytes(precision: SimPrecision, part: WeightPart = 'expert'): number {
  const wide =
    (precision === 'mxfp4' && part !== 'expert') || (precision === 'nvfp4' && part === 'vocabulary');
  return wide ? bytes.bf16 : bytes[precision];
}

/** The KV format that goes with the weights' unless stated: published fp8 and NVFP4 checkpoints keep fp8 KV. */
export function kvPrecisionOf(precision: SimPrecision): SimKvPrecision {
  return precision === 'fp8' || precision === 'nvfp4' ? 'fp8' : 'fp16';
}

/** Bytes of one KV element. */
export function kvElementBytes(precision: SimKvPrecision): number {
  return { fp16: 2, fp8: 1, fp4: bytes.nvfp4 }[precision];
}
