// The disk as a puller needs it: room, and one file that grows. Owns nothing but the calls; tests bring a disk that is
// full. Used by blob.ts and pull.ts.
import { mkdir, open, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface GrowingFile {
  readonly size: number; // bytes, when it was opened
  /** All of it, in pieces that are valid until the next. */
  read(): AsyncIterable<Uint8Array>;
  /** At the end. Rejects with what the system says. */
  append(bytes: Uint8Array): Promise<void>;
  clear(): Promise<void>;
  /** Until it is on the disk itself. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface PullDisk {
  /** Bytes that may still be written below a directory, which need not exist. */
  freeSize(directory: string): Promise<number>;
  /** Created if missing. */
  openGrowing(path: string): Promise<GrowingFile>;
}

export const systemDisk: PullDisk = { freeSize, openGrowing };

async function freeSize(directory: string): Promise<number> {
  for (let at = directory; ; at = dirname(at)) {
    const found = await statfs(at).catch(() => null);
    if (found !== null) return found.bavail * found.bsize;
    if (dirname(at) === at) return Number.POSITIVE_INFINITY; // a system that does not tell
  }
}

const READ_SIZE = 1 << 20; // bytes

async function openGrowing(path: string): Promise<GrowingFile> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'a+');
  const { size } = await file.stat();
  return {
    size,
    async *read() {
      const buffer = Buffer.allocUnsafe(READ_SIZE);
      for (let offset = 0; ; ) {
        const { bytesRead } = await file.read(buffer, 0, READ_SIZE, offset);
        if (bytesRead === 0) return;
        offset += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
    async append(bytes) {
      for (let done = 0; done < bytes.length; ) {
        done += (await file.write(bytes, done, bytes.length - done)).bytesWritten;
      }
    },
    clear: () => file.truncate(0),
    flush: () => file.sync(),
    close: () => file.close(),
  };
}
