// The GGUF container, version 3: header, typed metadata, tensor directory, aligned data. Writes tensor by tensor, so
// that no more than one is in memory. Knows nothing of models. Before it: gguf-model.ts.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { encodedSize, encodeValues, type GgmlType, ggmlTypeId } from './gguf-blocks.ts';

export type MetadataValue =
  | { readonly kind: 'uint32' | 'int32' | 'float32'; readonly value: number }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'int32s'; readonly value: readonly number[] };

export interface GgufTensor {
  readonly name: string;
  readonly shape: readonly number[]; // row-major, as in the checkpoint; the file lists the fastest dimension first
  readonly type: GgmlType;
  readonly read: () => Float32Array; // called once, when the tensor is written
}

const magic = 'GGUF';
const version = 3;
const alignment = 32; // bytes; the format's default, told to readers as general.alignment all the same

// Source: enum gguf_type.
const kindIds = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

/** Writes beside `path` first and renames, so that a file of this name is whole. */
export function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, MetadataValue>,
  tensors: readonly GgufTensor[],
): void {
  const partial = `${path}.partial`;
  const file = openSync(partial, 'w');
  try {
    const header = encodeHeader(metadata, tensors);
    let position = writeAll(file, header);
    position += writeAll(file, new Uint8Array(alignUp(position) - position));
    for (const tensor of tensors) {
      const values = tensor.read();
      if (values.length !== countOf(tensor)) {
        throw new Error(`tensor ${tensor.name} has ${values.length} values, its shape ${countOf(tensor)}`);
      }
      position += writeAll(file, encodeValues(tensor.type, values));
      position += writeAll(file, new Uint8Array(alignUp(position) - position));
    }
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(partial, path);
}

/** Everything before the data. Offsets count from the start of the data. */
function encodeHeader(
  metadata: ReadonlyMap<string, MetadataValue>,
  tensors: readonly GgufTensor[],
): Uint8Array {
  const out = new ByteSink();
  out.bytes(new TextEncoder().encode(magic));
  out.uint32(version);
  out.uint64(tensors.length);
  out.uint64(metadata.size + 1);
  writeEntry(out, 'general.alignment', { kind: 'uint32', value: alignment });
  for (const [key, value] of metadata) writeEntry(out, key, value);
  let offset = 0;
  for (const tensor of tensors) {
    out.string(tensor.name);
    out.uint32(tensor.shape.length);
    for (const size of tensor.shape.toReversed()) out.uint64(size);
    out.uint32(ggmlTypeId(tensor.type));
    out.uint64(offset);
    offset = alignUp(offset + encodedSize(tensor.type, countOf(tensor)));
  }
  return out.take();
}

function writeEntry(out: ByteSink, key: string, entry: MetadataValue): void {
  out.string(key);
  switch (entry.kind) {
    case 'strings':
      out.uint32(kindIds.array);
      out.uint32(kindIds.string);
      out.uint64(entry.value.length);
      for (const text of entry.value) out.string(text);
      return;
    case 'int32s':
      out.uint32(kindIds.array);
      out.uint32(kindIds.int32);
      out.uint64(entry.value.length);
      for (const value of entry.value) out.int32(value);
      return;
    default:
      out.uint32(kindIds[entry.kind]);
      if (entry.kind === 'string') out.string(entry.value);
      else if (entry.kind === 'bool') out.bytes(Uint8Array.of(entry.value ? 1 : 0));
      else if (entry.kind === 'float32') out.float32(entry.value);
      else if (entry.kind === 'int32') out.int32(entry.value);
      else out.uint32(entry.value);
  }
}

function countOf({ shape }: GgufTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

function alignUp(offset: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

function writeAll(file: number, bytes: Uint8Array): number {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
  return bytes.length;
}

/** Little-endian bytes that grow. */
class ByteSink {
  #buffer = new Uint8Array(1 << 16);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  uint32(value: number): void {
    const at = this.#room(4); // first: it may change the view
    this.#view.setUint32(at, value, true);
  }

  int32(value: number): void {
    const at = this.#room(4); // first: it may change the view
    this.#view.setInt32(at, value, true);
  }

  float32(value: number): void {
    const at = this.#room(4); // first: it may change the view
    this.#view.setFloat32(at, value, true);
  }

  uint64(value: number): void {
    const at = this.#room(8); // first: it may change the view
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#buffer.set(bytes, at);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.uint64(bytes.length);
    this.bytes(bytes);
  }

  take(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  /** Where the next `size` bytes begin; makes room for them. */
  #room(size: number): number {
    const start = this.#length;
    this.#length += size;
    if (this.#length > this.#buffer.length) {
      const grown = new Uint8Array(2 * this.#length);
      grown.set(this.#buffer.subarray(0, start));
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    }
    return start;
  }
}
