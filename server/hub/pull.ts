// Pulls a model: lists it, chooses its files, fetches what the cache lacks and shows them under the commit's name, the
// way Hugging Face's tools do, so that each finds what the other fetched. Owns the order of things: nothing is visible
// before it is whole. Before it: cli/hub-model.ts; after it: blob.ts.
import { cp, lstat, mkdir, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { hubFolder } from '../../models/files/hub-cache.ts';
import { diskError, fetchBlob, INCOMPLETE, isBlobRight } from './blob.ts';
import { type CachedModel, openedPath, shardsOf } from './cached-model.ts';
import { chooseFiles } from './file-choice.ts';
import { HubClient, type HubParts } from './hub-client.ts';
import { HubError } from './hub-error.ts';
import { describeFile, type HubFile, type HubListing, listModel } from './hub-listing.ts';
import { type Lock, type LockOwner, takeLock } from './lock.ts';
import type { PullDisk } from './pull-disk.ts';
import { type HubReference, referenceText } from './reference.ts';
import { sizeText } from './size-text.ts';

export interface PullParts extends HubParts {
  readonly disk: PullDisk;
  readonly self: LockOwner;
  readonly isAlive: (pid: number) => boolean;
  /** Throws when the model of this directory, which has all but weights, cannot be served. */
  readonly checkSettings: (directory: string) => void;
  /** Likewise when GGUF files of this architecture cannot. */
  readonly checkArchitecture: (architecture: string) => void;
  readonly progress: PullProgress;
}

export interface PullProgress {
  /** Sizes in bytes, of all files that are known so far. */
  onPlan(plan: { readonly fileCount: number; readonly totalSize: number }): void;
  /** Of them on disk and checked, and how many have come from the hub. The first falls when a file begins anew. */
  onSize(doneSize: number, arrivedSize: number): void;
}

export interface PulledModel extends CachedModel {
  readonly commit: string;
  readonly totalSize: number; // bytes, of all its files
  readonly arrivedSize: number; // bytes that came from the hub
}

/** Rejects with HubError, or with what the checks throw. What has arrived is kept. */
export async function pullModel(reference: HubReference, parts: PullParts): Promise<PulledModel> {
  if (parts.settings.offline) {
    throw new HubError('offline', `HF_HUB_OFFLINE is set: ${referenceText(reference)} is not fetched`);
  }
  const losing = new AbortController();
  const signal = AbortSignal.any([parts.signal, losing.signal]);
  const client = new HubClient({ ...parts, signal }, reference);
  const listing = await listModel(client);
  const choice = chooseFiles([...listing.files.keys()], reference);
  if (choice.kind === 'gguf' && listing.architecture !== null) parts.checkArchitecture(listing.architecture);
  const folder = hubFolder(parts.settings.cacheDirectory, reference.id);
  const lock = await lockFolder(client, parts, () => losing.abort());
  try {
    const pull = new Pull(client, parts, { folder, listing });
    const directory = join(folder, 'snapshots', listing.commit);
    if (choice.kind === 'gguf') {
      await pull.fetch(choice.parts);
    } else {
      await pull.fetch(choice.isIndex ? [...choice.settings, ...choice.weights] : choice.settings);
      parts.checkSettings(directory);
      await pull.fetch(choice.isIndex ? shardsOf(join(directory, choice.weights[0]!)) : choice.weights);
    }
    await writeRef(folder, reference.revision, listing.commit);
    const { totalSize, arrivedSize } = pull;
    return {
      directory,
      path: openedPath(directory, choice),
      commit: listing.commit,
      totalSize,
      arrivedSize,
    };
  } catch (error) {
    if (losing.signal.aborted && !parts.signal.aborted) {
      throw new HubError('locked', `another process has taken over the pull of ${reference.id}`, {
        cause: error,
      });
    }
    throw error;
  } finally {
    await lock.release();
  }
}

const DESCRIBED_AT_ONCE = 8; // files
const LOCK_POLL_MS = 500;

class Pull {
  readonly #client: HubClient;
  readonly #parts: PullParts;
  readonly #folder: string;
  readonly #listing: HubListing;
  readonly #files: HubFile[] = [];
  #doneSize = 0; // bytes of whole files
  #arrivedSize = 0; // bytes that have come from the hub

  constructor(client: HubClient, parts: PullParts, at: { folder: string; listing: HubListing }) {
    this.#client = client;
    this.#parts = parts;
    this.#folder = at.folder;
    this.#listing = at.listing;
  }

  get arrivedSize(): number {
    return this.#arrivedSize;
  }

  get totalSize(): number {
    return this.#files.reduce((sum, { size }) => sum + size, 0);
  }

  async fetch(paths: readonly string[]): Promise<void> {
    const absent = paths.find((path) => !this.#listing.files.has(path));
    if (absent !== undefined) {
      throw new HubError('missing', `${this.#client.reference.id} lacks ${absent}, which its index names`);
    }
    const files = await this.#describe(paths);
    this.#files.push(...files);
    this.#parts.progress.onPlan({ fileCount: this.#files.length, totalSize: this.totalSize });
    await this.#checkRoom(files);
    for (const file of files) {
      await this.#ensureBlob(file);
      await this.#show(file);
      this.#doneSize += file.size;
      this.#parts.progress.onSize(this.#doneSize, this.#arrivedSize);
    }
  }

  async #describe(paths: readonly string[]): Promise<readonly HubFile[]> {
    const files: HubFile[] = [];
    for (let at = 0; at < paths.length; at += DESCRIBED_AT_ONCE) {
      const some = paths.slice(at, at + DESCRIBED_AT_ONCE);
      files.push(...(await Promise.all(some.map((path) => describeFile(this.#client, path, this.#listing)))));
    }
    return files;
  }

  async #checkRoom(files: readonly HubFile[]): Promise<void> {
    let needed = 0;
    for (const { etag, size } of files) {
      const blob = this.#blobPath(etag);
      if ((await sizeOf(blob)) === size) continue;
      needed += Math.max(0, size - ((await sizeOf(blob + INCOMPLETE)) ?? 0));
    }
    const free = await this.#parts.disk.freeSize(this.#folder);
    if (needed <= free) return;
    const text = `${sizeText(needed)} are needed and ${sizeText(free)} are free at ${this.#folder}`;
    throw new HubError('disk', `${text}; HF_HUB_CACHE may name another place`);
  }

  async #ensureBlob(file: HubFile): Promise<void> {
    const path = this.#blobPath(file.etag);
    const onProgress = (size: number, arrived: number) => {
      this.#arrivedSize += arrived;
      this.#parts.progress.onSize(this.#doneSize + size, this.#arrivedSize);
    };
    if (await isBlobRight(path, file, onProgress)) return;
    if ((await sizeOf(path)) !== null) {
      this.#parts.note(`${file.path} in the cache is not what the hub has: fetching it again`);
      await unlink(path).catch((error) => Promise.reject(diskError(error)));
    }
    if (file.digest === null)
      this.#parts.note(`the hub gives no checksum for ${file.path}: only its length is checked`);
    const { disk } = this.#parts;
    await fetchBlob({ client: this.#client, disk, file, commit: this.#listing.commit, path, onProgress });
  }

  /** Under its own name in the snapshot: a relative link, or the file itself where there are no links. */
  async #show({ path, etag }: HubFile): Promise<void> {
    const blob = this.#blobPath(etag);
    const shown = join(this.#folder, 'snapshots', this.#listing.commit, ...path.split('/'));
    const fresh = `${shown}.${this.#parts.self.token}.tmp`;
    try {
      await mkdir(dirname(shown), { recursive: true });
      await symlink(relative(dirname(shown), blob), fresh).catch(() => cp(blob, fresh));
      const there = await lstat(shown).catch(() => null);
      if (there?.isDirectory() === true) throw new Error(`${shown} is a directory`);
      await rename(fresh, shown);
    } catch (error) {
      await unlink(fresh).catch(() => {});
      throw diskError(error);
    }
  }

  #blobPath(etag: string): string {
    return join(this.#folder, 'blobs', etag);
  }
}

async function lockFolder(client: HubClient, parts: PullParts, onLost: () => void): Promise<Lock> {
  const { id } = client.reference;
  const folder = hubFolder(join(parts.settings.cacheDirectory, '.locks'), id);
  for (let told = ''; ; ) {
    const taken = await takeLock(join(folder, 'sparklane.lock'), parts, onLost).catch((error) =>
      Promise.reject(diskError(error)),
    );
    if ('lock' in taken) return taken.lock;
    if (taken.holder !== told) parts.note(`${taken.holder} is pulling ${id}: waiting for it`);
    told = taken.holder;
    await client.pause(LOCK_POLL_MS);
  }
}

/** Last of all, so that a name never means half a model. */
async function writeRef(folder: string, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const path = join(folder, 'refs', ...revision.split('/'));
  const fresh = `${path}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(fresh, commit, { flush: true });
    await rename(fresh, path);
  } catch (error) {
    throw diskError(error);
  }
}

async function sizeOf(path: string): Promise<number | null> {
  return (await stat(path).catch(() => null))?.size ?? null;
}
