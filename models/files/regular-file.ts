// A file of weights, open for as long as something is read from it. Owns what the system's errors are called. Before it:
// weights/safetensors.ts and gguf/gguf-file.ts; after it: the disk.
import { closeSync, constants, openSync, statSync } from 'node:fs';
import { CheckpointError } from './model-file.ts';

/** Throws CheckpointError where the path is no regular file, or the system fails while `use` reads. */
export function withFile<T>(path: string, use: (fd: number) => T): T {
  let fd: number | null = null;
  try {
    // Asked before it is opened: opening a pipe would wait for a writer.
    if (!statSync(path).isFile()) throw new CheckpointError('is not a regular file', { file: path });
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a FIFO would be waited for
    return use(fd);
  } catch (error) {
    // Errors of the operating system: no such file, a disk that fails.
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new CheckpointError(`cannot be read: ${error.message}`, { file: path, cause: error });
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
