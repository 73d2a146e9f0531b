// One file of the hub as a blob of the cache: goes on where an earlier pull was cut, and is not there under its name
// before its checksum is right. Owns blobs/<etag>.incomplete. Before it: pull.ts; after it: hub-listing.ts, pull-disk.ts.
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rename, stat } from 'node:fs/promises';
import type { HubAnswer, HubClient } from './hub-client.ts';
import { HubError } from './hub-error.ts';
import { type HubFile, openFile } from './hub-listing.ts';
import type { GrowingFile, PullDisk } from './pull-disk.ts';

export const INCOMPLETE = '.incomplete';

/** Bytes of the file so far (falls when it has to begin anew), and how many of them have just come from the hub. */
export type OnBlobProgress = (doneSize: number, arrivedSize: number) => void;

export interface BlobRequest {
  readonly client: HubClient;
  readonly disk: PullDisk;
  readonly file: HubFile;
  readonly commit: string;
  readonly path: string; // where the blob goes
  readonly onProgress: OnBlobProgress;
}

/** Resolves once the blob is there, whole and checked. Rejects with HubError; what has arrived is kept. */
export async function fetchBlob(request: BlobRequest): Promise<void> {
  const { disk, path, file } = request;
  const growing = await disk
    .openGrowing(path + INCOMPLETE)
    .catch((error) => Promise.reject(diskError(error)));
  try {
    const arrival = new Arrival(request, growing);
    await arrival.takeUp();
    await arrival.complete();
    // Bytes on disk from an earlier day may be the wrong ones; those that came just now in one piece are the hub's.
    if (!arrival.isRight()) {
      const { note } = request.client.parts;
      note(`${file.path} has not the checksum that the hub says: fetching it once more from its beginning`);
      await arrival.restart();
      await arrival.complete();
      if (!arrival.isRight()) {
        await arrival.restart();
        const text = `${file.path} arrives altered: its ${file.digest!.kind} is not ${file.digest!.hex}`;
        throw new HubError('checksum', `${text}; nothing of it was kept`);
      }
    }
    await growing.flush();
  } finally {
    await growing.close();
  }
  await rename(path + INCOMPLETE, path);
}

/** Whether a file holds the bytes that the hub means. `onProgress` as above. */
export async function isBlobRight(
  path: string,
  { size, digest }: HubFile,
  onProgress: OnBlobProgress,
): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null || !found.isFile() || found.size !== size) return false;
  if (digest === null) return true;
  const hash = hashOf(digest.kind, size);
  let done = 0;
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(piece);
    done += piece.length;
    onProgress(done, 0);
  }
  return hash.digest('hex') === digest.hex;
}

class Arrival {
  readonly #request: BlobRequest;
  readonly #growing: GrowingFile;
  #hash: Hash;
  #size = 0; // bytes that are on disk and in the hash
  #farthest = 0; // bytes, of all attempts: a server that cannot go on must not be asked for ever

  constructor(request: BlobRequest, growing: GrowingFile) {
    this.#request = request;
    this.#growing = growing;
    this.#hash = this.#freshHash();
  }

  /** What an earlier pull has left. */
  async takeUp(): Promise<void> {
    if (this.#growing.size > this.#request.file.size) return this.restart();
    for await (const piece of this.#growing.read()) {
      this.#hash.update(piece);
      this.#size += piece.length;
      this.#request.onProgress(this.#size, 0);
    }
  }

  async restart(): Promise<void> {
    await this.#growing.clear();
    this.#hash = this.#freshHash();
    this.#size = 0;
    this.#request.onProgress(0, 0);
  }

  async complete(): Promise<void> {
    const { client, file } = this.#request;
    this.#farthest = this.#size;
    await client.persist(
      async () => {
        while (this.#size < file.size) await this.#fetchRest();
      },
      () => this.#farthest,
    );
  }

  isRight(): boolean {
    const { digest } = this.#request.file;
    return digest === null || this.#hash.copy().digest('hex') === digest.hex;
  }

  async #fetchRest(): Promise<void> {
    const { client, file, commit } = this.#request;
    const answer = await openFile(client, file.path, { commit, offset: this.#size });
    try {
      if (!this.#goesOn(answer)) {
        // Either the server cannot begin in the middle, or what we have is not the beginning of what it has.
        await this.restart();
        if (answer.status !== 200) return;
      }
      await this.#take(answer);
    } finally {
      answer.discard();
    }
  }

  /** Whether the answer begins where our bytes end. */
  #goesOn({ status, header }: HubAnswer): boolean {
    if (status === 200) return this.#size === 0;
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header('content-range') ?? '');
    const total = range?.[2] ?? '';
    const fits =
      Number(range?.[1]) === this.#size && (total === '*' || Number(total) === this.#request.file.size);
    if (status === 206 && fits) return true;
    if (this.#size > 0) return false;
    const { path, size } = this.#request.file;
    throw new HubError('answer', `the hub answers a part of ${path} that nobody asked for, of ${size} bytes`);
  }

  async #take(answer: HubAnswer): Promise<void> {
    const { file } = this.#request;
    for await (const piece of answer.body) {
      if (this.#size + piece.length > file.size) {
        await this.restart();
        throw new HubError('answer', `${file.path} is longer than the ${file.size} bytes that the hub says`);
      }
      await this.#growing.append(piece).catch((error) => Promise.reject(diskError(error)));
      this.#hash.update(piece);
      this.#size += piece.length;
      this.#farthest = Math.max(this.#farthest, this.#size);
      this.#request.onProgress(this.#size, piece.length);
    }
    if (this.#size < file.size) {
      const text = `${file.path} was cut after ${this.#size} of ${file.size} bytes`;
      throw new HubError('network', text, { retryable: true });
    }
  }

  #freshHash(): Hash {
    const { digest, size } = this.#request.file;
    return hashOf(digest?.kind ?? 'sha256', size);
  }
}

/** Git's sha1 is of a header and the bytes. */
function hashOf(kind: 'sha256' | 'git-sha1', size: number): Hash {
  return kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

export function diskError(error: unknown): HubError {
  const { code, message } = error as Error & { code?: string };
  const text =
    code === 'ENOSPC' || code === 'EDQUOT' ? 'the disk is full' : `the cache cannot be written: ${message}`;
  return new HubError('disk', `${text}; what has arrived is kept, and the next pull goes on from there`, {
    cause: error,
  });
}
