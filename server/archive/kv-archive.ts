// KvArchive: KV blocks on disk. Owns which block lies where in which segment file, what waits to be written, and which
// segments go when the bound is reached; copies bytes between the files and the device's block store. A crash loses what
// was not written yet and nothing else: files only grow, and whatever is not whole at their end is ignored. Before it:
// server/engine/cold-tier.ts; after it: disk.ts.
import assert from 'node:assert/strict';
import type { Backend } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import type { BlockArchive, BlockKey } from '../engine/block-archive.ts';
import type { ArchiveObserver } from './archive-observer.ts';
import { type Disk, PIECES_MAX } from './disk.ts';
import type { KeyChain } from './key-chain.ts';
import { HEADER_SIZE, isWhole, sealRecord } from './record.ts';
import { type RecordPlace, Segments } from './segments.ts';

/** A device whose blocks can be copied out and in. */
export type CopyableBlocks = Required<Pick<Backend, 'blockBytes' | 'readBlock' | 'writeBlock'>> &
  Pick<Backend, 'blockPieces'>;

export interface ArchiveBounds {
  readonly sizeMax: number; // bytes of all segments; a little more while one is being written
  readonly segmentSizeMax: number; // bytes
  readonly queueSizeMax: number; // bytes that wait to be written
}

export interface KvArchiveParts {
  readonly disk: Disk;
  readonly keys: KeyChain;
  readonly blocks: CopyableBlocks;
  readonly bounds: ArchiveBounds;
  readonly clock: Clock;
  readonly freshName: () => string; // of a segment; never one that exists
  readonly observer: ArchiveObserver;
  readonly onFault: (message: string) => void; // for the log
}

/** Blocks on their way from the disk. */
interface Fetch {
  readonly keys: readonly BlockKey[];
  readonly blocks: readonly number[];
  readonly done: (count: number) => void;
  readonly batches: Batch[]; // being read, in order; their blocks must not be given away meanwhile
  next: number; // first key that no batch has
  end: number; // leading blocks that can still come
}

/** Records behind each other in one file. */
interface Batch {
  readonly start: number; // index of its first key
  readonly landings: readonly Landing[];
  size: number | null; // bytes that were read; null: not yet
}

/** Where a record goes: into the store itself where that is possible, else beside it first. */
interface Landing {
  readonly header: Buffer;
  readonly payload: readonly Uint8Array[];
  readonly isCopy: boolean;
}

const BATCH_SIZE_MAX = 4 * 2 ** 20; // bytes of one read or write: long enough for any disk, short for the event loop
const READS_MAX = 2; // at a time for one sequence: filling memory takes a processor as long as anything
const WRITE_PAUSE_MS = 30_000; // after a failed write: the disk is full, or gone

export class KvArchive implements BlockArchive {
  readonly #parts: KvArchiveParts;
  readonly #segments: Segments;
  readonly #waiting = new Map<BlockKey, Buffer>(); // records, in the order they came
  #waitingSize = 0; // bytes, those being written included
  #writing = false;
  #writable = true;
  #closing = false;
  #onIdle: (() => void) | null = null;

  /** Reads what earlier processes left; throws what the system says if that is impossible. */
  constructor(parts: KvArchiveParts) {
    this.#parts = parts;
    const { bounds, disk, freshName, clock, observer } = parts;
    this.#segments = new Segments({ disk, freshName, clock, sizeMax: bounds.sizeMax, observer });
    this.#segments.scan();
  }

  /** Blocks that can be found. */
  get blockCount(): number {
    return this.#segments.blockCount + this.#waiting.size;
  }

  rootKey(salt: string): BlockKey {
    return this.#parts.keys.rootKey(salt);
  }

  nextKey(parent: BlockKey, tokens: Int32Array, start: number): BlockKey {
    return this.#parts.keys.nextKey(parent, tokens, start);
  }

  has(key: BlockKey): boolean {
    return this.#waiting.has(key) || this.#segments.find(key) !== null;
  }

  store(key: BlockKey, block: number): boolean {
    if (this.#closing) return false;
    if (this.has(key)) return true;
    const { blocks, bounds, observer } = this.#parts;
    const size = HEADER_SIZE + blocks.blockBytes;
    if (!this.#writable || this.#waitingSize + size > bounds.queueSizeMax) {
      observer.onArchiveLoss(this.#writable ? 'busy' : 'unwritable', 1);
      return false;
    }
    const record = Buffer.allocUnsafe(size);
    blocks.readBlock(block, record.subarray(HEADER_SIZE));
    sealRecord(record, key);
    this.#waiting.set(key, record);
    this.#waitingSize += size;
    // Not now: blocks come in bursts, and the engine is about to send its next step.
    this.#parts.clock.defer(() => this.#write());
    return true;
  }

  forget(key: BlockKey): void {
    this.#segments.forget(key);
    const record = this.#waiting.get(key);
    if (record === undefined || this.#writing) return;
    this.#waiting.delete(key);
    this.#waitingSize -= record.length;
  }

  fetch(keys: readonly BlockKey[], blocks: readonly number[], done: (count: number) => void): void {
    assert(keys.length === blocks.length);
    const fetch: Fetch = { keys, blocks, done, batches: [], next: 0, end: keys.length };
    this.#parts.clock.defer(() => this.#advance(fetch));
  }

  /** Calls back once nothing waits to be written any more, or cannot be. Nothing is stored afterwards. */
  close(done: () => void): void {
    this.#closing = true;
    if (!this.#writing && this.#waiting.size === 0) this.#parts.clock.defer(done);
    else this.#onIdle = done;
    this.#write();
  }

  /** Keeps the disk reading while what is here is checked; tells the end once nothing is under way. */
  #advance(fetch: Fetch): void {
    const { batches } = fetch;
    const { observer, blocks } = this.#parts;
    this.#readOn(fetch);
    for (let batch = batches[0]; batch !== undefined && batch.size !== null; batch = batches[0]) {
      batches.shift();
      this.#readOn(fetch);
      if (batch.start >= fetch.end) continue; // behind a damaged one
      const count = this.#check(fetch, batch, batch.size);
      observer.onUnarchived(count, count * blocks.blockBytes);
      if (count < batch.landings.length) fetch.end = batch.start + count;
    }
    if (batches.length === 0) fetch.done(fetch.end);
  }

  #readOn(fetch: Fetch): void {
    while (fetch.next < fetch.end && fetch.batches.length < READS_MAX) this.#readBatch(fetch);
  }

  /** Starts the next read, or finds that there is none. */
  #readBatch(fetch: Fetch): void {
    const { disk, blocks: store } = this.#parts;
    const { keys, blocks, batches } = fetch;
    // What has not been written yet needs no reading.
    for (
      let record = this.#waiting.get(keys[fetch.next]!);
      record;
      record = this.#waiting.get(keys[fetch.next]!)
    ) {
      store.writeBlock(blocks[fetch.next++]!, record.subarray(HEADER_SIZE));
    }
    const start = fetch.next;
    const place = start < keys.length ? this.#segments.find(keys[start]!) : null;
    if (place === null) {
      fetch.end = start;
      return;
    }
    fetch.next = this.#batchEnd(keys, start, place);
    this.#segments.use(place.segment);
    const landings = blocks.slice(start, fetch.next).map((block) => this.#landing(block));
    const batch: Batch = { start, landings, size: null };
    batches.push(batch);
    const into = landings.flatMap(({ header, payload }) => [header, ...payload]);
    disk.read(place.segment.name, place.offset, into, (size) => {
      batch.size = size;
      this.#advance(fetch);
    });
  }

  #landing(block: number): Landing {
    const { blocks: store } = this.#parts;
    const pieces = store.blockPieces?.(block);
    const payload = pieces ?? [Buffer.allocUnsafe(store.blockBytes)];
    return { header: Buffer.allocUnsafe(HEADER_SIZE), payload, isCopy: pieces === undefined };
  }

  /** Index after the last key whose record lies directly behind the one before, within one batch. */
  #batchEnd(keys: readonly BlockKey[], at: number, { segment, offset }: RecordPlace): number {
    const recordSize = HEADER_SIZE + this.#parts.blocks.blockBytes;
    const pieceCount = 1 + (this.#parts.blocks.blockPieces?.(0).length ?? 1);
    const countMax = Math.floor(Math.min(BATCH_SIZE_MAX / recordSize, PIECES_MAX / pieceCount));
    let end = at + 1;
    while (end < keys.length && end - at < countMax) {
      const next = this.#segments.find(keys[end]!);
      if (next?.segment !== segment || next.offset !== offset + (end - at) * recordSize) break;
      end++;
    }
    return end;
  }

  /** Leading blocks of a batch that are whole; the first one that is not is forgotten. `size`: bytes that were read. */
  #check(fetch: Fetch, { start, landings }: Batch, size: number): number {
    const { blocks: store, observer } = this.#parts;
    const recordSize = HEADER_SIZE + store.blockBytes;
    for (const [index, { header, payload, isCopy }] of landings.entries()) {
      const key = fetch.keys[start + index]!;
      if ((index + 1) * recordSize > size || !isWhole(header, payload, key)) {
        this.#segments.forget(key);
        observer.onArchiveLoss('damaged', 1);
        return index;
      }
      if (isCopy) store.writeBlock(fetch.blocks[start + index]!, payload[0]!);
    }
    return landings.length;
  }

  #write(): void {
    if (this.#writing || this.#waiting.size === 0 || !this.#writable) return;
    const { bounds, disk, observer } = this.#parts;
    const keys: BlockKey[] = [];
    const records: Buffer[] = [];
    let size = 0;
    for (const [key, record] of this.#waiting) {
      if (size > 0 && size + record.length > BATCH_SIZE_MAX) break;
      keys.push(key);
      records.push(record);
      size += record.length;
    }
    const segment = this.#segments.forWriting(size, bounds.segmentSizeMax);
    const start = segment.size;
    this.#writing = true;
    disk.write(segment.name, start, Buffer.concat(records), (error) => {
      this.#writing = false;
      this.#waitingSize -= size;
      for (const key of keys) this.#waiting.delete(key);
      if (error !== null) this.#onUnwritable(error, keys.length);
      else {
        this.#segments.add(segment, keys, records);
        observer.onArchived(keys.length, size);
      }
      this.#write();
      if (this.#waiting.size > 0 || this.#writing) return;
      this.#onIdle?.();
      this.#onIdle = null;
    });
  }

  #onUnwritable(error: string, blockCount: number): void {
    const { observer, onFault, clock } = this.#parts;
    observer.onArchiveLoss('unwritable', blockCount + this.#waiting.size);
    onFault(error);
    this.#segments.abandon(); // nobody knows how much of it is there
    this.#waiting.clear();
    this.#waitingSize = 0;
    if (this.#closing) return;
    this.#writable = false;
    clock.schedule(WRITE_PAUSE_MS, () => {
      this.#writable = true;
    });
  }
}
