// A folder of built things, each in a sub-folder named by its key. An entry is written beside its place and moved
// there whole, with a manifest of its files; what does not agree with its manifest is built again. Owns no format.
// Before it: graph/build.ts; after it: the file system.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** One file of an entry. */
export interface FileDigest {
  readonly file: string; // name within the entry
  readonly size: number; // bytes
  readonly sha256: string; // hex
}

export interface EntryRequest {
  readonly cacheDirectory: string; // created if missing
  readonly key: string; // a file name
  /** Fills an empty folder, every file flushed to disk, and says what it wrote. */
  readonly build: (directory: string) => Promise<readonly FileDigest[]>;
}

export interface CacheEntry {
  readonly directory: string;
  readonly found: boolean; // false: just built
}

const manifestFile = 'manifest.json';
const manifestVersion = 1;

// Files up to this size are read and compared with their checksum at every start (some 0.1 s); of larger ones only
// the size is compared, because reading gigabytes would cost more than it finds: a write cut short changes the size.
const checkedSizeMax = 64 * 2 ** 20; // bytes

// A temporary folder this much older than a new one was left by a builder that died.
const abandonedMs = 24 * 3600 * 1000;

/** A sound entry: found, or built now. Rejects with what `build` or the file system rejects with. */
export async function openEntry(request: EntryRequest): Promise<CacheEntry> {
  const directory = join(request.cacheDirectory, request.key);
  if (await isSound(directory)) return { directory, found: true };
  await mkdir(request.cacheDirectory, { recursive: true });
  const building = await mkdtemp(join(request.cacheDirectory, `.building-${request.key}-`));
  try {
    await removeAbandoned(request.cacheDirectory, building);
    const files = await request.build(building);
    const manifest = JSON.stringify({ version: manifestVersion, files }, null, 2);
    await writeFile(join(building, manifestFile), manifest, { flush: true });
    await flushDirectory(building);
    await moveIntoPlace(building, directory);
    await flushDirectory(request.cacheDirectory);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return { directory, found: false };
}

/** Whether a sound entry is there. */
export function hasEntry({
  cacheDirectory,
  key,
}: Pick<EntryRequest, 'cacheDirectory' | 'key'>): Promise<boolean> {
  return isSound(join(cacheDirectory, key));
}

/** Whether every file of the manifest is there with its size, and with its checksum where that is cheap. */
async function isSound(directory: string): Promise<boolean> {
  const files = await readManifest(directory);
  if (files === null) return false;
  for (const { file, size, sha256 } of files) {
    const path = join(directory, file);
    const found = await stat(path).catch(() => null);
    if (found === null || !found.isFile() || found.size !== size) return false;
    if (size <= checkedSizeMax && (await hashFile(path)) !== sha256) return false;
  }
  return true;
}

/** Null when there is none, or none that this version wrote. */
async function readManifest(directory: string): Promise<readonly FileDigest[] | null> {
  const text = await readFile(join(directory, manifestFile), 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    const { version, files } = JSON.parse(text) as { version?: unknown; files?: unknown };
    const known = version === manifestVersion && Array.isArray(files) && files.length > 0;
    return known && files.every(isDigest) ? files : null;
  } catch {
    return null; // not JSON: cut short
  }
}

function isDigest(value: unknown): value is FileDigest {
  const { file, size, sha256 } = (value ?? {}) as Record<string, unknown>;
  return (
    typeof file === 'string' &&
    basename(file) === file &&
    typeof size === 'number' &&
    typeof sha256 === 'string'
  );
}

/** Another builder may have been first: its entry stays if it is sound, and is replaced if it is not. */
async function moveIntoPlace(building: string, directory: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await rename(building, directory);
      return;
    } catch (error) {
      if (await isSound(directory)) return;
      // Moved aside first, so that at no moment a half-removed folder stands in the entry's place.
      const aside = `${building}-broken-${attempt}`;
      const moved = await rename(directory, aside).then(
        () => true,
        () => false,
      );
      if (!moved && attempt >= 3) throw error;
      await rm(aside, { recursive: true, force: true });
    }
  }
}

async function removeAbandoned(cacheDirectory: string, fresh: string): Promise<void> {
  const { mtimeMs: nowMs } = await stat(fresh);
  for (const name of await readdir(cacheDirectory)) {
    if (!name.startsWith('.building-')) continue;
    const path = join(cacheDirectory, name);
    const found = await stat(path).catch(() => null); // gone: its builder has finished
    if (found !== null && nowMs - found.mtimeMs > abandonedMs)
      await rm(path, { recursive: true, force: true });
  }
}

/** Makes names durable. Windows cannot open a folder for this and does not need it. */
async function flushDirectory(directory: string): Promise<void> {
  const folder = await open(directory, 'r').catch(() => null);
  try {
    await folder?.sync().catch(() => undefined);
  } finally {
    await folder?.close();
  }
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest('hex');
}

/**
 * SHA-256 of each file's bytes, hex, in order. Of files past 64 MiB the result is remembered in the cache folder
 * under the file's path, size, inode and modification time, so that a start does not read gigabytes again.
 */
export async function hashFiles(
  paths: readonly string[],
  cacheDirectory: string,
): Promise<readonly string[]> {
  const digests: string[] = [];
  for (const path of paths) {
    const { size, ino, mtimeMs } = await stat(path);
    digests.push(
      size <= checkedSizeMax ? await hashFile(path) : await remembered(path, [size, ino, mtimeMs]),
    );
  }
  return digests;

  async function remembered(path: string, state: readonly number[]): Promise<string> {
    const identity = createHash('sha256')
      .update(JSON.stringify([path, ...state]))
      .digest('hex');
    const note = join(cacheDirectory, 'digests', identity);
    const known = await readFile(note, 'utf8').catch(() => '');
    if (/^[0-9a-f]{64}$/.test(known)) return known;
    const digest = await hashFile(path);
    await mkdir(join(cacheDirectory, 'digests'), { recursive: true });
    await writeFile(note, digest);
    return digest;
  }
}
