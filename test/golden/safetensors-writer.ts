// Writes safetensors files for tests: well-formed ones from values, and any bytes at all from a raw header.
import { writeFileSync } from 'node:fs';

export interface RawTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A float tensor as raw little-endian bytes; BF16 keeps the upper half of each float32 (truncated). */
export function floatTensor(
  name: string,
  tensor: { shape: readonly number[]; values: Float32Array; dtype: 'F32' | 'BF16' },
): RawTensor {
  const { shape, values, dtype } = tensor;
  if (dtype === 'F32') return { name, dtype, shape, bytes: new Uint8Array(values.slice().buffer) };
  const upper = Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16);
  return { name, dtype, shape, bytes: new Uint8Array(upper.buffer) };
}

/** A well-formed file, tensors in the given order without holes. */
export function writeSafetensors(path: string, tensors: readonly RawTensor[]): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  const data = tensors.map(({ bytes }) => bytes);
  writeFileSync(path, safetensorsBytes(JSON.stringify(header), Buffer.concat(data)));
}

/** Length, header text, data: nothing is checked. */
export function safetensorsBytes(header: string, data: Uint8Array): Buffer {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}
