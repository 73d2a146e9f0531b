import { beforeEach, expect, test } from 'vitest';
import { BlockPool } from '../../../server/engine/block-pool.ts';
import { PrefixCache } from '../../../server/engine/prefix-cache.ts';

const blockSize = 4;
let pool: BlockPool;
let cache: PrefixCache;

beforeEach(() => {
  pool = new BlockPool(4);
  cache = new PrefixCache(pool, blockSize);
});

const tokens = (...values: number[]) => Int32Array.from(values);

/** Computes all full blocks of `prompt` and releases them as a finished sequence does. */
function compute(prompt: Int32Array, salt = 'a'): number[] {
  const blocks: number[] = [];
  let node = cache.match(cache.root(salt), prompt, { from: 0, limit: prompt.length }, blocks);
  for (let start = blocks.length * blockSize; start + blockSize <= prompt.length; start += blockSize) {
    const block = cache.allocate();
    expect(block).not.toBe(-1);
    node = cache.insert(node, prompt, start, block);
    blocks.push(node.block);
  }
  return blocks;
}

function release(blocks: number[], ofTurn = true): void {
  for (const block of blocks.toReversed()) cache.release(block, ofTurn);
}

function find(prompt: Int32Array, salt = 'a', limit = prompt.length): number[] {
  const blocks: number[] = [];
  cache.match(cache.root(salt), prompt, { from: 0, limit }, blocks);
  return blocks;
}

test('a finished prefix is found again by its tokens, as far as whole blocks agree', () => {
  const first = compute(tokens(1, 2, 3, 4, 5, 6, 7, 8));
  release(first);
  expect(find(tokens(1, 2, 3, 4, 5, 6, 7, 8, 9))).toEqual(first);
  expect(find(tokens(1, 2, 3, 4, 5, 6, 7, 0))).toEqual([first[0]]);
  expect(find(tokens(9, 2, 3, 4))).toEqual([]);
});

test('a match ends at the limit, so that the last token can be computed', () => {
  const blocks = compute(tokens(1, 2, 3, 4, 5, 6, 7, 8));
  release(blocks);
  expect(find(tokens(1, 2, 3, 4, 5, 6, 7, 8), 'a', 7)).toEqual([blocks[0]]);
});

test('another salt finds nothing', () => {
  release(compute(tokens(1, 2, 3, 4), 'a'));
  expect(find(tokens(1, 2, 3, 4), 'b')).toEqual([]);
});

test('token ids beyond 16 bits do not collide', () => {
  release(compute(tokens(1, 2, 3, 4)));
  expect(find(tokens(1 + 65_536, 2, 3, 4))).toEqual([]);
});

test('the least recently used leaf is evicted first, its parent stays', () => {
  const long = compute(tokens(1, 2, 3, 4, 5, 6, 7, 8));
  release(long);
  const other = compute(tokens(9, 9, 9, 9, 8, 8, 8, 8));
  release(other);
  expect(pool.freeCount).toBe(0);
  expect(cache.allocate()).toBe(long[1]);
  expect(find(tokens(1, 2, 3, 4, 5, 6, 7, 8))).toEqual([long[0]]);
  cache.check();
});

test('a held block is never evicted', () => {
  const held = compute(tokens(1, 2, 3, 4, 5, 6, 7, 8));
  expect([cache.allocate(), cache.allocate(), cache.allocate()]).toContain(-1);
  expect(find(tokens(1, 2, 3, 4, 5, 6, 7, 8))).toEqual(held);
});

test('equal content computed twice is kept once, and the hold moves to it', () => {
  const first = compute(tokens(1, 2, 3, 4));
  const twin = cache.allocate();
  const node = cache.insert(cache.root('a'), tokens(1, 2, 3, 4), 0, twin);
  expect(node.block).toBe(first[0]);
  expect(pool.refCount(first[0]!)).toBe(2);
  expect(pool.refCount(twin)).toBe(0);
  expect(pool.freeCount).toBe(3);
});

test('after clear nothing is found, held blocks stay held and go free when released', () => {
  const held = compute(tokens(1, 2, 3, 4));
  release(compute(tokens(5, 5, 5, 5)));
  cache.clear();
  expect(find(tokens(1, 2, 3, 4))).toEqual([]);
  expect(find(tokens(5, 5, 5, 5))).toEqual([]);
  expect(pool.inUseCount).toBe(1);
  release(held);
  expect(pool.freeCount).toBe(4);
  cache.check();
});

test('a sequence that outlives a clear makes nothing findable below what was lost', () => {
  const prompt = tokens(1, 2, 3, 4, 5, 6, 7, 8);
  const block = cache.allocate();
  const node = cache.insert(cache.root('a'), prompt, 0, block);
  cache.clear();
  const next = cache.allocate();
  expect(cache.insert(node, prompt, 4, next)).toBe(node);
  expect(find(prompt)).toEqual([]);
  release([block, next]);
  expect(pool.freeCount).toBe(4);
});

test('counting held blocks holds nothing', () => {
  const held = compute(tokens(1, 2, 3, 4));
  release(compute(tokens(1, 2, 3, 4, 5, 6, 7, 8)));
  expect(cache.heldCount(cache.root('a'), tokens(1, 2, 3, 4, 5, 6, 7, 8), 8)).toBe(1);
  expect(pool.refCount(held[0]!)).toBe(1);
});

test('what no turn has used goes before what one has, however lately it was used', () => {
  const turn = compute(tokens(1, 2, 3, 4, 5, 6, 7, 8));
  release(turn);
  release(compute(tokens(9, 9, 9, 9, 8, 8, 8, 8)), false);
  const other = compute(tokens(7, 7, 7, 7));
  release(other, false);
  expect(find(tokens(1, 2, 3, 4, 5, 6, 7, 8))).toEqual(turn);
  expect(find(tokens(7, 7, 7, 7))).toEqual(other);
  cache.check();
});

test('a side request that reads a turn’s blocks does not make them less worth; a turn that reads a side request’s keeps them', () => {
  const turn = compute(tokens(1, 2, 3, 4));
  release(turn);
  release(find(tokens(1, 2, 3, 4)), false);
  const side = compute(tokens(2, 2, 2, 2));
  release(side, false);
  release(find(tokens(2, 2, 2, 2)));
  release(compute(tokens(3, 3, 3, 3, 4, 4, 4, 4)), false);
  release(compute(tokens(5, 5, 5, 5)), false);
  expect(find(tokens(1, 2, 3, 4))).toEqual(turn);
  expect(find(tokens(2, 2, 2, 2))).toEqual(side);
  cache.check();
});

test('a distrusted path is forgotten with all below it, others stay; held blocks go free when released', () => {
  const held = compute(tokens(1, 2, 3, 4, 5, 6, 7, 8));
  release(compute(tokens(1, 2, 3, 4, 9, 9, 9, 9)));
  release(compute(tokens(6, 6, 6, 6)));
  const found: number[] = [];
  const node = cache.match(cache.root('a'), tokens(1, 2, 3, 4), { from: 0, limit: 4 }, found);
  expect(cache.distrust(node)).toHaveLength(3);
  expect(cache.distrust(node)).toEqual([]);
  cache.check();
  expect(find(tokens(1, 2, 3, 4))).toEqual([]);
  expect(find(tokens(1, 2, 3, 4, 9, 9, 9, 9))).toEqual([]);
  expect(pool.inUseCount).toBe(2);
  release([...found]);
  release(held);
  release(find(tokens(6, 6, 6, 6)));
  expect(pool.freeCount).toBe(3);
  cache.check();
});
