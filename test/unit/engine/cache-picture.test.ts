// The prefix cache as people see it: states of blocks, the tree of what is shared, and why a prompt was not found whole.
import { describe, expect, test } from 'vitest';
import { BlockPool } from '../../../server/engine/block-pool.ts';
import { cachePicture } from '../../../server/engine/cache-picture.ts';
import { EvictedPaths, pathHash } from '../../../server/engine/evicted-paths.ts';
import { PrefixCache } from '../../../server/engine/prefix-cache.ts';

const BLOCK = 4;

function world(blockCount = 8) {
  const pool = new BlockPool(blockCount);
  const cache = new PrefixCache(pool, BLOCK);
  /** A prompt is looked up, its missing blocks are computed; answers how to let go of it. */
  const run = (text: string, salt = '') => {
    const tokens = Int32Array.from(text, (letter) => letter.charCodeAt(0));
    const blocks: number[] = [];
    const limit = tokens.length;
    let node = cache.match(cache.root(salt), tokens, { from: 0, limit }, blocks);
    const position = blocks.length * BLOCK;
    const why = cache.missReason(node, tokens, { position, limit });
    for (let at = position; at + BLOCK <= limit; at += BLOCK) {
      const block = cache.allocate();
      blocks.push(block);
      node = cache.insert(node, tokens, at, block);
    }
    const leave = () => {
      for (const block of blocks.toReversed()) cache.release(block, true);
    };
    return { why, leave };
  };
  const picture = (bounds = {}) =>
    cachePicture(
      { cache, pool, blockSize: BLOCK },
      { cellsMax: 8, nodesMax: 100, branchesMax: 8, ...bounds },
    );
  return { run, picture };
}

describe('why a prompt is computed', () => {
  test('it is new, grown, different, all there, or was given up for room', () => {
    const { run } = world(4);
    const first = run('aaaabbbb');
    expect(first.why).toBe('new');
    first.leave();
    const grown = run('aaaabbbbcccc');
    expect(grown.why).toBe('grown');
    grown.leave();
    const differs = run('aaaadddd');
    expect(differs.why).toBe('differs');
    differs.leave();
    const whole = run('aaaadddd');
    expect(whole.why).toBe('none');
    whole.leave();
    run('xxxxyyyyzzzz').leave(); // room for four blocks: what was used longest ago goes
    expect(run('aaaabbbb').why).toBe('evicted');
  });

  test('another key knows nothing of it', () => {
    const { run } = world();
    run('aaaabbbb', 'key-1').leave();
    expect(run('aaaabbbb', 'key-2').why).toBe('new');
  });

  test('paths that were given up are remembered up to a bound, the latest ones', () => {
    const paths = new EvictedPaths(2);
    for (const path of [1, 2, 4097, 3]) paths.add(path); // 4,096 places: the third takes that of the first
    expect([1, 2, 4097, 3].map((path) => paths.has(path))).toEqual([false, true, true, true]);
    for (let path = 10_000; path < 20_000; path++) paths.add(path);
    const kept = Array.from({ length: 10_000 }, (_, index) => paths.has(10_000 + index));
    expect(kept.filter(Boolean).length).toBe(4096);
    expect(kept.at(-1)).toBe(true);
    expect(pathHash(pathHash(0, 'a'), 'b')).not.toBe(pathHash(pathHash(0, 'b'), 'a'));
    expect(Number.isSafeInteger(pathHash(2 ** 53 - 1, '\uffff'.repeat(64)))).toBe(true);
  });
});

describe('the picture', () => {
  test('tells free, kept, used and shared blocks apart, and cells show the busiest of theirs', () => {
    const { run, picture } = world();
    run('aaaa');
    run('aaaabbbb');
    run('cccc').leave();
    expect(picture().cells).toBe('sukfffff');
    expect(picture({ cellsMax: 4 })).toMatchObject({ cells: 'skff', blocksPerCell: 2 });
  });

  test('is a tree of runs that nobody leaves in the middle, the largest first, one for each key', () => {
    const { run, picture } = world(16);
    run('aaaabbbbccccdddd');
    run('aaaabbbbeeee');
    run('ffff', 'key-1').leave();
    const { trees, cut } = picture();
    expect(cut).toBe(false);
    expect(trees.map(({ salt, below }) => [salt, below])).toEqual([
      ['', 20],
      ['key-1', 4],
    ]);
    expect(trees[0]!.branches).toEqual([
      {
        ...{ salt: '', tokens: 8, holders: 2, below: 20 },
        branches: [
          { salt: '', tokens: 8, holders: 1, below: 8, branches: [] },
          { salt: '', tokens: 4, holders: 1, below: 4, branches: [] },
        ],
      },
    ]);
    expect(trees[1]!.branches[0]!.holders).toBe(0);
  });

  test('looks at so many nodes and no more', () => {
    const { run, picture } = world(16);
    for (const letter of 'abcdef') run(letter.repeat(8));
    const seen = picture({ nodesMax: 5, branchesMax: 2 });
    expect(seen.cut).toBe(true);
    expect(seen.trees[0]!.branches).toHaveLength(2);
  });
});
