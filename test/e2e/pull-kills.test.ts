// A puller killed (kill -9) at ten points of a model of three files: each next one goes on from the last byte on disk,
// and what is visible is never half a file.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { findCached } from '../../server/hub/cached-model.ts';
import { parseReference } from '../../server/hub/reference.ts';
import { programFile } from '../built-program.ts';
import { sha256 } from '../hub-mirror.ts';
import { hubRig } from '../hub-rig.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const rig = hubRig(temporaryDirectory());
const root = join(import.meta.dirname, '../..');
const FILE_SIZE = 2_000_000;
const KILL_COUNT = 10;
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function startPuller(): { readonly child: ChildProcess; readonly end: Promise<unknown[]> } {
  const args = [programFile('test/e2e/pull-child.ts'), rig.mirror.endpoint, rig.cacheDirectory, 'acme/m'];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  children.push(child);
  return { child, end: once(child, 'exit') };
}

test('killed at ten points, a pull ends whole', async () => {
  const files = new Map<string, Buffer>(
    [1, 2, 3].map((part) => {
      const bytes = Buffer.from(Array.from({ length: FILE_SIZE }, (_, at) => (at * part + (at >> 9)) & 0xff));
      return [`m-0000${part}-of-00003.gguf`, bytes] as const;
    }),
  );
  rig.mirror.put('acme/m', Object.fromEntries(files));
  const total = FILE_SIZE * files.size;
  // Points of the whole, spread over it: beginnings, middles and ends of files among them.
  const points = Array.from({ length: KILL_COUNT }, (_, kill) =>
    Math.floor((total * (kill + 0.3)) / KILL_COUNT),
  );
  const reached = (path: string, offset: number) => [...files.keys()].indexOf(path) * FILE_SIZE + offset;
  let onDisk = 0; // bytes
  for (const point of points) {
    const kept = unfinishedSize();
    rig.mirror.requests.length = 0;
    const { child, end } = startPuller();
    rig.mirror.beforePiece = (path, offset) => {
      if (reached(path, offset) < point) return undefined;
      child.kill('SIGKILL');
      return new Promise(() => {});
    };
    expect((await end)[1]).toBe('SIGKILL');
    expect(findCached(parseReference('acme/m')!, rig.cacheDirectory)).toBeNull();
    // What reached the disk is not fetched again: only what was on its way is lost.
    const first = rig.mirror.requests.find(({ host }) => host === 'storage');
    if (kept > 0 && kept < FILE_SIZE) expect(first!.range).toBe(`bytes=${kept}-`);
    const size = wholeSize() + unfinishedSize();
    expect(size).toBeGreaterThanOrEqual(onDisk);
    onDisk = size;
  }
  rig.mirror.beforePiece = () => undefined;
  expect(await startPuller().end).toEqual([0, null]);
  const { directory } = findCached(parseReference('acme/m')!, rig.cacheDirectory)!;
  for (const [path, bytes] of files) expect(readFileSync(join(directory, path)).equals(bytes)).toBe(true);
  expect(blobNames()).toHaveLength(files.size);
});

function unfinishedSize(): number {
  const names = blobNames().filter((name) => name.endsWith('.incomplete'));
  expect(names.length).toBeLessThanOrEqual(1);
  return names.reduce((sum, name) => sum + statSync(join(blobs(), name)).size, 0);
}

/** A blob that has its name is what its name says. */
function wholeSize(): number {
  const names = blobNames().filter((name) => !name.endsWith('.incomplete'));
  for (const name of names) expect(sha256(readFileSync(join(blobs(), name)))).toBe(name);
  return names.length * FILE_SIZE;
}

function blobs(): string {
  return join(rig.cacheDirectory, 'models--acme--m/blobs');
}

function blobNames(): readonly string[] {
  return existsSync(blobs()) ? readdirSync(blobs()) : [];
}
