import { closeSync, ftruncateSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CheckpointError } from '../../../../models/files/model-file.ts';
import { openSafetensors, readTensor } from '../../../../models/weights/safetensors.ts';
import { floatTensor, safetensorsBytes, writeSafetensors } from '../../../golden/safetensors-writer.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();
const path = join(directory, 'model.safetensors');

/** Writes header and data as they are and returns the error of opening the file. */
function refusal(header: string | object, dataSize: number): CheckpointError {
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  writeFileSync(path, safetensorsBytes(text, new Uint8Array(dataSize)));
  try {
    openSafetensors(path);
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).file).toBe(path);
    expect((error as CheckpointError).message).toContain(path);
    return error as CheckpointError;
  }
  throw new Error('the file was accepted');
}

test('float32 values come back bit by bit, and the header says where they are', () => {
  const values = Float32Array.of(0, -0, 1.5, Number.NaN, Infinity, 1e-45);
  writeSafetensors(path, [floatTensor('w', { shape: [2, 3], values, dtype: 'F32' })]);
  const file = openSafetensors(path);
  expect(file.tensors.get('w')).toMatchObject({ dtype: 'F32', shape: [2, 3], size: 24 });
  expect(readTensor(file, 'w')).toEqual(values);
});

test('bfloat16 is the upper half of a float32', () => {
  const values = Float32Array.of(1, -2.5, 2 ** 127, 2 ** -130, 0);
  writeSafetensors(path, [
    { name: 'first', dtype: 'U8', shape: [3], bytes: new Uint8Array(3) }, // makes the offset odd
    floatTensor('w', { shape: [5], values, dtype: 'BF16' }),
  ]);
  const read = readTensor(openSafetensors(path), 'w');
  expect(read).toEqual(values);
});

test('every float16 bit pattern widens to its value', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
  const bytes = new Uint8Array(halves.buffer);
  writeSafetensors(path, [{ name: 'w', dtype: 'F16', shape: [65536], bytes }]);
  const read = readTensor(openSafetensors(path), 'w');
  for (let bits = 0; bits < 65536; bits++) {
    if (!Object.is(read[bits], halfValue(bits))) expect(read[bits], `bits ${bits}`).toBe(halfValue(bits));
  }
});

/** IEEE 754 binary16, from its definition. */
function halfValue(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

test('a scalar and an empty tensor are tensors', () => {
  writeSafetensors(path, [
    floatTensor('scalar', { shape: [], values: Float32Array.of(7), dtype: 'F32' }),
    floatTensor('empty', { shape: [0, 5], values: new Float32Array(0), dtype: 'BF16' }),
  ]);
  const file = openSafetensors(path);
  expect([...readTensor(file, 'scalar')]).toEqual([7]);
  expect(readTensor(file, 'empty')).toHaveLength(0);
});

test('a tensor larger than one read is put together from its pieces', () => {
  const values = Float32Array.from({ length: 9_000_000 }, (_, i) => i % 251); // 18 MB as BF16
  writeSafetensors(path, [floatTensor('w', { shape: [9_000_000], values, dtype: 'BF16' })]);
  const read = readTensor(openSafetensors(path), 'w');
  expect(read.length).toBe(values.length);
  expect(read.every((value, i) => value === i % 251)).toBe(true);
});

test('a file of 8 GB is opened by its header alone and read in part', () => {
  const header = { big: tensor('F32', [2 ** 31], 0, 2 ** 33), w: tensor('F32', [2], 2 ** 33, 2 ** 33 + 8) };
  const start = safetensorsBytes(JSON.stringify(header), new Uint8Array(0));
  const fd = openSync(path, 'w'); // sparse: takes no space on the disk
  writeSync(fd, start);
  writeSync(fd, new Uint8Array(Float32Array.of(3, 4).buffer), 0, 8, start.length + 2 ** 33);
  closeSync(fd);
  expect([...readTensor(openSafetensors(path), 'w')]).toEqual([3, 4]);
});

function tensor(dtype: string, shape: readonly number[], begin: number, end: number) {
  return { dtype, shape, data_offsets: [begin, end] };
}

test.each([
  ['offsets outside the file', { w: tensor('F32', [2], 0, 8) }, 4, 'outside the 4 bytes'],
  ['offsets in reverse', { w: tensor('F32', [0], 4, 0) }, 4, 'outside'],
  ['a shape of other size', { w: tensor('F32', [3], 0, 8) }, 8, 'needs 12 bytes, has 8'],
  ['a dtype of other size', { w: tensor('F16', [2], 0, 8) }, 8, 'needs 4 bytes, has 8'],
  ['an unknown dtype', { w: tensor('F31', [2], 0, 8) }, 8, 'unknown dtype "F31"'],
  ['a shape beyond any file', { w: tensor('F32', [2 ** 40, 2 ** 40], 0, 8) }, 8, 'needs'],
  ['a negative offset', { w: tensor('F32', [2], -8, 0) }, 8, 'data_offsets'],
  ['a fractional size', { w: tensor('F32', [0.5], 0, 2) }, 2, 'shape'],
  ['offsets that are no pair', { w: { dtype: 'F32', shape: [2], data_offsets: [0] } }, 8, 'data_offsets'],
  ['a missing shape', { w: { dtype: 'F32', data_offsets: [0, 8] } }, 8, 'shape'],
  ['an unknown field', { w: { ...tensor('F32', [2], 0, 8), strides: [1] } }, 8, 'strides'],
  ['no object', { w: 5 }, 0, 'entry'],
])('a tensor with %s is refused by name', (_, header, dataSize, problem) => {
  const error = refusal(header, dataSize);
  expect(error.field).toBe('w');
  expect(error.message).toContain('w: ');
  expect(error.message).toContain(problem);
});

test('overlapping tensors are refused', () => {
  const error = refusal({ a: tensor('F32', [2], 0, 8), b: tensor('F32', [2], 4, 12) }, 12);
  expect(error).toMatchObject({ field: 'b', message: expect.stringContaining('overlaps') });
});

test('two tensors over the same bytes are refused', () => {
  expect(refusal({ a: tensor('F32', [2], 0, 8), b: tensor('F32', [2], 0, 8) }, 8).message).toContain(
    'overlaps',
  );
});

test('holes and trailing bytes are refused, as the format demands', () => {
  const hole = refusal({ a: tensor('F32', [1], 0, 4), b: tensor('F32', [1], 8, 12) }, 12);
  expect(hole).toMatchObject({ field: 'b', message: `${path}: b: follows a hole of 4 bytes` });
  const trailing = refusal({ a: tensor('F32', [1], 0, 4) }, 9);
  expect(trailing).toMatchObject({ field: null, message: `${path}: 5 bytes after the last tensor` });
});

test('a name that stands twice in the header is refused', () => {
  const entry = JSON.stringify(tensor('F32', [1], 0, 4));
  expect(refusal(`{"w":${entry},"w":${entry}}`, 4).message).toContain('duplicate name "w"');
  expect(refusal(`{"\\u0077":${entry},"w" :${entry}}`, 4).message).toContain('duplicate name "w"');
  expect(refusal('{"w":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4).message).toContain(
    'duplicate name "dtype"',
  );
});

test.each([
  ['no JSON', '{"w":'],
  ['an array', '[]'],
  ['null', 'null'],
  ['nothing', ''],
  ['metadata that are no strings', '{"__metadata__":{"a":1}}'],
])('a header that is %s is refused', (_, header) => {
  expect(refusal(header, 0).field).toBeNull();
});

test('a header of invalid UTF-8 is refused', () => {
  const header = Buffer.from('{"w":{}}');
  header[2] = 0xff;
  const bytes = safetensorsBytes('{"w":{}}', new Uint8Array(0));
  header.copy(bytes, 8);
  writeFileSync(path, bytes);
  expect(() => openSafetensors(path)).toThrow(CheckpointError);
});

test('a header longer than the file, or than 16 MiB, is refused before it is read', () => {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(9n);
  writeFileSync(path, bytes);
  expect(() => openSafetensors(path)).toThrow('header ends at byte 17 of 16');
  bytes.writeBigUInt64LE(100_000_001n);
  writeFileSync(path, bytes);
  expect(() => openSafetensors(path)).toThrow('header of 100000001 bytes exceeds 16777216');
  bytes.writeBigUInt64LE(2n ** 64n - 1n);
  writeFileSync(path, bytes);
  expect(() => openSafetensors(path)).toThrow('exceeds');
});

test('an empty file, a missing file and a directory are refused', () => {
  writeFileSync(path, '');
  expect(() => openSafetensors(path)).toThrow('0 bytes are too few');
  expect(() => openSafetensors(join(directory, 'absent'))).toThrow(CheckpointError);
  expect(() => openSafetensors(directory)).toThrow(CheckpointError);
});

test('a file without tensors is a file', () => {
  writeFileSync(path, safetensorsBytes('{}   ', new Uint8Array(0)));
  expect(openSafetensors(path).tensors.size).toBe(0);
});

test('an unknown tensor and an integer tensor cannot be read', () => {
  writeSafetensors(path, [{ name: 'ids', dtype: 'I64', shape: [1], bytes: new Uint8Array(8) }]);
  const file = openSafetensors(path);
  expect(() => readTensor(file, 'ids')).toThrow('dtype I64 is not one of F32, F16, BF16');
  expect(() => readTensor(file, 'w')).toThrow('not in this file');
});

test('a file that shrinks or grows after it was opened is noticed', () => {
  const values = new Float32Array(4);
  writeSafetensors(path, [floatTensor('w', { shape: [4], values, dtype: 'F32' })]);
  const file = openSafetensors(path);
  truncateSync(path, file.fileSize - 4);
  expect(() => readTensor(file, 'w')).toThrow('changed size');
  const fd = openSync(path, 'r+');
  ftruncateSync(fd, file.fileSize + 4);
  closeSync(fd);
  expect(() => readTensor(file, 'w')).toThrow('changed size');
});
