// The head of one GGUF file, versions 2 and 3: typed metadata and the directory of tensors, every number of it checked
// against the file. Long arrays (vocabularies) stay bytes until they are asked for. Never touches tensor data.
// Before it: header-cursor.ts; after it: gguf-file.ts joins the shards.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { lfsProblem } from '../files/lfs-pointer.ts';
import type { CheckpointError } from '../files/model-file.ts';
import { type BlockType, blockTypes } from './block-types.ts';
import type { HeaderCursor } from './header-cursor.ts';

export type GgufValue = number | bigint | boolean | string | GgufArray;

/** An array of metadata. Its accessors make a fresh array, or null when the elements are of another kind. */
export interface GgufArray {
  readonly length: number;
  strings(): string[] | null;
  numbers(): number[] | null; // booleans count as 0 and 1
}

export interface GgufTensor {
  readonly path: string; // of the file that holds it
  readonly type: BlockType;
  readonly shape: readonly number[]; // row-major
  readonly offset: number; // bytes from the start of the file
  readonly size: number; // bytes
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const magic = 0x46554747; // 'GGUF', little endian
const lfsMagic = 0x73726576; // 'vers', as files/lfs-pointer.ts has it
const entryCountMax = 65_536; // of metadata, and of tensors; published files have under 100 and under 2,000
const dimensionCountMax = 4; // source: GGML_MAX_DIMS
const alignmentDefault = 32; // bytes
const alignmentMax = 2 ** 20; // bytes
const depthMax = 4; // of arrays within arrays, of which no published file has any

interface ValueKind {
  readonly size: number; // bytes
  readonly read: (view: DataView, at: number) => number | bigint | boolean;
}

// By number in the file; source: enum gguf_type. 8 are strings, 9 arrays.
const kinds: ReadonlyMap<number, ValueKind> = new Map([
  [0, { size: 1, read: (view, at) => view.getUint8(at) }],
  [1, { size: 1, read: (view, at) => view.getInt8(at) }],
  [2, { size: 2, read: (view, at) => view.getUint16(at, true) }],
  [3, { size: 2, read: (view, at) => view.getInt16(at, true) }],
  [4, { size: 4, read: (view, at) => view.getUint32(at, true) }],
  [5, { size: 4, read: (view, at) => view.getInt32(at, true) }],
  [6, { size: 4, read: (view, at) => view.getFloat32(at, true) }],
  [7, { size: 1, read: (view, at) => view.getUint8(at) !== 0 }],
  [10, { size: 8, read: (view, at) => narrowed(view.getBigUint64(at, true)) }],
  [11, { size: 8, read: (view, at) => narrowed(view.getBigInt64(at, true)) }],
  [12, { size: 8, read: (view, at) => view.getFloat64(at, true) }],
] satisfies [number, ValueKind][]);
const stringKind = 8;
const arrayKind = 9;

/** Throws CheckpointError with the entry's name. `path` is given to the tensors, `fileSize` bounds them. */
export function readHeader(
  cursor: HeaderCursor,
  { path, fileSize }: { readonly path: string; readonly fileSize: number },
): GgufHeader {
  checkStart(cursor);
  const tensorCount = entryCount(cursor, 'tensors');
  const metadataCount = entryCount(cursor, 'metadata entries');
  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < metadataCount; index++) {
    cursor.enter(`metadata entry ${index}`);
    const key = cursor.string();
    cursor.enter(key);
    if (metadata.has(key)) throw cursor.refuse('is there twice');
    metadata.set(key, readValue(cursor));
  }
  cursor.enter(null);
  return { metadata, tensors: readDirectory(cursor, { path, fileSize, tensorCount, metadata }) };
}

function checkStart(cursor: HeaderCursor): void {
  const opening = cursor.uint32();
  if (opening === lfsMagic) throw cursor.refuse(lfsProblem);
  if (opening !== magic) throw cursor.refuse('is not a GGUF file: it does not begin with GGUF');
  const version = cursor.uint32();
  if (version === 2 || version === 3) return;
  const isSwapped = version === 0x02000000 || version === 0x03000000;
  if (isSwapped) throw cursor.refuse('is a big-endian GGUF file; only little-endian ones are read');
  throw cursor.refuse(`GGUF version ${version} is not supported (only 2 and 3)`);
}

function entryCount(cursor: HeaderCursor, what: string): number {
  const count = cursor.uint64(`a number of ${what} of`);
  if (count > entryCountMax) throw cursor.refuse(`${count} ${what} are more than ${entryCountMax}`);
  return count;
}

function readValue(cursor: HeaderCursor): GgufValue {
  const id = cursor.uint32();
  if (id === stringKind) return cursor.string();
  if (id === arrayKind) return readArray(cursor, 1);
  const kind = kindOf(cursor, id);
  const at = cursor.skip(kind.size);
  return kind.read(viewOf(cursor.bytes()), at);
}

/** Only its extent is read now. What it claims to hold must lie in the file, so a count costs nobody memory. */
function readArray(cursor: HeaderCursor, depth: number): GgufArray {
  const id = cursor.uint32();
  const length = cursor.uint64('an array of length');
  if (id === arrayKind) {
    if (depth >= depthMax) throw cursor.refuse(`arrays lie deeper than ${depthMax} in each other`);
    for (let index = 0; index < length; index++) readArray(cursor, depth + 1);
    return { length, strings: () => null, numbers: () => null };
  }
  const start = cursor.position;
  if (id === stringKind) {
    for (let index = 0; index < length; index++) cursor.skip(cursor.uint64('a string of length'));
    const bytes = cursor.bytes();
    return { length, strings: () => decodeStrings(bytes, start, length), numbers: () => null };
  }
  const { size, read } = kindOf(cursor, id);
  cursor.skip(length * size);
  const view = viewOf(cursor.bytes());
  const numbers = () => Array.from({ length }, (_, index) => Number(read(view, start + index * size)));
  return { length, strings: () => null, numbers };
}

function decodeStrings(bytes: Buffer, start: number, length: number): string[] {
  const strings = new Array<string>(length);
  const view = viewOf(bytes);
  for (let index = 0, at = start; index < length; index++) {
    const size = Number(view.getBigUint64(at, true)); // checked when it was stepped over
    strings[index] = bytes.toString('utf8', at + 8, at + 8 + size);
    at += 8 + size;
  }
  return strings;
}

function kindOf(cursor: HeaderCursor, id: number): ValueKind {
  const kind = kinds.get(id);
  if (kind === undefined) throw cursor.refuse(`value type ${id} is unknown`);
  return kind;
}

function readDirectory(
  cursor: HeaderCursor,
  file: {
    readonly path: string;
    readonly fileSize: number;
    readonly tensorCount: number;
    readonly metadata: ReadonlyMap<string, GgufValue>;
  },
): ReadonlyMap<string, GgufTensor> {
  const alignment = alignmentOf(cursor, file.metadata);
  const entries = new Map<string, GgufTensor>(); // offsets count from the start of the data
  for (let index = 0; index < file.tensorCount; index++) {
    cursor.enter(`tensor ${index}`);
    const name = cursor.string();
    cursor.enter(name);
    if (entries.has(name)) throw cursor.refuse('is there twice');
    const entry = readEntry(cursor, file.path);
    if (entry.offset % alignment !== 0) {
      throw cursor.refuse(`offset ${entry.offset} is no multiple of the alignment, ${alignment}`);
    }
    entries.set(name, entry);
  }
  cursor.enter(null);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const [name, entry] of entries) tensors.set(name, { ...entry, offset: dataStart + entry.offset });
  checkExtents(cursor, tensors, file.fileSize);
  return tensors;
}

function alignmentOf(cursor: HeaderCursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? alignmentDefault;
  const isPower = typeof alignment === 'number' && alignment > 0 && (alignment & (alignment - 1)) === 0;
  if (isPower && alignment <= alignmentMax) return alignment;
  cursor.enter('general.alignment');
  throw cursor.refuse(`${String(alignment)} is no power of two up to ${alignmentMax}`);
}

/** One tensor; its offset counts from the start of the data, which is not known yet. */
function readEntry(cursor: HeaderCursor, path: string): GgufTensor {
  const dimensionCount = cursor.uint32();
  if (dimensionCount > dimensionCountMax) {
    throw cursor.refuse(`${dimensionCount} dimensions are more than ${dimensionCountMax}`);
  }
  const shape = Array.from({ length: dimensionCount }, () => cursor.uint64('a dimension of')).reverse();
  const typeId = cursor.uint32();
  const type = blockTypes.get(typeId);
  if (type === undefined) throw cursor.refuse(`tensor type ${typeId} is unknown`);
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  if (!Number.isSafeInteger(count) || count === 0) {
    throw cursor.refuse(`shape [${shape.join(', ')}] is absurd`);
  }
  const rowLength = shape.at(-1) ?? 1;
  if (rowLength % type.length !== 0) {
    throw cursor.refuse(`rows of ${rowLength} values are not whole blocks of ${type.length}, ${type.name}'s`);
  }
  const size = (count / type.length) * type.size;
  return { path, type, shape, offset: cursor.uint64('an offset of'), size };
}

/** Every tensor lies in the file, and no two share a byte. */
function checkExtents(
  cursor: HeaderCursor,
  tensors: ReadonlyMap<string, GgufTensor>,
  fileSize: number,
): void {
  const refuse = (name: string, problem: string): CheckpointError => {
    cursor.enter(name);
    return cursor.refuse(problem);
  };
  let end = 0;
  for (const [name, { offset, size }] of [...tensors].sort(([, a], [, b]) => a.offset - b.offset)) {
    if (offset < end) throw refuse(name, `overlaps the tensor before it by ${end - offset} bytes`);
    end = offset + size;
    if (end > fileSize) {
      const cut = 'the file is cut short, as by a download that did not finish';
      throw refuse(name, `ends at byte ${end} of ${fileSize}: ${cut}`);
    }
  }
}

function narrowed(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
