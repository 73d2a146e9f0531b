// What the prefix cache holds, as a picture for people: the state of every block and the tree of what is shared, in counts,
// without a token. Reads only; bounded in time and size by what its caller can draw. Used by floor.ts for the page.
import type { BlockPool } from './block-pool.ts';
import type { PrefixCache, PrefixNode } from './prefix-cache.ts';
import { childCount, everyChild } from './prefix-children.ts';

export interface CachePicture {
  /** A letter per cell, each `blocksPerCell` blocks: free, kept for reuse, in use, shared; the busiest of its blocks. */
  readonly cells: string; // of 'f', 'k', 'u', 's'
  readonly blocksPerCell: number;
  readonly trees: readonly CacheBranch[]; // one for each salt, the largest first
  readonly cut: boolean; // there is more than was looked at
}

/** A run of blocks that nobody leaves in the middle. */
export interface CacheBranch {
  readonly salt: string; // whose it is; '' below the root
  readonly tokens: number; // of the run
  readonly holders: number; // sequences that hold its first block
  readonly below: number; // tokens of the run and all that follows it
  readonly branches: readonly CacheBranch[]; // the largest first
}

export interface PictureBounds {
  readonly cellsMax: number;
  readonly nodesMax: number; // looked at
  readonly branchesMax: number; // shown of each
}

const STATES = 'fkus';

export function cachePicture(
  { cache, pool, blockSize }: { cache: PrefixCache; pool: BlockPool; blockSize: number },
  bounds: PictureBounds,
): CachePicture {
  const walk: Walk = { pool, blockSize, branchesMax: bounds.branchesMax, left: bounds.nodesMax };
  const trees: CacheBranch[] = [];
  for (const root of cache.roots) {
    if (walk.left <= 0) break;
    const branches = childrenOf(root, walk);
    const below = branches.reduce((sum, branch) => sum + branch.below, 0);
    const shown = branches.slice(0, bounds.branchesMax);
    trees.push({ salt: root.key, tokens: 0, holders: 0, below, branches: shown });
  }
  trees.sort((a, b) => b.below - a.below);
  return { ...cellsOf(cache, pool, bounds.cellsMax), trees, cut: walk.left <= 0 };
}

function cellsOf(
  cache: PrefixCache,
  pool: BlockPool,
  cellsMax: number,
): Pick<CachePicture, 'cells' | 'blocksPerCell'> {
  const blocksPerCell = Math.ceil(pool.blockCount / cellsMax);
  const cells: string[] = [];
  for (let first = 0; first < pool.blockCount; first += blocksPerCell) {
    let state = 0;
    const end = Math.min(pool.blockCount, first + blocksPerCell);
    for (let block = first; block < end; block++) {
      const holders = pool.refCount(block);
      const own = holders > 0 ? Math.min(3, holders + 1) : cache.isKept(block) ? 1 : 0;
      if (own > state) state = own;
    }
    cells.push(STATES[state]!);
  }
  return { cells: cells.join(''), blocksPerCell };
}

interface Walk {
  readonly pool: BlockPool;
  readonly blockSize: number;
  readonly branchesMax: number;
  left: number; // nodes that may still be looked at
}

function childrenOf(node: PrefixNode, walk: Walk): CacheBranch[] {
  const branches: CacheBranch[] = [];
  for (const child of everyChild(node.children)) {
    if (walk.left <= 0) break;
    branches.push(branchOf(child, walk));
  }
  return branches.sort((a, b) => b.below - a.below);
}

/** Follows a run as far as it goes in one line: recursion is only as deep as branches are. */
function branchOf(first: PrefixNode, walk: Walk): CacheBranch {
  const holders = walk.pool.refCount(first.block);
  let [node, blockCount] = [first, 1];
  walk.left--;
  while (childCount(node.children) === 1 && walk.left > 0) {
    const [next] = everyChild(node.children);
    if (walk.pool.refCount(next!.block) !== holders) break; // somebody leaves here: that is worth seeing
    node = next!;
    blockCount++;
    walk.left--;
  }
  const tokens = blockCount * walk.blockSize;
  const branches = childrenOf(node, walk);
  const below = branches.reduce((sum, branch) => sum + branch.below, tokens);
  return { salt: '', tokens, holders, below, branches: branches.slice(0, walk.branchesMax) };
}
