// Segments: the files of the archive and what lies in them. Owns the index (key → place), the order of use and the size
// bound: whole segments go, the one that was used longest ago first. Reads headers at start, else no bytes. Used by
// kv-archive.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { BlockKey } from '../engine/block-archive.ts';
import type { ArchiveObserver } from './archive-observer.ts';
import type { Disk } from './disk.ts';
import { HEADER_SIZE, readRecordHeader } from './record.ts';

export interface Segment {
  readonly name: string;
  readonly keys: BlockKey[];
  size: number; // bytes of whole records
  usedMs: number; // clock time; −1 and below: before this process
}

export interface RecordPlace {
  readonly segment: Segment;
  readonly offset: number;
}

export interface SegmentsParts {
  readonly disk: Disk;
  readonly freshName: () => string;
  readonly clock: Clock;
  readonly sizeMax: number; // bytes of all
  readonly observer: Pick<ArchiveObserver, 'onArchiveLoss' | 'onArchiveSize'>;
}

const TOUCH_EVERY_MS = 60_000; // how exactly the order of use survives a restart

export class Segments {
  readonly #parts: SegmentsParts;
  readonly #places = new Map<BlockKey, RecordPlace>();
  #segments: Segment[] = [];
  #current: Segment | null = null; // the one that grows
  #size = 0;

  constructor(parts: SegmentsParts) {
    this.#parts = parts;
  }

  get blockCount(): number {
    return this.#places.size;
  }

  find(key: BlockKey): RecordPlace | null {
    return this.#places.get(key) ?? null;
  }

  /** What earlier processes left. A file ends, for us, where its records stop being whole. */
  scan(): void {
    const { disk } = this.#parts;
    const files = [...disk.list()].sort((a, b) => a.usedMs - b.usedMs);
    for (const [index, file] of files.entries()) {
      const segment: Segment = { name: file.name, keys: [], size: 0, usedMs: index - files.length };
      while (segment.size < file.size) {
        const header = readRecordHeader(disk.readNow(file.name, segment.size, HEADER_SIZE));
        if (header === null || segment.size + HEADER_SIZE + header.payloadSize > file.size) break;
        this.#places.set(header.key, { segment, offset: segment.size });
        segment.keys.push(header.key);
        segment.size += HEADER_SIZE + header.payloadSize;
      }
      if (segment.size === 0) {
        disk.remove(file.name);
        continue;
      }
      this.#segments.push(segment);
      this.#size += segment.size;
    }
    disk.endScan();
    this.#trim();
  }

  /** The segment that `size` more bytes go to. */
  forWriting(size: number, segmentSizeMax: number): Segment {
    if (this.#current !== null && this.#current.size + size <= segmentSizeMax) return this.#current;
    const { freshName, clock } = this.#parts;
    this.#current = { name: freshName(), keys: [], size: 0, usedMs: clock.nowMs() };
    this.#segments.push(this.#current);
    return this.#current;
  }

  /** The records are in the file, behind each other from its size on. */
  add(segment: Segment, keys: readonly BlockKey[], records: readonly Buffer[]): void {
    for (const [index, key] of keys.entries()) {
      this.#places.set(key, { segment, offset: segment.size });
      segment.keys.push(key);
      segment.size += records[index]!.length;
      this.#size += records[index]!.length;
    }
    segment.usedMs = this.#parts.clock.nowMs();
    this.#trim();
  }

  use(segment: Segment): void {
    const { clock, disk } = this.#parts;
    const nowMs = clock.nowMs();
    if (segment.usedMs < 0 || nowMs - segment.usedMs > TOUCH_EVERY_MS) disk.touch(segment.name);
    segment.usedMs = nowMs;
  }

  /** The block is not what it should be. */
  forget(key: BlockKey): void {
    this.#places.delete(key);
  }

  /** Nothing more is written to the current segment. */
  abandon(): void {
    this.#current = null;
  }

  #trim(): void {
    const { disk, sizeMax, observer } = this.#parts;
    while (this.#size > sizeMax) {
      const candidates = this.#segments.filter((segment) => segment !== this.#current);
      if (candidates.length === 0) break;
      const oldest = candidates.reduce((a, b) => (b.usedMs < a.usedMs ? b : a));
      this.#segments = this.#segments.filter((segment) => segment !== oldest);
      this.#size -= oldest.size;
      let lost = 0;
      for (const key of oldest.keys) {
        if (this.#places.get(key)?.segment === oldest && this.#places.delete(key)) lost++;
      }
      disk.remove(oldest.name);
      observer.onArchiveLoss('size', lost);
    }
    observer.onArchiveSize(this.#size);
  }
}
