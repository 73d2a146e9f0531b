// Pulling from a hub on loopback, real sockets and a real cache: what is fetched, what is refused, what is said.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { loadModel } from '../../models/model.ts';
import { findCached } from '../../server/hub/cached-model.ts';
import { parseReference } from '../../server/hub/reference.ts';
import { gitSha1, type MirrorFault, sha256 } from '../hub-mirror.ts';
import { hubRig } from '../hub-rig.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const rig = hubRig(temporaryDirectory());
const NANO = join(import.meta.dirname, '../../models/spark-nano');
const WEIGHTS = Buffer.from(
  Array.from({ length: 200_000 }, (_, index) => (index * 31 + (index >> 8)) & 0xff),
);
const SMALL = Buffer.from('{"small": true}');

const folder = () => join(rig.cacheDirectory, 'models--acme--m');
const blobs = () => readdirSync(join(folder(), 'blobs')).sort();
const gguf = (bytes: Buffer = WEIGHTS) =>
  rig.mirror.put('acme/m', { 'm-Q8_0.gguf': bytes, 'README.md': 'no' });

/** One fault for the first answer about weights from storage, then none. */
function once(fault: MirrorFault): void {
  let done = false;
  rig.mirror.fault = ({ host }) => {
    if (host !== 'storage' || done) return undefined;
    done = true;
    return fault;
  };
}

test('a model lies in the cache as Hugging Face’s tools lay it there, and loads under its name', async () => {
  const names = readdirSync(NANO);
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(NANO, name))]));
  const commit = rig.mirror.put('acme/m', files);
  const pulled = await rig.pull('acme/m');
  expect(pulled.path).toBe(join(folder(), 'snapshots', commit));
  const expected = names.filter((name) => name !== 'README.md').sort();
  expect(readdirSync(pulled.directory).sort()).toEqual(expected);
  for (const name of expected) {
    const bytes = files[name]!;
    const etag = bytes.length < 4096 ? gitSha1(bytes) : sha256(bytes);
    expect(readlinkSync(join(pulled.directory, name))).toBe(`../../blobs/${etag}`);
    expect(readFileSync(join(pulled.directory, name)).equals(bytes)).toBe(true);
  }
  expect(blobs()).toHaveLength(expected.length);
  expect(readFileSync(join(folder(), 'refs/main'), 'utf8')).toBe(commit);
  expect(loadModel(folder()).name).toBe('acme/m');
  expect(loadModel(pulled.path).name).toBe('acme/m');
});

test('what is there is checked, not fetched', async () => {
  gguf();
  await rig.pull('acme/m');
  const { served } = rig.mirror;
  expect((await rig.pull('acme/m')).arrivedSize).toBe(0);
  expect(rig.mirror.served).toBe(served);
  expect(findCached(parseReference('acme/m:q8_0')!, rig.cacheDirectory)).not.toBeNull();
  expect(findCached(parseReference('acme/m:q4_0')!, rig.cacheDirectory)).toBeNull();
});

test('bytes that went bad in the cache are fetched again', async () => {
  gguf();
  const { path } = await rig.pull('acme/m');
  writeFileSync(path, Buffer.alloc(WEIGHTS.length));
  await rig.pull('acme/m');
  expect(readFileSync(path).equals(WEIGHTS)).toBe(true);
  expect(rig.notes.join()).toContain('is not what the hub has');
});

test('a new commit shares what has not changed', async () => {
  rig.mirror.put('acme/m', { 'm-00001-of-00002.gguf': WEIGHTS, 'm-00002-of-00002.gguf': SMALL });
  const first = await rig.pull('acme/m');
  rig.mirror.put('acme/m', { 'm-00002-of-00002.gguf': '{"small": false}' });
  const second = await rig.pull('acme/m');
  expect(second.arrivedSize).toBe(16);
  expect(second.commit).not.toBe(first.commit);
  expect(findCached(parseReference('acme/m')!, rig.cacheDirectory)!.directory).toBe(second.directory);
  expect(findCached(parseReference(`acme/m@${first.commit}`)!, rig.cacheDirectory)!.directory).toBe(
    first.directory,
  );
});

test('a quantisation that only an older commit has in the cache is still found there', async () => {
  rig.mirror.put('acme/m', { 'm-Q8_0.gguf': WEIGHTS, 'm-Q4_0.gguf': SMALL });
  const old = await rig.pull('acme/m:Q8_0');
  rig.mirror.put('acme/m', { 'README.md': 'new' });
  const fresh = await rig.pull('acme/m:Q4_0');
  expect(fresh.commit).not.toBe(old.commit);
  expect(findCached(parseReference('acme/m:Q8_0')!, rig.cacheDirectory)!.path).toBe(old.path);
  expect(findCached(parseReference(`acme/m@${fresh.commit}:Q8_0`)!, rig.cacheDirectory)).toBeNull();
});

test('a mirror that knows no HEAD, or has its storage on its own address, is understood', async () => {
  gguf();
  rig.mirror.fault = ({ method }) => (method === 'HEAD' ? { status: 405 } : undefined);
  await rig.pull('acme/m');
  expect(blobs()).toEqual([sha256(WEIGHTS)]);
  rmSync(folder(), { recursive: true });
  rig.mirror.fault = () => undefined;
  rig.mirror.storageIsHub = true;
  await rig.pull('acme/m');
  expect(blobs()).toEqual([sha256(WEIGHTS)]);
});

test('shards are those that the index names; the model is in the cache when all are', async () => {
  const index = {
    weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
  };
  rig.mirror.put('acme/m', {
    'config.json': '{}',
    'tokenizer.json': '{}',
    'model.safetensors.index.json': JSON.stringify(index),
    'model-00001-of-00002.safetensors': WEIGHTS,
    'model-00002-of-00002.safetensors': SMALL,
    'model-00003-of-00003.safetensors': SMALL,
  });
  const { directory } = await rig.pull('acme/m');
  expect(readdirSync(directory).filter((name) => name.endsWith('.safetensors'))).toHaveLength(2);
  expect(findCached(parseReference('acme/m')!, rig.cacheDirectory)).toEqual({ directory, path: directory });
  rmSync(join(directory, 'model-00002-of-00002.safetensors'));
  expect(findCached(parseReference('acme/m')!, rig.cacheDirectory)).toBeNull();
});

test('a cut is gone on from, within one pull and by the next one', async () => {
  gguf();
  once({ cutAt: 100_000 });
  await rig.pull('acme/m');
  const [range] = rig.mirror.requests.flatMap(({ range }) => range ?? []);
  const offset = Number(/^bytes=(\d+)-$/.exec(range!)![1]);
  expect(offset).toBeGreaterThan(0);
  expect(offset).toBeLessThanOrEqual(100_000); // less is what the cut has lost on its way
  expect(rig.notes.join()).toContain('trying again');
});

test('a server that cannot begin in the middle is taken from its beginning', async () => {
  gguf();
  let calls = 0;
  rig.mirror.fault = ({ host }) =>
    host === 'storage' ? (calls++ === 0 ? { cutAt: 50_000 } : { ignoreRange: true }) : undefined;
  const { path } = await rig.pull('acme/m');
  expect(readFileSync(path).equals(WEIGHTS)).toBe(true);
  expect(rig.mirror.served).toBe(WEIGHTS.length + 50_000);
});

test('a server that always cuts at the same place is given up, and what came is kept', async () => {
  gguf();
  rig.mirror.fault = ({ host }) => (host === 'storage' ? { cutAt: 60_000, ignoreRange: true } : undefined);
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'network' });
  expect(rig.clock.waits).toEqual([1000, 2000, 4000, 8000, 16_000]);
  expect(blobs()).toEqual([`${sha256(WEIGHTS)}.incomplete`]);
});

test('altered bytes are fetched once more, and never kept', async () => {
  gguf();
  const altered = Buffer.from(WEIGHTS);
  altered[123_456]! ^= 1;
  once({ bytes: altered });
  const { path } = await rig.pull('acme/m');
  expect(readFileSync(path).equals(WEIGHTS)).toBe(true);
  rmSync(folder(), { recursive: true });
  rig.mirror.fault = ({ host }) => (host === 'storage' ? { bytes: altered } : undefined);
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'checksum' });
  expect(readFileSync(join(folder(), 'blobs', blobs()[0]!))).toHaveLength(0);
  expect(existsSync(join(folder(), 'refs'))).toBe(false);
});

test('small files are checked by git’s sha1', async () => {
  rig.mirror.put('acme/m', { 'm.gguf': SMALL });
  rig.mirror.fault = ({ method }, path) =>
    path === 'm.gguf' && method === 'GET' ? { bytes: Buffer.from('{"small": fals}') } : undefined;
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'checksum' });
});

test('a file that is shorter or longer than the hub says is not taken', async () => {
  gguf();
  rig.mirror.fault = ({ host }) => (host === 'storage' ? { bytes: WEIGHTS.subarray(0, 90_000) } : undefined);
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'network' });
  rmSync(folder(), { recursive: true });
  rig.mirror.fault = ({ host }) =>
    host === 'storage' ? { bytes: Buffer.concat([WEIGHTS, SMALL]) } : undefined;
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'answer' });
});

test('what an earlier day left is gone on from where it is right, and begun anew where it is not', async () => {
  gguf();
  const partial = join(folder(), 'blobs', `${sha256(WEIGHTS)}.incomplete`);
  mkdirSync(dirname(partial), { recursive: true });
  writeFileSync(partial, WEIGHTS.subarray(0, 150_000));
  await rig.pull('acme/m');
  expect(rig.mirror.served).toBe(50_000);
  for (const rubbish of [
    Buffer.alloc(150_000),
    Buffer.alloc(WEIGHTS.length),
    Buffer.alloc(WEIGHTS.length + 5),
  ]) {
    rmSync(folder(), { recursive: true });
    mkdirSync(dirname(partial), { recursive: true });
    writeFileSync(partial, rubbish);
    const { path } = await rig.pull('acme/m');
    expect(readFileSync(path).equals(WEIGHTS)).toBe(true);
  }
});

test('a file that changed between cut and resume is fetched whole under its new name', async () => {
  gguf();
  rig.mirror.fault = ({ host, range }) =>
    host === 'storage' ? (range === null ? { cutAt: 100_000 } : { status: 404 }) : undefined;
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'missing' });
  const changed = Buffer.from(WEIGHTS).reverse();
  gguf(changed);
  rig.mirror.fault = () => undefined;
  const { path } = await rig.pull('acme/m');
  expect(readFileSync(path).equals(changed)).toBe(true);
});

test('gone in the middle: said at once, and what came is kept', async () => {
  gguf();
  rig.mirror.fault = ({ range }) =>
    range === null ? { cutAt: 100_000 } : { status: 404, headers: { 'x-error-code': 'EntryNotFound' } };
  await expect(rig.pull('acme/m')).rejects.toThrow('there is no m-Q8_0.gguf of acme/m');
  expect(rig.clock.waits).toEqual([1000]);
  const kept = readFileSync(join(folder(), 'blobs', blobs()[0]!));
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.equals(WEIGHTS.subarray(0, kept.length))).toBe(true);
});

test('truncated in the cache is not whole', async () => {
  gguf();
  const { path } = await rig.pull('acme/m');
  truncateSync(path, 1000);
  expect((await rig.pull('acme/m')).arrivedSize).toBe(WEIGHTS.length);
});
