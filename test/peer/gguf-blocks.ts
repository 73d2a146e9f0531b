// Weights as the GGUF tensor types that the peer benchmark compares: F32, F16, Q8_0, Q4_0. Pure arithmetic on one
// tensor at a time. Before it: gguf-model.ts; after it: gguf-file.ts. Layouts: models/gguf/small-blocks.ts, which reads
// what this writes.
import { type BlockType, blockTypes } from '../../models/gguf/block-types.ts';

export type GgmlType = 'F32' | 'F16' | 'Q8_0' | 'Q4_0';

const blockLength = 32; // values
const blockSizes = { Q8_0: typeOf('Q8_0').size, Q4_0: typeOf('Q4_0').size } as const; // bytes

/** The number in the file. */
export function ggmlTypeId(name: GgmlType): number {
  return [...blockTypes].find(([, type]) => type.name === name)![0];
}

function typeOf(name: GgmlType): BlockType {
  return blockTypes.get(ggmlTypeId(name))!;
}

/** Bytes of a tensor of `count` values. A quantised row must be whole blocks. */
export function encodedSize(type: GgmlType, count: number): number {
  const { length, size } = typeOf(type);
  if (count % length !== 0) throw new RangeError(`${count} values are not whole blocks of ${length}`);
  return (count / length) * size;
}

/** Rows need no mention: they are whole blocks, so values are just consecutive. */
export function encodeValues(type: GgmlType, values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(encodedSize(type, values.length));
  const view = new DataView(bytes.buffer);
  if (type === 'F32') bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  else if (type === 'F16') {
    for (let index = 0; index < values.length; index++)
      view.setUint16(2 * index, toHalf(values[index]!), true);
  } else if (type === 'Q8_0') encodeBytes(values, bytes, view);
  else encodeNibbles(values, bytes, view);
  return bytes;
}

/** Scale: the block's largest magnitude is level 127. Levels are rounded half away from zero. */
function encodeBytes(values: Float32Array, bytes: Uint8Array, view: DataView): void {
  for (let start = 0, at = 0; start < values.length; start += blockLength, at += blockSizes.Q8_0) {
    const scale = Math.abs(extremeOf(values, start)) / 127;
    const inverse = scale === 0 ? 0 : 1 / scale;
    view.setUint16(at, toHalf(scale), true);
    for (let index = 0; index < blockLength; index++) {
      const level = values[start + index]! * inverse;
      bytes[at + 2 + index] = level < 0 ? level - 0.5 : level + 0.5; // truncated, modulo 256: two's complement
    }
  }
}

/** Scale: the block's extreme, with its sign, is level −8, so that both of its sides are used. */
function encodeNibbles(values: Float32Array, bytes: Uint8Array, view: DataView): void {
  for (let start = 0, at = 0; start < values.length; start += blockLength, at += blockSizes.Q4_0) {
    const scale = extremeOf(values, start) / -8;
    const inverse = scale === 0 ? 0 : 1 / scale;
    view.setUint16(at, toHalf(scale), true);
    for (let index = 0; index < blockLength / 2; index++) {
      const low = nibble(values[start + index]! * inverse);
      const high = nibble(values[start + index + blockLength / 2]! * inverse);
      bytes[at + 2 + index] = low | (high << 4);
    }
  }
}

function nibble(level: number): number {
  return Math.min(15, (level + 8.5) | 0);
}

/** The value of the largest magnitude among 32, with its sign. */
function extremeOf(values: Float32Array, start: number): number {
  let extreme = 0;
  for (let index = start; index < start + blockLength; index++) {
    const value = values[index]!;
    if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  }
  return extreme;
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** IEEE 754 binary16 of a number, rounded to nearest, ties to even; too large becomes infinite. */
export function toHalf(value: number): number {
  scratch[0] = value;
  const bits = scratchBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to 65,536
  if (magnitude < 0x38800000) {
    // Subnormal: units of 2⁻²⁴; the multiplication is exact, rounding ties to even follows by hand.
    const units = Math.abs(scratch[0]!) * 2 ** 24;
    const floor = Math.floor(units);
    const rest = units - floor;
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && (floor & 1) === 1) ? 1 : 0));
  }
  const rebiased = magnitude - 0x38000000; // exponent bias 127 → 15
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
}
