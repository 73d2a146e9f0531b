import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { type FileDigest, hashFiles, openEntry } from '../../../../models/files/cache.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const root = temporaryDirectory();
let cacheDirectory: string;
let buildCount: number;

beforeEach(() => {
  cacheDirectory = join(root, `cache-${readdirSync(root).length}`);
  buildCount = 0;
});

const bytes = Buffer.from('some thousand bytes '.repeat(100));

async function build(directory: string): Promise<FileDigest[]> {
  buildCount++;
  await writeFile(join(directory, 'weights.bin'), bytes);
  return [
    { file: 'weights.bin', size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
  ];
}

const open = () => openEntry({ cacheDirectory, key: 'thing', build });

test('an entry is built once and found from then on', async () => {
  expect((await open()).found).toBe(false);
  const second = await open();
  expect(second).toEqual({ directory: join(cacheDirectory, 'thing'), found: true });
  expect(readFileSync(join(second.directory, 'weights.bin'))).toEqual(bytes);
  expect(buildCount).toBe(1);
});

const injuries: Readonly<Record<string, (directory: string) => void>> = {
  'a file cut short': (directory) => truncateSync(join(directory, 'weights.bin'), 10),
  'a file gone': (directory) => rmSync(join(directory, 'weights.bin')),
  'a changed byte': (directory) =>
    writeFileSync(join(directory, 'weights.bin'), Buffer.from(bytes).fill('x', 5, 6)),
  'a manifest cut short': (directory) => truncateSync(join(directory, 'manifest.json'), 20),
  'a manifest of another version': (directory) =>
    writeFileSync(join(directory, 'manifest.json'), '{"version":0,"files":[]}'),
  'a manifest that points outside': (directory) =>
    writeFileSync(
      join(directory, 'manifest.json'),
      JSON.stringify({ version: 1, files: [{ file: '../weights.bin', size: 1, sha256: '' }] }),
    ),
  'no manifest': (directory) => rmSync(join(directory, 'manifest.json')),
  'a file in its place': (directory) => {
    rmSync(directory, { recursive: true });
    writeFileSync(directory, 'not a folder');
  },
};

test.each(Object.entries(injuries))('an entry with %s is built again', async (_name, injure) => {
  const { directory } = await open();
  injure(directory);
  expect((await open()).found).toBe(false);
  expect(buildCount).toBe(2);
  expect((await open()).found).toBe(true);
  expect(readdirSync(cacheDirectory)).toEqual(['thing']);
});

test('a build that fails leaves nothing behind and the next one succeeds', async () => {
  const failing = openEntry({
    cacheDirectory,
    key: 'thing',
    build: async (directory) => {
      await writeFile(join(directory, 'weights.bin'), 'half');
      throw new Error('no space left');
    },
  });
  await expect(failing).rejects.toThrow('no space left');
  expect(readdirSync(cacheDirectory)).toEqual([]);
  expect((await open()).found).toBe(false);
});

test('builders at the same time all get a sound entry', async () => {
  const entries = await Promise.all(Array.from({ length: 6 }, open));
  for (const { directory } of entries) expect(existsSync(join(directory, 'weights.bin'))).toBe(true);
  expect(readdirSync(cacheDirectory)).toEqual(['thing']);
  expect((await open()).found).toBe(true);
});

test('what a dead builder left is removed after a day, what a living one writes is not', async () => {
  const old = join(cacheDirectory, '.building-thing-aaaaaa');
  const fresh = join(cacheDirectory, '.building-thing-bbbbbb');
  for (const directory of [old, fresh]) mkdirSync(directory, { recursive: true });
  utimesSync(old, 1, 1);
  await open();
  expect(readdirSync(cacheDirectory).sort()).toEqual(['.building-thing-bbbbbb', 'thing']);
});

test('files are known by their bytes', async () => {
  mkdirSync(cacheDirectory, { recursive: true });
  const path = join(cacheDirectory, 'a');
  writeFileSync(path, 'abc');
  // SHA-256 of "abc"; source: FIPS 180-2, appendix B.1
  const digest = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  expect(await hashFiles([path, path], cacheDirectory)).toEqual([digest, digest]);
});
