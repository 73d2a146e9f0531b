import { Unpackr } from 'msgpackr';
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { type KvBatch, KvEvents } from '../../../../server/cluster/kv-events.ts';
import { BlockPool } from '../../../../server/engine/block-pool.ts';
import { PrefixCache } from '../../../../server/engine/prefix-cache.ts';

interface Told {
  readonly type: string;
  readonly block_hashes?: readonly (bigint | number)[];
  readonly parent_block_hash?: bigint | number | null;
  readonly token_ids?: readonly number[];
  readonly block_size?: number;
  readonly extra_keys?: unknown;
}

const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'bigint' });

function world({ blockCount = 4, batchesKept = 8 } = {}) {
  const clock = new VirtualClock();
  const batches: KvBatch[] = [];
  const events = new KvEvents({
    ...{ clock, epochMs: () => 5000, batchesKept },
    onBatch: (batch) => batches.push(batch),
  });
  const pool = new BlockPool(blockCount);
  const cache = new PrefixCache(pool, 2, events);
  /** Plants a path of whole blocks, held by nobody afterwards. */
  const plant = (salt: string, ...tokens: number[]): void => {
    const held: number[] = [];
    let node = cache.root(salt);
    for (let start = 0; start < tokens.length; start += 2) {
      const block = cache.allocate();
      node = cache.insert(node, Int32Array.from(tokens), start, block);
      held.push(node.block);
    }
    for (const block of held.toReversed()) cache.release(block, true);
  };
  const told = () => {
    clock.run();
    return batches
      .splice(0)
      .flatMap(({ payload }) => (unpackr.unpack(payload) as [number, Told[], number])[1]);
  };
  return { clock, events, cache, plant, told, batches };
}

test('a node begins with nothing, which is told first', () => {
  expect(world().told()).toEqual([{ type: 'AllBlocksCleared' }]);
});

test('blocks are told in the order of their prefix, each with the name of the one before', () => {
  const { plant, told } = world();
  told();
  plant('', 1, 2, 70_000, 4);
  const [first, second] = told();
  expect(first).toMatchObject({
    ...{ type: 'BlockStored', parent_block_hash: null, token_ids: [1, 2], block_size: 2, extra_keys: null },
    ...{ lora_id: null, lora_name: null, medium: 'GPU' },
  });
  expect(second).toMatchObject({
    type: 'BlockStored',
    token_ids: [70_000, 4],
    parent_block_hash: first!.block_hashes![0],
  });
});

test('what is known already is not told again', () => {
  const { plant, told } = world();
  plant('', 1, 2, 3, 4);
  told();
  plant('', 1, 2, 3, 4);
  expect(told()).toEqual([]);
});

test('a block that makes room is told gone, by its name', () => {
  const { plant, told } = world({ blockCount: 2 });
  plant('', 1, 2, 3, 4);
  const names = told().flatMap(({ block_hashes }) => block_hashes ?? []);
  plant('', 9, 9);
  const [removed, stored] = told();
  expect(removed).toEqual({ type: 'BlockRemoved', block_hashes: [names[1]], medium: 'GPU' });
  expect(stored).toMatchObject({ type: 'BlockStored', token_ids: [9, 9] });
});

test('names are the same on every node for the same owner, and others for another one', () => {
  const names = (salt: string) => {
    const { plant, told } = world();
    plant(salt, 1, 2, 3, 4);
    return told().flatMap(({ block_hashes }) => block_hashes ?? []);
  };
  expect(names('key-1')).toEqual(names('key-1'));
  expect(new Set([...names('key-1'), ...names('key-2'), ...names('')]).size).toBe(6);
});

test('the owner stands with the first block only', () => {
  const { plant, told } = world();
  told();
  plant('key-1', 1, 2, 3, 4);
  expect(told().map(({ extra_keys }) => extra_keys)).toEqual([[['key-1']], null]);
});

test('when all is lost, that is all that is told', () => {
  const { plant, told, cache } = world();
  told();
  plant('', 1, 2);
  cache.clear();
  plant('', 5, 6);
  expect(told().map(({ type }) => type)).toEqual(['AllBlocksCleared', 'BlockStored']);
});

test('a batch is what happened in one stack: seconds, events, rank', () => {
  const { clock, plant, batches } = world();
  plant('', 1, 2, 3, 4);
  clock.run();
  expect(batches.map(({ sequence }) => sequence)).toEqual([0]);
  const [seconds, events, rank] = unpackr.unpack(batches[0]!.payload) as [number, Told[], number];
  expect([seconds, events.length, rank]).toEqual([5, 3, 0]);
});

test('the latest batches are kept for who comes late', () => {
  const { clock, plant, events } = world({ batchesKept: 2, blockCount: 8 });
  for (let i = 0; i < 4; i++) {
    plant('', i, i);
    clock.run();
  }
  expect(Array.from(events.since(0), ({ sequence }) => sequence)).toEqual([2, 3]);
  expect(Array.from(events.since(3), ({ sequence }) => sequence)).toEqual([3]);
  expect(Array.from(events.since(4))).toEqual([]);
});
