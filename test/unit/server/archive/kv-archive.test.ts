import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { Random } from '../../../../kernels/random.ts';
import { KeyChain } from '../../../../server/archive/key-chain.ts';
import { KvArchive } from '../../../../server/archive/kv-archive.ts';
import { HEADER_SIZE } from '../../../../server/archive/record.ts';
import { MemoryDisk } from '../../../memory-disk.ts';

const blockSize = 4;
const blockBytes = 32;
const recordSize = HEADER_SIZE + blockBytes;

/** A device's block store: block i is full of the number i + 1 until it is written to. */
class Store {
  readonly blockBytes = blockBytes;
  readonly blocks = Array.from({ length: 64 }, (_, block) => new Uint8Array(blockBytes).fill(block + 1));
  readBlock(block: number, into: Uint8Array): void {
    into.set(this.blocks[block]!);
  }
  writeBlock(block: number, content: Uint8Array): void {
    this.blocks[block]!.set(content);
  }
}

/** The same, whose memory can be written to where it lies. */
class OpenStore extends Store {
  blockPieces(block: number): readonly Uint8Array[] {
    const whole = this.blocks[block]!;
    return [whole.subarray(0, 20), whole.subarray(20)];
  }
}

function setup(
  more: {
    sizeMax?: number;
    queueSizeMax?: number;
    failWrites?: number;
    disk?: MemoryDisk;
    blocks?: Store;
  } = {},
) {
  const clock = new VirtualClock();
  const faults = { failWrites: more.failWrites ?? 0, failReads: 0, damageReads: 0 };
  const world = { clock, random: new Random(1), latencyMs: 1, faults };
  const disk = more.disk?.crash(world) ?? new MemoryDisk(world);
  const blocks = more.blocks ?? new Store();
  const losses: string[] = [];
  const faultLines: string[] = [];
  const known = new Set(disk.list().map(({ name }) => name));
  let names = 0;
  const archive = new KvArchive({
    disk,
    clock,
    blocks,
    keys: new KeyChain({ blockSize, namespace: ['model'], secretOf: (salt) => salt }),
    bounds: {
      sizeMax: more.sizeMax ?? 1e6,
      segmentSizeMax: 4 * recordSize,
      queueSizeMax: more.queueSizeMax ?? 1e6,
    },
    freshName: () => {
      while (known.has(`${names}`)) names++;
      return `${names++}`;
    },
    observer: {
      onArchived() {},
      onUnarchived() {},
      onArchiveLoss: (reason, count) => losses.push(`${count} ${reason}`),
      onArchiveSize() {},
    },
    onFault: (message) => faultLines.push(message),
  });
  const fetch = (keys: readonly string[], into: readonly number[]): number => {
    let got = -1;
    archive.fetch(keys, into, (count) => {
      got = count;
    });
    expect(got).toBe(-1); // never in the caller's stack
    clock.run();
    return got;
  };
  return { clock, disk, blocks, archive, losses, faultLines, fetch };
}

const tokens = Int32Array.from({ length: 80 }, (_, index) => index);

function chain(archive: KvArchive, count: number, salt = 'a'): string[] {
  const keys: string[] = [];
  let key = archive.rootKey(salt);
  for (let index = 0; index < count; index++) {
    key = archive.nextKey(key, tokens, index * blockSize);
    keys.push(key);
  }
  return keys;
}

const chainBlocks = (start: number, count: number) =>
  Array.from({ length: count }, (_, index) => start + index);

describe('what was stored', () => {
  test('is fetched byte by byte, before it is written and after, and by the next process', () => {
    const first = setup();
    const keys = chain(first.archive, 10);
    for (const [block, key] of keys.entries()) expect(first.archive.store(key, block)).toBe(true);
    expect(
      first.fetch(
        keys,
        [...keys.keys()].map((block) => 20 + block),
      ),
    ).toBe(10);
    for (let index = 0; index < 10; index++) expect(first.blocks.blocks[20 + index]![5]).toBe(index + 1);
    const second = setup({ disk: first.disk });
    expect(second.archive.blockCount).toBe(10);
    expect(
      second.fetch(
        keys,
        [...keys.keys()].map((block) => 30 + block),
      ),
    ).toBe(10);
    for (let index = 0; index < 10; index++) expect(second.blocks.blocks[30 + index]![31]).toBe(index + 1);
  });

  test('is read into the store itself where its memory can be reached', () => {
    const first = setup();
    const keys = chain(first.archive, 10); // more than a segment holds: several reads
    for (const [block, key] of keys.entries()) first.archive.store(key, block);
    first.clock.run();
    const blocks = new OpenStore();
    blocks.writeBlock = () => expect.fail('copied');
    const second = setup({ disk: first.disk, blocks });
    expect(second.fetch(keys, chainBlocks(30, 10))).toBe(10);
    for (let index = 0; index < 10; index++) {
      expect(blocks.blocks[30 + index]).toEqual(new Uint8Array(blockBytes).fill(index + 1));
    }
  });

  test('ends at the first gap', () => {
    const { archive, fetch } = setup();
    const keys = chain(archive, 5);
    for (const block of [0, 1, 3]) archive.store(keys[block]!, block);
    expect(fetch(keys, [10, 11, 12, 13, 14])).toBe(2);
  });

  test('is another salt’s, model’s or prefix’s under no key', () => {
    const { archive } = setup();
    const other = new KeyChain({ blockSize, namespace: ['other model'], secretOf: (salt) => salt });
    const keys = chain(archive, 2);
    const salted = chain(archive, 2, 'b');
    const elsewhere = other.nextKey(other.rootKey('a'), tokens, 0);
    const shifted = archive.nextKey(archive.rootKey('a'), tokens, blockSize);
    expect(new Set([...keys, ...salted, elsewhere, shifted]).size).toBe(6);
    for (const key of keys) archive.store(key, 0);
    for (const key of [...salted, elsewhere, shifted]) expect(archive.has(key)).toBe(false);
  });
});

describe('trouble', () => {
  test('a crash in mid-write leaves whole blocks only, and the next process goes on', () => {
    for (let steps = 0; steps < 12; steps++) {
      const first = setup();
      const keys = chain(first.archive, 10);
      for (const [block, key] of keys.entries()) first.archive.store(key, block);
      for (let step = 0; step < steps; step++) first.clock.step();
      const second = setup({ disk: first.disk });
      const count = second.fetch(
        keys,
        [...keys.keys()].map((block) => 30 + block),
      );
      for (let index = 0; index < count; index++)
        expect(second.blocks.blocks[30 + index]![0]).toBe(index + 1);
      for (const [block, key] of keys.entries()) second.archive.store(key, block);
      expect(
        second.fetch(
          keys,
          [...keys.keys()].map((block) => 30 + block),
        ),
      ).toBe(10);
    }
  });

  test('a damaged block is noticed, forgotten and stored anew', () => {
    const { archive, clock, disk, fetch, losses } = setup();
    const keys = chain(archive, 3);
    for (const [block, key] of keys.entries()) archive.store(key, block);
    clock.run();
    disk.damage('0', recordSize + HEADER_SIZE + 3);
    expect(fetch(keys, [10, 11, 12])).toBe(1);
    expect(losses).toEqual(['1 damaged']);
    expect(archive.has(keys[1]!)).toBe(false);
    archive.store(keys[1]!, 1);
    expect(fetch(keys, [10, 11, 12])).toBe(3);
  });

  test('nobody gets the blocks back while one of them is still being read into', () => {
    const first = setup();
    const keys = chain(first.archive, 8);
    for (const [block, key] of keys.entries()) first.archive.store(key, block);
    first.clock.run();
    first.disk.damage('0', HEADER_SIZE); // the first block of the first of two reads
    const { archive, clock, blocks } = setup({ disk: first.disk, blocks: new OpenStore() });
    let got = -1;
    archive.fetch(keys, chainBlocks(30, 8), (count) => {
      got = count;
      for (const block of blocks.blocks) block.fill(99); // somebody else's now
    });
    clock.run();
    expect(got).toBe(0);
    expect(blocks.blocks.every((block) => block.every((value) => value === 99))).toBe(true);
  });

  test('the queue is bounded, and says so', () => {
    const { archive, clock, losses } = setup({ queueSizeMax: 2 * recordSize });
    const keys = chain(archive, 4);
    expect(keys.map((key, block) => archive.store(key, block))).toEqual([true, true, false, false]);
    expect(losses).toEqual(['1 busy', '1 busy']);
    clock.run();
    expect(archive.store(keys[2]!, 2)).toBe(true);
  });

  test('the disk is bounded: the segment that was used longest ago goes', () => {
    const { archive, clock, disk, losses, fetch } = setup({ sizeMax: 12 * recordSize });
    const keys = chain(archive, 16);
    for (let segment = 0; segment < 3; segment++) {
      for (let block = 4 * segment; block < 4 * segment + 4; block++) archive.store(keys[block]!, block);
      clock.run(clock.nowMs() + 10);
    }
    fetch(keys.slice(0, 1), [40]); // the first one is used again
    for (let block = 12; block < 16; block++) archive.store(keys[block]!, block);
    clock.run();
    expect(disk.size).toBeLessThanOrEqual(12 * recordSize);
    expect(losses).toEqual(['4 size']);
    expect([0, 4, 8, 12].map((block) => archive.has(keys[block]!))).toEqual([true, false, true, true]);
  });

  test('a disk that takes nothing costs nothing but the cache', () => {
    const { archive, clock, faultLines } = setup({ failWrites: 1 });
    const keys = chain(archive, 2);
    archive.store(keys[0]!, 0);
    clock.run(100);
    expect(faultLines).toEqual(['injected: no space left']);
    expect(archive.has(keys[0]!)).toBe(false);
    expect(archive.store(keys[1]!, 1)).toBe(false); // tried again later
    clock.run(40_000);
    expect(archive.store(keys[1]!, 1)).toBe(true);
  });

  test('closing writes what waits', () => {
    const { archive, clock, disk } = setup();
    for (const [block, key] of chain(archive, 6).entries()) archive.store(key, block);
    let closed = false;
    archive.close(() => {
      closed = true;
    });
    clock.run();
    expect(closed).toBe(true);
    expect(disk.size).toBe(6 * recordSize);
  });
});
