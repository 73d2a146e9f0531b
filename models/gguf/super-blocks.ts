// GGUF tensor types of 256 values in groups of 16 or 32 with scales of their own: the K types and IQ4_XS. Each function
// widens whole blocks to float32; sums are rounded once, as in the reference. Pure. Before it: block-types.ts.
// Layouts: ggml's block_q2_K … block_q6_K, block_iq4_xs.
import type { BlockQuantised } from '../weights/weights.ts';
import { type BlockDecoder, halfAt, iq4Levels, writeLevels } from './small-blocks.ts';

const length = 256; // values a block

/**
 * 16 bytes of 4-bit scale and minimum, 64 bytes of values, d, dmin: d · scale · q − dmin · minimum for groups of 16.
 * A byte holds the values 0, 32, 64, 96 further on of its half of the block, two bits each.
 */
export const decodeQ2K: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 84, to += length) {
    const d = halfAt(bytes, at + 80);
    const dmin = halfAt(bytes, at + 82);
    for (let group = 0; group < 16; group++) {
      const packed = bytes[at + group]!;
      const scale = d * (packed & 15);
      const minimum = dmin * (packed >> 4);
      const from = at + 16 + (group >> 3) * 32 + (group & 1) * 16;
      const shift = ((group >> 1) & 3) * 2;
      const start = to + group * 16;
      for (let i = 0; i < 16; i++) values[start + i] = scale * ((bytes[from + i]! >> shift) & 3) - minimum;
    }
  }
};

/**
 * 32 bytes of third bits, 64 of two bits (as in Q2_K), 12 of sixteen 6-bit scales, d: d · (scale − 32) · q, where q is
 * 4 less unless its third bit is set.
 */
export const decodeQ3K: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 110, to += length) {
    const d = halfAt(bytes, at + 108);
    for (let group = 0; group < 16; group++) {
      const low = bytes[at + 96 + (group & 7)]! >> (group < 8 ? 0 : 4);
      const high = bytes[at + 104 + (group & 3)]! >> (2 * (group >> 2));
      const scale = d * (((low & 15) | ((high & 3) << 4)) - 32);
      const within = (group & 1) * 16;
      const from = at + 32 + (group >> 3) * 32 + within;
      const shift = ((group >> 1) & 3) * 2;
      const third = group >> 1; // bit of the mask's bytes
      const start = to + group * 16;
      for (let i = 0; i < 16; i++) {
        const lacking = ((bytes[at + within + i]! >> third) & 1) === 0 ? 4 : 0;
        values[start + i] = scale * (((bytes[from + i]! >> shift) & 3) - lacking);
      }
    }
  }
};

/** d, dmin, 12 bytes of scales, 128 of values: d · scale · q − dmin · minimum for groups of 32. */
export const decodeQ4K: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 144, to += length) {
    const d = halfAt(bytes, at);
    const dmin = halfAt(bytes, at + 2);
    for (let group = 0; group < 8; group++) {
      const scale = d * scaleOf(bytes, at + 4, group);
      const minimum = dmin * minimumOf(bytes, at + 4, group);
      const from = at + 16 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      const start = to + group * 32;
      for (let i = 0; i < 32; i++) values[start + i] = scale * ((bytes[from + i]! >> shift) & 15) - minimum;
    }
  }
};

/** The same as blocks of 32 with a scale and an offset each. */
export function blocksOfQ4K(bytes: Uint8Array): BlockQuantised {
  const blockCount = (bytes.length / 144) * 8;
  const data = new Uint8Array(blockCount * 16);
  const [scales, offsets] = [new Float32Array(blockCount), new Float32Array(blockCount)];
  for (let block = 0; block < blockCount; block++) {
    const group = block & 7;
    const at = (block >> 3) * 144;
    scales[block] = halfAt(bytes, at) * scaleOf(bytes, at + 4, group);
    offsets[block] = -halfAt(bytes, at + 2) * minimumOf(bytes, at + 4, group);
    const from = at + 16 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let i = 0; i < 32; i += 2) {
      const pair = ((bytes[from + i]! >> shift) & 15) | (((bytes[from + i + 1]! >> shift) & 15) << 4);
      data[block * 16 + (i >> 1)] = pair;
    }
  }
  return { data, scales, zeroPoints: null, offsets };
}

/** As Q4_K with 32 bytes of fifth bits before the values: bit g of byte i is of value i of group g. */
export const decodeQ5K: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 176, to += length) {
    const d = halfAt(bytes, at);
    const dmin = halfAt(bytes, at + 2);
    for (let group = 0; group < 8; group++) {
      const scale = d * scaleOf(bytes, at + 4, group);
      const minimum = dmin * minimumOf(bytes, at + 4, group);
      const from = at + 48 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      const start = to + group * 32;
      for (let i = 0; i < 32; i++) {
        const fifth = ((bytes[at + 16 + i]! >> group) & 1) << 4;
        values[start + i] = scale * (((bytes[from + i]! >> shift) & 15) | fifth) - minimum;
      }
    }
  }
};

/** The 6-bit scale of a group of 32 in Q4_K and Q5_K: the last four are in pieces. */
function scaleOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group]! & 63;
  return (bytes[at + 4 + group]! & 15) | ((bytes[at + group - 4]! >> 2) & 0x30);
}

function minimumOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + 4 + group]! & 63;
  return (bytes[at + 4 + group]! >> 4) | ((bytes[at + group]! >> 2) & 0x30);
}

/**
 * 128 bytes of low nibbles, 64 of two high bits, 16 signed scales, d: d · scale · (q − 32) for groups of 16. Each half of
 * the block has 64 bytes of nibbles (first the low ones: values 0 to 63) and 32 of high bits (four values a byte).
 */
export const decodeQ6K: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 210, to += length) {
    const d = halfAt(bytes, at + 208);
    for (let group = 0; group < 16; group++) {
      const scale = d * ((bytes[at + 192 + group]! << 24) >> 24);
      const side = group >> 3;
      const quarter = (group >> 1) & 3; // of the half: 32 values
      const within = (group & 1) * 16;
      const lowAt = at + side * 64 + (quarter & 1) * 32 + within;
      const highAt = at + 128 + side * 32 + within;
      const lowShift = (quarter >> 1) * 4;
      const start = to + group * 16;
      for (let i = 0; i < 16; i++) {
        const low = (bytes[lowAt + i]! >> lowShift) & 15;
        const high = (bytes[highAt + i]! >> (2 * quarter)) & 3;
        values[start + i] = scale * ((low | (high << 4)) - 32);
      }
    }
  }
};

/** d, 16 bits of high scale bits, 4 bytes of low ones, 128 of levels: d · (scale − 32) · level(q) for groups of 32. */
export const decodeIq4Xs: BlockDecoder = (bytes, values) => {
  for (let at = 0, to = 0; to < values.length; at += 136, to += length) {
    const d = halfAt(bytes, at);
    const highBits = bytes[at + 2]! | (bytes[at + 3]! << 8);
    for (let group = 0; group < 8; group++) {
      const low = (bytes[at + 4 + (group >> 1)]! >> ((group & 1) * 4)) & 15;
      const high = (highBits >> (2 * group)) & 3;
      const scale = d * ((low | (high << 4)) - 32);
      writeLevels(bytes, at + 8 + group * 16, { values, to: to + group * 32, scale, levels: iq4Levels });
    }
  }
};
