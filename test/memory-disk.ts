// A disk of memory on an injected clock: operations take time, may fail or return damaged bytes, and a crash cuts
// whatever is being written anywhere.
import type { Clock } from '../kernels/clock.ts';
import type { Random } from '../kernels/random.ts';
import type { Disk, DiskFile } from '../server/archive/disk.ts';

export interface DiskFaults {
  readonly failWrites: number; // share of writes
  readonly failReads: number;
  readonly damageReads: number;
}

export interface MemoryDiskWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly latencyMs: number;
  readonly faults: DiskFaults | null;
}

interface File {
  bytes: Buffer;
  usedMs: number;
}

export class MemoryDisk implements Disk {
  readonly #world: MemoryDiskWorld;
  readonly #files: Map<string, File>;
  readonly #underWay = new Set<() => void>(); // what a crash leaves of each write
  #uses = 0;

  constructor(world: MemoryDiskWorld, files = new Map<string, File>()) {
    this.#world = world;
    this.#files = files;
  }

  get size(): number {
    return [...this.#files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  get fileCount(): number {
    return this.#files.size;
  }

  /** What the next process finds. The old one must not run on. */
  crash(world: MemoryDiskWorld): MemoryDisk {
    for (const cut of this.#underWay) cut();
    return new MemoryDisk(world, this.#files);
  }

  list(): DiskFile[] {
    return Array.from(this.#files, ([name, { bytes, usedMs }]) => ({ name, size: bytes.length, usedMs }));
  }

  readNow(name: string, offset: number, size: number): Buffer {
    return Buffer.from(this.#files.get(name)!.bytes.subarray(offset, offset + size));
  }

  endScan(): void {}

  read(name: string, offset: number, into: readonly Uint8Array[], done: (size: number) => void): void {
    const { clock, random, latencyMs, faults } = this.#world;
    clock.schedule(latencyMs * random.next(), () => {
      const file = this.#files.get(name);
      if (file === undefined || (faults !== null && random.next() < faults.failReads)) return done(0);
      const wanted = into.reduce((sum, { length }) => sum + length, 0);
      const bytes = Buffer.from(file.bytes.subarray(offset, offset + wanted));
      if (faults !== null && random.next() < faults.damageReads) {
        bytes[random.integer(0, bytes.length - 1)]! ^= 1 << random.integer(0, 7);
      }
      let at = 0;
      for (const piece of into) {
        const part = bytes.subarray(at, at + piece.length);
        piece.set(part);
        at += part.length;
      }
      done(at);
    });
  }

  write(name: string, offset: number, bytes: Buffer, done: (error: string | null) => void): void {
    const { clock, random, latencyMs, faults } = this.#world;
    const put = (count: number) => {
      const before = this.#files.get(name)?.bytes ?? Buffer.alloc(0);
      const after = Buffer.concat([before.subarray(0, offset), bytes.subarray(0, count)]);
      this.#files.set(name, { bytes: after, usedMs: this.#uses++ });
    };
    const cut = () => put(random.integer(0, bytes.length));
    this.#underWay.add(cut);
    clock.schedule(latencyMs * random.next(), () => {
      this.#underWay.delete(cut);
      if (faults !== null && random.next() < faults.failWrites) {
        cut();
        done('injected: no space left');
        return;
      }
      put(bytes.length);
      done(null);
    });
  }

  touch(name: string): void {
    const file = this.#files.get(name);
    if (file !== undefined) file.usedMs = this.#uses++;
  }

  remove(name: string): void {
    this.#files.delete(name);
  }

  /** For tests: changes a byte of a file on the disk. */
  damage(name: string, offset: number): void {
    this.#files.get(name)!.bytes[offset]! ^= 0x40;
  }
}
