// One safetensors file: a checked header and lazily read tensors. Owns the format's bounds (header size, offsets,
// overlap, shape against bytes) and the decoding of F32, F16 and BF16; it never holds more than one tensor and
// never trusts a number from the file. Before it: the disk; after it: checkpoint/checkpoint.ts.
// Format: https://huggingface.co/docs/safetensors (8-byte length, JSON header, one buffer without holes).
import { fstatSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { z } from 'zod';
import { findDuplicateKey } from '../files/json-keys.ts';
import { isLfsPointer, lfsProblem } from '../files/lfs-pointer.ts';
import { CheckpointError } from '../files/model-file.ts';
import { withFile } from '../files/regular-file.ts';
import { widenBf16, widenF16 } from './half-floats.ts';
import type { TensorRows } from './stored-tensors.ts';

const lengthSize = 8; // bytes, little-endian unsigned
// The format allows 100 MB, which take gigabytes once they are objects; files of 700 GB have heads of some 10 MB.
const headerSizeMax = 2 ** 24; // bytes
const tensorCountMax = 2 ** 16;
const chunkSize = 1 << 24; // bytes read and decoded at a time, so that no tensor is held twice

const dtypeSizes: ReadonlyMap<string, number> = new Map([
  ['BOOL', 1],
  ['U8', 1],
  ['I8', 1],
  ['F8_E4M3', 1],
  ['F8_E5M2', 1],
  ['U16', 2],
  ['I16', 2],
  ['F16', 2],
  ['BF16', 2],
  ['U32', 4],
  ['I32', 4],
  ['F32', 4],
  ['U64', 8],
  ['I64', 8],
  ['F64', 8],
]);

const size = z.int().nonnegative();
const headerSchema = z.record(
  z.string(),
  z.strictObject({ dtype: z.string(), shape: z.array(size).max(8), data_offsets: z.tuple([size, size]) }),
);

export interface TensorEntry {
  readonly dtype: string; // a key of dtypeSizes; only F32, F16 and BF16 can be read
  readonly shape: readonly number[]; // row-major; [] is a scalar
  readonly offset: number; // bytes from the start of the file
  readonly size: number; // bytes, = product of the shape × size of the dtype
}

export interface SafetensorsFile {
  readonly path: string;
  readonly fileSize: number; // bytes, when the header was read
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** True for the dtypes that readTensor decodes. */
export function isReadableDtype(dtype: string): boolean {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

/** Reads and checks the header only; no tensor is touched. Throws CheckpointError. */
export function openSafetensors(path: string): SafetensorsFile {
  return withFile(path, (fd) => {
    const fileSize = fstatSync(fd).size;
    if (fileSize < lengthSize) throw new CheckpointError(`${fileSize} bytes are too few`, { file: path });
    const lengthBytes = new Uint8Array(lengthSize);
    readFully(fd, lengthBytes, { file: path, offset: 0 });
    if (isLfsPointer(lengthBytes)) throw new CheckpointError(lfsProblem, { file: path });
    const headerLength = new DataView(lengthBytes.buffer).getBigUint64(0, true);
    if (headerLength > BigInt(headerSizeMax)) {
      throw new CheckpointError(`header of ${headerLength} bytes exceeds ${headerSizeMax}`, { file: path });
    }
    const headerSize = Number(headerLength);
    const dataStart = lengthSize + headerSize;
    if (dataStart > fileSize) {
      throw new CheckpointError(`header ends at byte ${dataStart} of ${fileSize}`, { file: path });
    }
    const header = new Uint8Array(headerSize);
    readFully(fd, header, { file: path, offset: lengthSize });
    return { path, fileSize, tensors: checkHeader(path, header, { dataStart, fileSize }) };
  });
}

/**
 * One tensor as float32, row-major; F16 and BF16 are widened exactly. Throws CheckpointError when the tensor is
 * unknown, has another dtype, or the file has changed since it was opened.
 */
export function readTensor(
  file: SafetensorsFile,
  tensor: string,
  rows: TensorRows | null = null, // null: all
): Float32Array {
  const entry = rowsOf(file, tensor, rows);
  if (!isReadableDtype(entry.dtype)) {
    throw new CheckpointError(`dtype ${entry.dtype} is not one of F32, F16, BF16`, {
      file: file.path,
      field: tensor,
    });
  }
  // Typed arrays below alias the file's little-endian bytes.
  if (endianness() !== 'LE') throw new CheckpointError('this machine is big-endian', { file: file.path });
  const values = withUnchanged(file, (fd) =>
    entry.dtype === 'F32' ? readF32(fd, file.path, entry) : readHalf(fd, file.path, entry),
  );
  return rows === null ? values : everyStep(values, rows);
}

/** The bytes of a tensor of type U8, or of some of its rows. Throws CheckpointError. */
export function readBytes(file: SafetensorsFile, tensor: string, rows: TensorRows): Uint8Array {
  const entry = rowsOf(file, tensor, rows);
  const bytes = new Uint8Array(entry.size);
  withUnchanged(file, (fd) => readFully(fd, bytes, { file: file.path, offset: entry.offset }));
  return everyStep(bytes, rows);
}

/** As if the tensor were those of its rows that lie between the first and the last wanted one. */
function rowsOf(file: SafetensorsFile, tensor: string, rows: TensorRows | null): TensorEntry {
  const entry = file.tensors.get(tensor);
  if (!entry) throw new CheckpointError('not in this file', { file: file.path, field: tensor });
  if (rows === null) return entry;
  const rowSize = entry.size / rows.of;
  const count = (rows.count - 1) * (rows.step ?? 1) + 1;
  return { ...entry, offset: entry.offset + rows.start * rowSize, size: count * rowSize };
}

function everyStep<T extends Float32Array | Uint8Array>(values: T, { count, step = 1 }: TensorRows): T {
  if (step === 1) return values;
  const width = values.length / ((count - 1) * step + 1);
  for (let row = 1; row < count; row++)
    values.copyWithin(row * width, row * step * width, (row * step + 1) * width);
  return values.slice(0, count * width) as T;
}

function withUnchanged<T>(file: SafetensorsFile, read: (fd: number) => T): T {
  return withFile(file.path, (fd) => {
    if (fstatSync(fd).size !== file.fileSize) {
      throw new CheckpointError('the file has changed size since its header was read', { file: file.path });
    }
    return read(fd);
  });
}

interface PlacedTensor {
  readonly file: SafetensorsFile;
  readonly name: string;
}

/**
 * Whether two tensors have the same shape and, where their dtypes are the same, the same bytes: read piece by piece, up to
 * the first difference. Other dtypes are compared as float32. Throws CheckpointError.
 */
export function sameTensors(a: PlacedTensor, b: PlacedTensor): boolean {
  const [left, right] = [a.file.tensors.get(a.name), b.file.tensors.get(b.name)];
  if (!left || !right || left.shape.join() !== right.shape.join()) return false;
  if (left.dtype !== right.dtype) {
    const values = readTensor(a.file, a.name);
    return readTensor(b.file, b.name).every((value, index) => value === values[index]);
  }
  const [one, other] = [new Uint8Array(chunkSize), new Uint8Array(chunkSize)];
  return withFile(a.file.path, (first) =>
    withFile(b.file.path, (second) => {
      for (let at = 0; at < left.size; at += chunkSize) {
        const length = Math.min(chunkSize, left.size - at);
        readFully(first, one.subarray(0, length), { file: a.file.path, offset: left.offset + at });
        readFully(second, other.subarray(0, length), { file: b.file.path, offset: right.offset + at });
        if (Buffer.compare(one.subarray(0, length), other.subarray(0, length)) !== 0) return false;
      }
      return true;
    }),
  );
}

function checkHeader(
  file: string,
  bytes: Uint8Array,
  bounds: { dataStart: number; fileSize: number },
): ReadonlyMap<string, TensorEntry> {
  const header = parseHeader(file, bytes);
  const dataSize = bounds.fileSize - bounds.dataStart;
  const tensors = new Map<string, TensorEntry>();
  const spans: { name: string; begin: number; end: number }[] = [];
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    const [begin, end] = data_offsets;
    const fail = (problem: string) => new CheckpointError(problem, { file, field: name });
    const elementSize = dtypeSizes.get(dtype);
    if (elementSize === undefined) throw fail(`unknown dtype ${JSON.stringify(dtype)}`);
    if (begin > end || end > dataSize) {
      throw fail(`data_offsets [${begin}, ${end}] are outside the ${dataSize} bytes of data`);
    }
    const expected = shape.reduce((product, dimension) => product * dimension, elementSize);
    if (end - begin !== expected) {
      throw fail(`shape [${shape.join(', ')}] of ${dtype} needs ${expected} bytes, has ${end - begin}`);
    }
    tensors.set(name, { dtype, shape, offset: bounds.dataStart + begin, size: expected });
    spans.push({ name, begin, end });
  }
  checkCover(file, spans, dataSize);
  return tensors;
}

/** The tensors must cover the data exactly: the format forbids overlaps, holes and trailing bytes. */
function checkCover(
  file: string,
  spans: { name: string; begin: number; end: number }[],
  dataSize: number,
): void {
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of spans) {
    if (begin < covered) {
      throw new CheckpointError(`overlaps the tensor before it by ${covered - begin} bytes`, {
        file,
        field: name,
      });
    }
    if (begin > covered) {
      throw new CheckpointError(`follows a hole of ${begin - covered} bytes`, { file, field: name });
    }
    covered = end;
  }
  if (covered !== dataSize) {
    throw new CheckpointError(`${dataSize - covered} bytes after the last tensor`, { file });
  }
}

function parseHeader(file: string, bytes: Uint8Array): z.infer<typeof headerSchema> {
  let json: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
    const duplicate = findDuplicateKey(text);
    if (duplicate !== null) throw new SyntaxError(`duplicate name ${JSON.stringify(duplicate)}`);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`header is not valid JSON: ${message}`, { file, cause: error });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new CheckpointError('header is not a JSON object', { file });
  }
  const { __metadata__: metadata, ...tensors } = json as Record<string, unknown>;
  if (metadata !== undefined && !z.record(z.string(), z.string()).safeParse(metadata).success) {
    throw new CheckpointError('__metadata__ is not an object of strings', { file });
  }
  const count = Object.keys(tensors).length;
  if (count > tensorCountMax) {
    throw new CheckpointError(`${count} tensors are more than ${tensorCountMax}`, { file });
  }
  const parsed = headerSchema.safeParse(tensors);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const [tensor, ...field] = issue!.path;
  throw new CheckpointError(`${field.join('.') || 'entry'}: ${issue!.message}`, {
    file,
    field: String(tensor),
    cause: parsed.error,
  });
}

function readF32(fd: number, file: string, entry: TensorEntry): Float32Array {
  const values = new Float32Array(entry.size / 4);
  readFully(fd, new Uint8Array(values.buffer), { file, offset: entry.offset });
  return values;
}

function readHalf(fd: number, file: string, entry: TensorEntry): Float32Array {
  const count = entry.size / 2;
  const values = new Float32Array(count);
  const bits = new Uint32Array(values.buffer);
  const chunk = new Uint16Array(Math.min(count, chunkSize / 2));
  const widen = entry.dtype === 'BF16' ? widenBf16 : widenF16;
  for (let start = 0; start < count; start += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, count - start));
    const bytes = new Uint8Array(part.buffer, 0, part.length * 2);
    readFully(fd, bytes, { file, offset: entry.offset + start * 2 });
    widen(part, bits.subarray(start, start + part.length));
  }
  return values;
}

/** Fills `target` from the file, piecewise: one read takes at most 2 GiB. Throws at a premature end. */
function readFully(fd: number, target: Uint8Array, from: { file: string; offset: number }): void {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(target.length - done, chunkSize);
    const count = readSync(fd, target, done, length, from.offset + done);
    if (count === 0) throw new CheckpointError('the file ends early', { file: from.file });
    done += count;
  }
}
