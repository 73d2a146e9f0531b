// Pulling where the hub, its storage, the disk or another puller say no: what is said, what is kept, who sees the token.

import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { HubErrorCode } from '../../server/hub/hub-error.ts';
import { systemDisk } from '../../server/hub/pull-disk.ts';
import { hubRig, SILENCE_MS, TOUCH_MS } from '../hub-rig.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const directory = temporaryDirectory();
const rig = hubRig(directory);
const WEIGHTS = Buffer.from(
  Array.from({ length: 200_000 }, (_, index) => (index * 31 + (index >> 8)) & 0xff),
);

const folder = () => join(rig.cacheDirectory, 'models--acme--m');
const gguf = () => rig.mirror.put('acme/m', { 'm-Q8_0.gguf': WEIGHTS });
const everythingIn = (path: string) => readdirSync(path, { recursive: true }).map(String).sort();

test('the token goes to the hub and never to its storage', async () => {
  gguf();
  rig.mirror.token = 'hf_secret';
  await rig.pull('acme/m', { token: 'hf_secret' });
  const seen = { hub: new Set<string | null>(), storage: new Set<string | null>() };
  for (const { host, authorization } of rig.mirror.requests) seen[host].add(authorization);
  expect([...seen.hub]).toEqual(['Bearer hf_secret']);
  expect([...seen.storage]).toEqual([null]);
});

test('a redirect within the hub keeps the token, one to a stranger loses it, endless ones end', async () => {
  gguf();
  rig.mirror.token = 'hf_secret';
  const seen: (string | undefined)[] = [];
  const stranger = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const { port } = stranger.address() as AddressInfo;
  const listing = '/api/models/acme/m/revision/main';
  // Renamed: the hub says so with a relative address.
  let renamed = false;
  rig.mirror.fault = ({ url }) => {
    if (!url.startsWith(listing) || renamed) return undefined;
    renamed = true;
    return { status: 307, headers: { location: `${listing}?renamed` } };
  };
  await rig.pull('acme/m', { token: 'hf_secret' });
  rig.mirror.fault = () => ({ status: 302, headers: { location: `http://127.0.0.1:${port}/x` } });
  await expect(rig.pull('acme/m', { token: 'hf_secret' })).rejects.toMatchObject({ code: 'missing' });
  expect(seen).toEqual([undefined]);
  rig.mirror.fault = ({ url }) => ({ status: 302, headers: { location: url } });
  await expect(rig.pull('acme/m', { token: 'hf_secret' })).rejects.toThrow('more than 5 redirects');
  rig.mirror.fault = () => ({ status: 302, headers: { location: 'file:///etc/passwd' } });
  await expect(rig.pull('acme/m')).rejects.toThrow('which is not followed');
  stranger.close();
});

interface Said {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string;
  readonly code: HubErrorCode;
  readonly text: string;
}

const said: readonly Said[] = [
  {
    status: 401,
    headers: { 'x-error-code': 'RepoNotFound' },
    code: 'token',
    text: 'or it is private: then set HF_TOKEN',
  },
  { status: 401, token: 'hf_old', code: 'token', text: 'refuses the token' },
  { status: 401, headers: { 'x-error-code': 'GatedRepo' }, code: 'gated', text: 'accept its terms at' },
  {
    status: 403,
    headers: { 'x-error-code': 'GatedRepo' },
    token: 'hf_a',
    code: 'gated',
    text: 'with the account that HF_TOKEN belongs to',
  },
  { status: 403, headers: { 'x-error-message': 'blocked here' }, code: 'forbidden', text: 'blocked here' },
  { status: 404, headers: { 'x-error-code': 'RepoNotFound' }, code: 'missing', text: 'there is no acme/m' },
  {
    status: 404,
    headers: { 'x-error-code': 'RevisionNotFound' },
    code: 'missing',
    text: 'has no revision main',
  },
  { status: 418, code: 'answer', text: 'answers 418' },
];

test.each(said)(
  'a status of $status ($headers) is said in words',
  async ({ status, headers, token, code, text }) => {
    gguf();
    rig.mirror.fault = () => ({ status, ...(headers && { headers }) });
    const pulled = rig.pull('acme/m', token === undefined ? {} : { token });
    await expect(pulled).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
    expect(rig.clock.waits).toEqual([]);
    expect(existsSync(folder())).toBe(false);
  },
);

test('too many requests: waits as long as it is asked to, but not for ever', async () => {
  gguf();
  const refusals = [
    { 'retry-after': '7' },
    { 'retry-after': new Date(Date.now() + 20_000).toUTCString() },
    {},
    { ratelimit: '"api";r=0;t=9' },
  ];
  rig.mirror.fault = () => {
    const headers = refusals.shift();
    return headers && { status: 429, headers: headers as Record<string, string> };
  };
  await rig.pull('acme/m');
  const [first, second, third, fourth] = rig.clock.waits;
  expect(first).toBe(7000);
  expect(second).toBeGreaterThan(17_000);
  expect(second).toBeLessThanOrEqual(20_000);
  expect([third, fourth]).toEqual([4000, 9000]);
  rig.mirror.fault = () => ({ status: 429, headers: { 'retry-after': '3600' } });
  await expect(rig.pull('acme/m')).rejects.toThrow('it asks to wait 3600 s (HF_TOKEN raises the limit)');
});

test('a hub that fails is asked again, and given up in the end', async () => {
  gguf();
  rig.mirror.fault = () => ({ status: 503 });
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'server' });
  expect(rig.clock.waits).toHaveLength(5);
  expect(rig.notes[0]).toMatch(/fails \(503\) when asked for acme\/m; trying again in 1 s/);
});

test('an expired link of the storage is replaced by a fresh one', async () => {
  gguf();
  let expired = true;
  rig.mirror.fault = ({ host }) => {
    if (host !== 'storage' || !expired) return undefined;
    expired = false;
    return { status: 403 };
  };
  await rig.pull('acme/m');
  expect(rig.mirror.requests.filter(({ host }) => host === 'storage')).toHaveLength(2);
});

test('no connection is said after a second try, and offline is said at once', async () => {
  const settings = {
    endpoint: 'http://127.0.0.1:9',
    cacheDirectory: rig.cacheDirectory,
    token: null,
    offline: false,
  };
  await expect(rig.pull('acme/m', { settings })).rejects.toMatchObject({ code: 'unreachable' });
  expect(rig.clock.waits).toEqual([1000]);
  await expect(rig.pull('acme/m', { settings: { ...settings, offline: true } })).rejects.toMatchObject({
    code: 'offline',
  });
});

test('silence in the middle ends the wait, and the pull goes on', async () => {
  gguf();
  let stalled = false;
  rig.mirror.beforePiece = (_, offset) => {
    if (offset < 65_536 || stalled) return undefined;
    stalled = true;
    setImmediate(() => rig.clock.expire(SILENCE_MS));
    return new Promise(() => {}); // says nothing any more
  };
  await rig.pull('acme/m');
  expect(rig.notes.join()).toMatch(/nothing has been heard of 127\.0\.0\.1:\d+ for 30 s; trying again/);
});

test('who has had enough is let go; what came is kept', async () => {
  gguf();
  const enough = new AbortController();
  rig.mirror.beforePiece = (_, offset) => {
    if (offset >= 131_072) enough.abort();
    return undefined;
  };
  await expect(rig.pull('acme/m', { signal: enough.signal })).rejects.toMatchObject({ code: 'stopped' });
  expect(everythingIn(join(rig.cacheDirectory, '.locks'))).toEqual(['models--acme--m']);
  rig.mirror.beforePiece = () => undefined;
  await rig.pull('acme/m');
  expect(
    readFileSync(join(folder(), 'blobs', readdirSync(join(folder(), 'blobs'))[0]!)).equals(WEIGHTS),
  ).toBe(true);
});

test('names that would leave the directory are refused, whoever gives them', async () => {
  const before = everythingIn(directory).length;
  for (const name of [
    '../../evil-Q8_0.gguf',
    '/etc/evil.gguf',
    'a/../../evil.gguf',
    'a\\..\\evil.gguf',
    'a//b.gguf',
    'C:evil.gguf',
    '.../x.gguf',
  ]) {
    rig.mirror.put(`acme/m${name.length}`, { [name]: WEIGHTS });
    await expect(rig.pull(`acme/m${name.length}`), name).rejects.toMatchObject({ code: 'unsafe' });
  }
  rig.mirror.put('acme/shards', {
    'config.json': '{}',
    'model.safetensors.index.json': JSON.stringify({ weight_map: { a: '../../../evil.safetensors' } }),
  });
  await expect(rig.pull('acme/shards')).rejects.toMatchObject({ code: 'answer' });
  gguf();
  rig.mirror.fault = ({ method }) =>
    method === 'HEAD' ? { status: 200, headers: { etag: '"../../evil"', 'content-length': '5' } } : undefined;
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'unsafe' });
  const fresh = everythingIn(directory).filter((path) => path.includes('evil'));
  expect(fresh).toEqual([]);
  expect(everythingIn(directory).length).toBeGreaterThan(before);
});

test('a listing of thousands is read page by page', async () => {
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`logs/${index}.txt`, 'x']));
  rig.mirror.put('acme/m', { ...many, 'z-Q8_0.gguf': WEIGHTS });
  const { path } = await rig.pull('acme/m');
  expect(path.endsWith('z-Q8_0.gguf')).toBe(true);
  expect(rig.mirror.requests.filter(({ url }) => url.includes('/tree/'))).toHaveLength(6);
});

test('of two pullers one fetches, and the other waits and finds it', async () => {
  gguf();
  const [first, second] = await Promise.all([rig.pull('acme/m'), rig.pull('acme/m')]);
  expect(first!.path).toBe(second!.path);
  expect(rig.mirror.served).toBe(WEIGHTS.length);
  expect(rig.notes).toEqual([
    expect.stringMatching(/^process \d+ on here is pulling acme\/m: waiting for it$/),
  ]);
});

test('the lock of the dead and of the silent is taken over, that of the living is not', async () => {
  gguf();
  const lock = join(rig.cacheDirectory, '.locks/models--acme--m/sparklane.lock');
  const leave = (content: string, ageMs: number) => {
    mkdirSync(join(lock, '..'), { recursive: true });
    writeFileSync(lock, content);
    const then = (Date.now() - ageMs) / 1000;
    utimesSync(lock, then, then);
  };
  leave(JSON.stringify({ pid: 77, host: 'here', token: 'x' }), 0);
  await rig.pull('acme/m', { isAlive: (pid) => pid !== 77 });
  leave(JSON.stringify({ pid: 77, host: 'elsewhere', token: 'x' }), 90_000);
  await rig.pull('acme/m');
  leave('{"pid":', 90_000);
  await rig.pull('acme/m');
  leave(JSON.stringify({ pid: 77, host: 'elsewhere', token: 'x' }), 0);
  const enough = new AbortController();
  const note = (text: string) => {
    expect(text).toBe('process 77 on elsewhere is pulling acme/m: waiting for it');
    enough.abort();
  };
  await expect(rig.pull('acme/m', { note, signal: enough.signal })).rejects.toMatchObject({
    code: 'stopped',
  });
  expect(readFileSync(lock, 'utf8')).toContain('elsewhere');
});

test('who loses the lock stops writing', async () => {
  gguf();
  const lock = join(rig.cacheDirectory, '.locks/models--acme--m/sparklane.lock');
  rig.mirror.beforePiece = async (_, offset) => {
    if (offset !== 65_536) return;
    writeFileSync(lock, JSON.stringify({ pid: 5, host: 'elsewhere', token: 'other' }));
    rig.clock.expire(TOUCH_MS); // time to touch it, and to find it another's
    await new Promise(() => {});
  };
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'locked' });
  expect(readFileSync(lock, 'utf8')).toContain('other');
});

test('a disk without room is noticed before a byte is fetched', async () => {
  gguf();
  const disk = { ...systemDisk, freeSize: async () => 150_000 };
  await expect(rig.pull('acme/m', { disk })).rejects.toThrow('200 kB are needed and 150 kB are free at');
  expect(rig.mirror.served).toBe(0);
});

test('a disk that fills up in the middle keeps what it has, and the next pull goes on', async () => {
  gguf();
  let room = 120_000;
  const disk = {
    ...systemDisk,
    async openGrowing(path: string) {
      const file = await systemDisk.openGrowing(path);
      return {
        ...file,
        append: async (bytes: Uint8Array) => {
          room -= bytes.length;
          if (room < 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
          await file.append(bytes);
        },
      };
    },
  };
  await expect(rig.pull('acme/m', { disk })).rejects.toThrow('the disk is full; what has arrived is kept');
  const { served } = rig.mirror;
  rig.mirror.served = 0;
  await rig.pull('acme/m');
  expect(served).toBeGreaterThan(0);
  expect(rig.mirror.served).toBeLessThan(WEIGHTS.length);
});

test('what cannot be served is not fetched', async () => {
  rig.mirror.put('acme/m', { 'config.json': '{}', 'model.safetensors': WEIGHTS });
  const checkSettings = (path: string) => {
    throw new Error(`no: ${readFileSync(join(path, 'config.json'), 'utf8')}`);
  };
  await expect(rig.pull('acme/m', { checkSettings })).rejects.toThrow('no: {}');
  expect(rig.mirror.served).toBe(2);
  expect(existsSync(join(folder(), 'refs'))).toBe(false);
});

test('nor are GGUF files of an architecture that the hub knows and we do not', async () => {
  gguf();
  rig.mirror.architecture = 'mamba';
  const checkArchitecture = (architecture: string) => {
    throw new Error(`no: ${architecture}`);
  };
  await expect(rig.pull('acme/m', { checkArchitecture })).rejects.toThrow('no: mamba');
  expect(rig.mirror.requests.filter(({ method }) => method === 'HEAD')).toEqual([]);
});

test('something else at the endpoint is noticed', async () => {
  rig.mirror.fault = () => ({ status: 200 });
  await expect(rig.pull('acme/m')).rejects.toMatchObject({ code: 'answer' });
});
