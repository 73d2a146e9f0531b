// Reads the head of a GGUF file forward, as far as it goes, without knowing its length: bytes come from disk when they
// are asked for. Owns the bounds: nothing is read or allocated beyond the file's end or 256 MiB, whatever lengths and
// counts the file claims. Before it: gguf-header.ts; after it: the disk.
import { readSync } from 'node:fs';
import { CheckpointError } from '../files/model-file.ts';

const headerSizeMax = 2 ** 28; // bytes; vocabularies of 262,144 tokens with merges and scores take some 15 MB
const firstReadSize = 2 ** 20; // bytes, doubled whenever they do not suffice

export class HeaderCursor {
  readonly #file: { readonly path: string; readonly fd: number; readonly size: number };
  #bytes = Buffer.alloc(0);
  #view = new DataView(this.#bytes.buffer, 0, 0);
  #position = 0;
  #entry: string | null = null; // what is being read, for messages

  constructor(file: { readonly path: string; readonly fd: number; readonly size: number }) {
    this.#file = file;
  }

  get position(): number {
    return this.#position;
  }

  /** Names what is read from here on. */
  enter(entry: string | null): void {
    this.#entry = entry;
  }

  refuse(problem: string): CheckpointError {
    return new CheckpointError(problem, { file: this.#file.path, field: this.#entry });
  }

  uint32(): number {
    const at = this.skip(4); // first: it may change the view
    return this.#view.getUint32(at, true);
  }

  /** Above 2⁵³ it is no length, count or offset of a file: refused as such. */
  uint64(what: string): number {
    const at = this.skip(8); // first: it may change the view
    const value = this.#view.getBigUint64(at, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.refuse(`${what} ${value} is absurd`);
    return Number(value);
  }

  string(): string {
    const size = this.uint64('a string of length');
    const at = this.skip(size);
    return this.#bytes.toString('utf8', at, at + size);
  }

  /** Steps over bytes, which lie in `bytes()` from the answered offset on. Throws CheckpointError at the end. */
  skip(size: number): number {
    const at = this.#position;
    if (at + size > this.#bytes.length) this.#fill(at + size);
    this.#position += size;
    return at;
  }

  /** Everything read so far; later reads may go to another buffer, with the same content. */
  bytes(): Buffer {
    return this.#bytes;
  }

  #fill(end: number): void {
    const { path, fd, size } = this.#file;
    if (end > size) {
      throw this.refuse(`the head of the file goes on to byte ${end}, the file ends at ${size}`);
    }
    if (end > headerSizeMax) {
      throw this.refuse(`the head of the file takes more than ${headerSizeMax} bytes`);
    }
    const wanted = Math.max(end, 2 * this.#bytes.length, firstReadSize);
    const grown = Buffer.alloc(Math.min(size, headerSizeMax, wanted));
    this.#bytes.copy(grown);
    readFully(fd, grown.subarray(this.#bytes.length), { path, offset: this.#bytes.length });
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer, grown.byteOffset, grown.length);
  }
}

/** Fills `target` from the file's `offset` on. Throws CheckpointError at a premature end. */
export function readFully(
  fd: number,
  target: Uint8Array,
  { path, offset }: { readonly path: string; readonly offset: number },
): void {
  for (let done = 0; done < target.length; ) {
    const count = readSync(fd, target, done, Math.min(target.length - done, readSizeMax), offset + done);
    if (count === 0) throw new CheckpointError('the file ends early: it has changed', { file: path });
    done += count;
  }
}

const readSizeMax = 2 ** 24; // bytes a call; one read takes at most 2 GiB
