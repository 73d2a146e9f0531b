import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockPool } from '../../server/engine/block-pool.ts';
import { PrefixCache, type PrefixNode } from '../../server/engine/prefix-cache.ts';

const blockSize = 2;

interface Holder {
  readonly prompt: Int32Array;
  readonly blocks: number[];
  readonly ofTurn: boolean;
  node: PrefixNode;
}

const command = fc.oneof(
  fc.record({
    kind: fc.constant('begin' as const),
    prompt: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 12 }),
    salt: fc.constantFrom('a', 'b'),
    ofTurn: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('grow' as const), index: fc.nat(20) }),
  fc.record({ kind: fc.constant('end' as const), index: fc.nat(20) }),
  fc.record({ kind: fc.constant('clear' as const) }),
);

test('under any order of begin, grow, end and clear, blocks are conserved and never owned twice', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10 }),
      fc.array(command, { maxLength: 80 }),
      (blockCount, commands) => {
        const pool = new BlockPool(blockCount);
        const cache = new PrefixCache(pool, blockSize);
        const holders: Holder[] = [];
        for (const step of commands) {
          if (step.kind === 'begin') begin(cache, holders, step);
          if (step.kind === 'grow') grow(cache, holders[step.index % Math.max(1, holders.length)]);
          if (step.kind === 'end') end(cache, holders, step.index);
          if (step.kind === 'clear') cache.clear();
          cache.check();
          const held = new Set(holders.flatMap(({ blocks }) => blocks));
          expect(pool.inUseCount).toBe(held.size);
          expect(pool.freeCount + pool.idleCount + pool.inUseCount).toBe(blockCount);
          for (const { blocks } of holders) expect(new Set(blocks).size).toBe(blocks.length);
        }
        while (holders.length > 0) end(cache, holders, 0);
        expect(pool.inUseCount).toBe(0);
      },
    ),
  );
});

function begin(
  cache: PrefixCache,
  holders: Holder[],
  begun: { readonly prompt: readonly number[]; readonly salt: string; readonly ofTurn: boolean },
): void {
  const { salt, ofTurn } = begun;
  const prompt = Int32Array.from(begun.prompt);
  const blocks: number[] = [];
  const node = cache.match(cache.root(salt), prompt, { from: 0, limit: prompt.length }, blocks);
  holders.push({ prompt, blocks, node, ofTurn });
}

function grow(cache: PrefixCache, holder: Holder | undefined): void {
  if (holder === undefined) return;
  const start = holder.blocks.length * blockSize;
  if (start + blockSize > holder.prompt.length) return;
  const block = cache.allocate();
  if (block === -1) return;
  const node = cache.insert(holder.node, holder.prompt, start, block);
  if (node === holder.node) holder.blocks.push(block);
  else holder.blocks.push(node.block);
  holder.node = node;
}

function end(cache: PrefixCache, holders: Holder[], index: number): void {
  const [holder] = holders.splice(index % Math.max(1, holders.length), 1);
  for (const block of holder?.blocks.toReversed() ?? []) cache.release(block, holder!.ofTurn);
}
