// GGUF tensor types without structure, and those of blocks of 32 values: a half-precision scale d, sometimes a
// minimum m, and 4, 5 or 8 bits a value. Each function widens whole blocks to float32. Every product below is exact
// in float32, so that storing rounds once, as the reference does. Pure. Before it: block-types.ts.
// Layouts: ggml's block_q4_0 … block_q8_0, block_iq4_nl, block_mxfp4. The low nibble of byte i is value i of its
// block, the high one value i + 16.
import { halfToFloat, widenBf16, widenF16 } from '../weights/half-floats.ts';

/** Widens whole blocks; `values` has room for exactly them. */
export type BlockDecoder = (bytes: Uint8Array, values: Float32Array) => void;

const length = 32; // values a block
const half = length / 2;

export const decodeF32: BlockDecoder = (bytes, values) => {
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(bytes);
};

export const decodeF16: BlockDecoder = (bytes, values) => widenF16(halves(bytes), bitsOf(values));

export const decodeBf16: BlockDecoder = (bytes, values) => widenBf16(halves(bytes), bitsOf(values));

/** d · (q − 8). */
export const decodeQ4_0: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 18, to += length) {
    const d = halfAt(bytes, at);
    for (let i = 0; i < half; i++) {
      const pair = bytes[at + 2 + i]!;
      values[to + i] = d * ((pair & 15) - 8);
      values[to + i + half] = d * ((pair >> 4) - 8);
    }
  }
};

/** d · q + m. */
export const decodeQ4_1: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 20, to += length) {
    const d = halfAt(bytes, at);
    const m = halfAt(bytes, at + 2);
    for (let i = 0; i < half; i++) {
      const pair = bytes[at + 4 + i]!;
      values[to + i] = d * (pair & 15) + m;
      values[to + i + half] = d * (pair >> 4) + m;
    }
  }
};

/** d · (q − 16); bit i of a 32-bit word is the fifth bit of value i. */
export const decodeQ5_0: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 22, to += length) {
    const d = halfAt(bytes, at);
    const fifth = wordAt(bytes, at + 2);
    for (let i = 0; i < half; i++) {
      const pair = bytes[at + 6 + i]!;
      values[to + i] = d * (((pair & 15) | (((fifth >>> i) & 1) << 4)) - 16);
      values[to + i + half] = d * (((pair >> 4) | (((fifth >>> (i + half)) & 1) << 4)) - 16);
    }
  }
};

/** d · q + m, the fifth bits as in Q5_0. */
export const decodeQ5_1: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 24, to += length) {
    const d = halfAt(bytes, at);
    const m = halfAt(bytes, at + 2);
    const fifth = wordAt(bytes, at + 4);
    for (let i = 0; i < half; i++) {
      const pair = bytes[at + 8 + i]!;
      values[to + i] = d * ((pair & 15) | (((fifth >>> i) & 1) << 4)) + m;
      values[to + i + half] = d * ((pair >> 4) | (((fifth >>> (i + half)) & 1) << 4)) + m;
    }
  }
};

/** d · q, q a signed byte. */
export const decodeQ8_0: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 34, to += length) {
    const d = halfAt(bytes, at);
    for (let i = 0; i < length; i++) values[to + i] = d * ((bytes[at + 2 + i]! << 24) >> 24);
  }
};

/** The sixteen levels of IQ4_NL and IQ4_XS; source: kvalues_iq4nl of ggml. */
export const iq4Levels = Int8Array.of(
  ...[-127, -104, -83, -65, -49, -35, -22, -10],
  ...[1, 13, 25, 38, 53, 69, 89, 113],
);

/** d · level(q). */
export const decodeIq4Nl: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 18, to += length) {
    writeLevels(bytes, at + 2, { values, to, scale: halfAt(bytes, at), levels: iq4Levels });
  }
};

// Twice the sixteen numbers of a 4-bit float (E2M1); source: kvalues_mxfp4 of ggml.
const mxfp4Levels = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** level(q) · 2^(e − 128): the levels are doubled, so the scale of exponent e, bias 127, is halved. */
export const decodeMxfp4: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 17, to += length) {
    writeLevels(bytes, at + 1, { values, to, scale: 2 ** (bytes[at]! - 128), levels: mxfp4Levels });
  }
};

/** 16 bytes of nibbles that name levels. */
export function writeLevels(
  bytes: Uint8Array,
  at: number,
  out: { values: Float32Array; to: number; scale: number; levels: Int8Array },
): void {
  const { values, to, scale, levels } = out;
  for (let i = 0; i < half; i++) {
    const pair = bytes[at + i]!;
    values[to + i] = scale * levels[pair & 15]!;
    values[to + i + half] = scale * levels[pair >> 4]!;
  }
}

/** A half-precision number, little endian. */
export function halfAt(bytes: Uint8Array, at: number): number {
  return halfToFloat(bytes[at]! | (bytes[at + 1]! << 8));
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** A copy where the bytes do not lie on even addresses. */
function halves(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
