// Disk: a folder of append-only files, as kv-archive.ts needs it; callbacks, so that it runs in virtual time too. Owns
// file handles and permissions; knows nothing of what is in the files. Tests bring one of memory.
import {
  close,
  closeSync,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  readSync,
  readv,
  rmSync,
  statSync,
  utimes,
  write,
} from 'node:fs';
import { join } from 'node:path';

export interface DiskFile {
  readonly name: string;
  readonly size: number; // bytes
  readonly usedMs: number; // time of day of its last use
}

export interface Disk {
  /** At start, before anything else. */
  list(): readonly DiskFile[];
  /** At start: up to `size` bytes, fewer at the file's end. */
  readNow(name: string, offset: number, size: number): Buffer;
  /** There will be no more readNow(). */
  endScan(): void;
  /** Fills `into`, at most PIECES_MAX, one after the other. `done` gets the count of bytes, fewer at the file's end; 0 if
   * the file is gone or cannot be read. */
  read(name: string, offset: number, into: readonly Uint8Array[], done: (size: number) => void): void;
  /** Writes all of it at `offset` of a file of this process, created if need be. `done` gets the reason of a failure. */
  write(name: string, offset: number, bytes: Buffer, done: (error: string | null) => void): void;
  /** Notes that the file was used. */
  touch(name: string): void;
  remove(name: string): void;
}

export const PIECES_MAX = 1024; // of one read; source: IOV_MAX of Linux and macOS

const OWNER_ONLY = 0o600; // KV tells what the conversations were
const OWNER_ONLY_FOLDER = 0o700;

/** Throws what the system says if the folder cannot be made or listed. */
export class FolderDisk implements Disk {
  readonly #directory: string;
  readonly #suffix: string;
  readonly #epochMs: () => number; // time of day
  #scanned: { readonly name: string; readonly fd: number } | null = null; // the file that readNow() read last
  #writing: { readonly name: string; readonly fd: number } | null = null; // the file written last

  constructor(directory: string, { suffix, epochMs }: { suffix: string; epochMs: () => number }) {
    mkdirSync(directory, { recursive: true, mode: OWNER_ONLY_FOLDER });
    this.#directory = directory;
    this.#suffix = suffix;
    this.#epochMs = epochMs;
  }

  list(): DiskFile[] {
    const names = readdirSync(this.#directory).filter((name) => name.endsWith(this.#suffix));
    return names.flatMap((name) => {
      const stats = statSync(join(this.#directory, name), { throwIfNoEntry: false });
      return stats === undefined ? [] : [{ name, size: stats.size, usedMs: stats.mtimeMs }];
    });
  }

  readNow(name: string, offset: number, size: number): Buffer {
    const bytes = Buffer.alloc(size);
    if (this.#scanned?.name !== name) {
      this.endScan();
      this.#scanned = { name, fd: openSync(join(this.#directory, name), 'r') };
    }
    return bytes.subarray(0, readSync(this.#scanned.fd, bytes, 0, size, offset));
  }

  endScan(): void {
    if (this.#scanned !== null) closeSync(this.#scanned.fd);
    this.#scanned = null;
  }

  read(name: string, offset: number, into: readonly Uint8Array[], done: (size: number) => void): void {
    open(join(this.#directory, name), 'r', (openError, fd) => {
      if (openError !== null) return done(0);
      readv(fd, into, offset, (error, size) => {
        close(fd, ignore);
        done(error === null ? size : 0);
      });
    });
  }

  write(name: string, offset: number, bytes: Buffer, done: (error: string | null) => void): void {
    if (this.#writing?.name === name) {
      writeAll(this.#writing.fd, offset, bytes, done);
      return;
    }
    if (this.#writing !== null) close(this.#writing.fd, ignore);
    this.#writing = null;
    // Never another process's file: whoever comes first has the name.
    open(join(this.#directory, name), 'wx', OWNER_ONLY, (error, fd) => {
      if (error !== null) return done(error.message);
      this.#writing = { name, fd };
      writeAll(fd, offset, bytes, done);
    });
  }

  touch(name: string): void {
    const now = new Date(this.#epochMs());
    utimes(join(this.#directory, name), now, now, ignore);
  }

  remove(name: string): void {
    try {
      rmSync(join(this.#directory, name), { force: true });
    } catch {
      // Somebody else's file, or a system that keeps open files: it is listed and tried again at the next start.
    }
  }
}

function writeAll(fd: number, offset: number, bytes: Buffer, done: (error: string | null) => void): void {
  write(fd, bytes, 0, bytes.length, offset, (error, count) => {
    if (error !== null) done(error.message);
    else if (count < bytes.length) writeAll(fd, offset + count, bytes.subarray(count), done);
    else done(null);
  });
}

function ignore(): void {}
