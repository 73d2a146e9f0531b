import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ggufName } from '../../../../models/files/gguf-name.ts';
import { CheckpointError } from '../../../../models/files/model-file.ts';
import { decodeBlocks, openGguf, readBlocks } from '../../../../models/gguf/gguf-file.ts';
import { type MetadataValue, writeGguf } from '../../../peer/gguf-file.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();
const golden = join(import.meta.dirname, '../../../golden/models/gguf-types');

interface Expected {
  readonly shape: readonly number[];
  readonly sha256: string;
  readonly first: readonly number[];
}

const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as Record<string, Expected>;

test.each(Object.keys(expected))('%s gives the values of the reference, bit for bit', (type) => {
  const { shape, sha256, first } = expected[type]!;
  const tensor = openGguf(join(golden, 'types.gguf')).tensors.get(type)!;
  expect(tensor.type.name).toBe(type);
  expect(tensor.shape).toEqual(shape);
  const values = decodeBlocks(type, tensor, readBlocks(tensor));
  expect([...values.subarray(0, 3)]).toEqual(first);
  expect(createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')).toBe(sha256);
});

const metadata: ReadonlyMap<string, MetadataValue> = new Map([
  ['general.architecture', { kind: 'string', value: 'llama' }],
  ['words', { kind: 'strings', value: ['a', '', 'é'] }],
  ['numbers', { kind: 'int32s', value: [-1, 7] }],
  ['on', { kind: 'bool', value: true }],
]);

const rows = (name: string, count: number) => ({
  name,
  shape: [count, 32],
  type: 'F32' as const,
  read: () => Float32Array.from({ length: count * 32 }, (_, index) => index),
});

function written(name: string, more: readonly [string, MetadataValue][] = []): string {
  const path = join(root, name);
  writeGguf(path, new Map([...metadata, ...more]), [rows('first', 2), rows('second', 1)]);
  return path;
}

/** The same file with some bytes replaced. */
function patched(name: string, at: number, bytes: readonly number[]): string {
  const path = written(name);
  const file = readFileSync(path);
  file.set(bytes, at);
  writeFileSync(path, file);
  return path;
}

test('metadata and tensors are what was written', () => {
  const { metadata: read, tensors } = openGguf(written('whole.gguf'));
  expect(read.get('on')).toBe(true);
  const [words, numbers] = [read.get('words'), read.get('numbers')];
  if (typeof words !== 'object' || typeof numbers !== 'object') throw new Error('no arrays');
  expect([words.length, words.strings(), words.numbers()]).toEqual([3, ['a', '', 'é'], null]);
  expect([numbers.length, numbers.strings(), numbers.numbers()]).toEqual([2, null, [-1, 7]]);
  const second = tensors.get('second')!;
  expect(decodeBlocks('second', second, readBlocks(second))).toEqual(rows('second', 1).read());
});

const head = (...numbers: readonly (readonly [size: 4 | 8, value: number | bigint])[]): Buffer =>
  Buffer.concat([
    Buffer.from('GGUF'),
    ...numbers.map(([size, value]) => {
      const bytes = Buffer.alloc(size);
      if (size === 4) bytes.writeUInt32LE(Number(value));
      else bytes.writeBigUInt64LE(BigInt(value));
      return bytes;
    }),
  ]);

test.each([
  ['another format', Buffer.from('PK\u0003\u0004 and more than that'), 'does not begin with GGUF'],
  ['nothing at all', Buffer.alloc(0), 'the file ends at 0'],
  ['a big-endian file', head([4, 0x03000000]), 'big-endian'],
  ['version 1', head([4, 1], [8, 0], [8, 0]), 'version 1 is not supported (only 2 and 3)'],
  ['absurdly many tensors', head([4, 3], [8, 2n ** 63n], [8, 0]), 'is absurd'],
  ['too many entries', head([4, 3], [8, 0], [8, 2 ** 20]), '1048576 metadata entries are more than'],
  ['a key longer than the file', head([4, 3], [8, 0], [8, 1], [8, 2 ** 40]), 'the file ends at'],
  [
    'an array longer than the file',
    head([4, 3], [8, 0], [8, 1], [8, 0], [4, 9], [4, 0], [8, 2 ** 50]),
    'ends at',
  ],
  ['an unknown value type', head([4, 3], [8, 0], [8, 1], [8, 0], [4, 77]), 'value type 77 is unknown'],
  [
    'arrays without end',
    head(
      [4, 3],
      [8, 0],
      [8, 1],
      [8, 0],
      [4, 9],
      ...Array.from(
        { length: 9 },
        () =>
          [
            [4, 9],
            [8, 1],
          ] as const,
      ).flat(),
    ),
    'arrays lie deeper than 4',
  ],
  ['five dimensions', head([4, 3], [8, 1], [8, 0], [8, 0], [4, 5]), '5 dimensions are more than 4'],
  [
    'an unknown tensor type',
    head([4, 3], [8, 1], [8, 0], [8, 0], [4, 1], [8, 32], [4, 99], [8, 0]),
    'tensor type 99 is unknown',
  ],
  [
    'broken blocks',
    head([4, 3], [8, 1], [8, 0], [8, 0], [4, 1], [8, 33], [4, 2], [8, 0]),
    'rows of 33 values are not whole blocks of 32',
  ],
  [
    'an offset between alignments',
    head([4, 3], [8, 1], [8, 0], [8, 0], [4, 1], [8, 32], [4, 0], [8, 7]),
    'offset 7 is no multiple',
  ],
  [
    'more values than numbers count',
    head([4, 3], [8, 1], [8, 0], [8, 0], [4, 2], [8, 2 ** 40], [8, 2 ** 40], [4, 0], [8, 0]),
    'is absurd',
  ],
])('%s is refused', (_, bytes, problem) => {
  const path = join(root, 'bad.gguf');
  writeFileSync(path, bytes);
  expect(() => openGguf(path)).toThrow(CheckpointError);
  expect(() => openGguf(path)).toThrow(problem);
});

test('a file that is cut short is said to be', () => {
  const path = written('cut.gguf');
  truncateSync(path, readFileSync(path).length - 1);
  expect(() => openGguf(path)).toThrow(/second: ends at byte \d+ of \d+: the file is cut short/);
});

test('tensors that share bytes are refused', () => {
  const path = written('shared.gguf');
  const at = readFileSync(path).indexOf('second') + 6 + 4 + 16 + 4; // name, dimensions, type
  expect(() => openGguf(patched('shared.gguf', at + 1, [0]))).toThrow(
    /overlaps the tensor before it by 256 bytes/,
  );
});

test('a pipe is refused, not waited for; so is a directory, and a file that is not there', () => {
  const pipe = join(root, 'pipe.gguf');
  execFileSync('mkfifo', [pipe]);
  expect(() => openGguf(pipe)).toThrow('is not a regular file');
  expect(() => openGguf(root)).toThrow('is not a regular file');
  expect(() => openGguf(join(root, 'absent.gguf'))).toThrow(/absent.gguf: cannot be read: ENOENT/);
});

test('types that are not read are known by name', () => {
  const path = written('iq2.gguf');
  const at = readFileSync(path).indexOf('second') + 6 + 4 + 8 + 8;
  const bytes = readFileSync(path);
  bytes.writeBigUInt64LE(256n, at - 16); // one row of a whole block
  bytes.writeUInt32LE(16, at);
  writeFileSync(path, bytes);
  const tensor = openGguf(path).tensors.get('second')!;
  expect(() => decodeBlocks('second', tensor, new Uint8Array(66))).toThrow(
    /second: type IQ2_XXS is not supported \(only F32, .*MXFP4\)/,
  );
});

const count = (value: number): MetadataValue => ({ kind: 'uint32', value });
const shard = (number: number, of: number) => `split-${String(number).padStart(5, '0')}-of-0000${of}.gguf`;

function writeShards(numbers: readonly number[]): void {
  for (const [index, number] of numbers.entries()) {
    const split: [string, MetadataValue][] = [
      ['split.no', count(number)],
      ['split.count', count(numbers.length)],
      ['split.tensors.count', { kind: 'int32', value: numbers.length }],
    ];
    writeGguf(join(root, shard(index + 1, numbers.length)), new Map([...metadata, ...split]), [
      rows(`part${index}`, index + 1),
    ]);
  }
}

test('shards are one model, whichever of them is named', () => {
  writeShards([0, 1, 2]);
  for (const number of [1, 3]) {
    const { path, paths, tensors } = openGguf(join(root, shard(number, 3)));
    expect(path).toBe(join(root, shard(1, 3)));
    expect(paths).toHaveLength(3);
    expect([...tensors.keys()]).toEqual(['part0', 'part1', 'part2']);
  }
  expect(ggufName(join(root, shard(2, 3)))).toBe('split');
});

test('shards that do not belong together are refused', () => {
  writeShards([0, 0]);
  expect(() => openGguf(join(root, shard(1, 2)))).toThrow(
    /says it is shard 0 of 2 \(from 0\), its name says 1/,
  );
  writeShards([0, 1, 2, 3]);
  const last = join(root, shard(4, 4));
  execFileSync('rm', [last]);
  expect(() => openGguf(join(root, shard(1, 4)))).toThrow(`${last}: cannot be read: ENOENT`);
  const renamed = join(root, 'renamed.gguf');
  execFileSync('cp', [join(root, shard(1, 4)), renamed]);
  expect(() => openGguf(renamed)).toThrow('split.count: is a shard, but its name does not end in');
});
