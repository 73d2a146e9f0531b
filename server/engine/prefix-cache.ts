// PrefixCache: finds finished KV blocks again by their tokens. A trie per salt; each node is one full block.
// Blocks nobody holds stay findable until their memory is needed: those that no turn ever used go first (titles,
// warm-ups), then the least recently used.
// It owns the meaning of blocks; block-pool.ts owns their number. Used by scheduler.ts and engine.ts.
import assert from 'node:assert/strict';
import type { BlockPool } from './block-pool.ts';
import { EvictedPaths, pathHash } from './evicted-paths.ts';
import { type IdleLinks, IdleList } from './idle-list.ts';
import {
  type Children,
  childCount,
  childOf,
  everyChild,
  withChild,
  withoutChild,
} from './prefix-children.ts';

/** One cached block: the tokens that follow the parent's. Opaque to callers. */
export interface PrefixNode extends IdleLinks<PrefixNode> {
  readonly parent: PrefixNode | null; // null: the root of a salt
  readonly key: string;
  block: number; // -1 for a root
  drawn: boolean; // tokens of an answer are in it, computed one by one
  children: Children<PrefixNode>;
  ofTurn: boolean; // a turn has used it: so it has all its ancestors, which it holds as well
  detached: boolean; // evicted or cleared: no new block may be hung below it
  readonly path: number; // hash of all tokens up to its end, and the salt
  coldKey: string | null; // its content's name in the archive; kept here for cold-tier.ts
}

/** Why a prompt goes on being computed where it does. */
export type MissReason =
  | 'none' // all of it that may be found was found
  | 'new' // nothing of it is known
  | 'grown' // it goes on where everything known ends
  | 'differs' // others went on otherwise from here
  | 'evicted'; // it was known, and was given up for room

const EVICTED_PATHS_MAX = 65_536;

/** Hears what becomes findable and what is found no more, in the engine's stack: must be cheap. */
export interface BlockWatch {
  /** A new block: its tokens are in `key` (tokensOf), its salt is the root's key. */
  onStored(node: PrefixNode): void;
  onForgotten(node: PrefixNode): void;
  /** All of them, also because another device has taken the place of this one. */
  onCleared(): void;
}

export class PrefixCache {
  readonly #pool: BlockPool;
  readonly #blockSize: number;
  readonly #watch: BlockWatch | null;
  readonly #roots = new Map<string, PrefixNode>(); // bounded: a root without children is removed
  readonly #nodes: (PrefixNode | null)[]; // [blockCount] what each block holds, if it is findable
  // Every node whose block nobody holds is in one of them.
  readonly #idleOfTurns = new IdleList<PrefixNode>();
  readonly #idleOfOthers = new IdleList<PrefixNode>();
  readonly #evictedPaths: EvictedPaths;
  #evictedCount = 0;
  #clearedCount = 0;
  /** Called before a block's content is given up for another's. */
  onEvict: ((node: PrefixNode) => void) | null = null;

  constructor(pool: BlockPool, blockSize: number, watch: BlockWatch | null = null) {
    this.#pool = pool;
    this.#blockSize = blockSize;
    this.#watch = watch;
    watch?.onCleared();
    this.#nodes = new Array(pool.blockCount).fill(null);
    this.#evictedPaths = new EvictedPaths(Math.min(EVICTED_PATHS_MAX, 4 * pool.blockCount));
  }

  /** Blocks evicted for others since the start. */
  get evictedCount(): number {
    return this.#evictedCount;
  }

  /** Blocks forgotten since the start because they could no longer be trusted. */
  get clearedCount(): number {
    return this.#clearedCount;
  }

  /** Blocks that allocate() could hand out now. */
  get availableCount(): number {
    return this.#pool.freeCount + this.#pool.idleCount;
  }

  /** One for each salt under which something is known. */
  get roots(): Iterable<PrefixNode> {
    return this.#roots.values();
  }

  /** A block that is found again has the content that it had under the same number. */
  useOf(block: number): number {
    return this.#pool.useOf(block);
  }

  /** The block's content can be found again. */
  isKept(block: number): boolean {
    return this.#nodes[block] !== null;
  }

  /** Why match() went no further than `node`, which ends at `position`, in a prompt of `limit` tokens that may be found. */
  missReason(
    node: PrefixNode,
    tokens: Int32Array,
    { position, limit }: { position: number; limit: number },
  ): MissReason {
    if (position + this.#blockSize > limit) return 'none';
    const key = blockKey(tokens, position, this.#blockSize);
    if (this.#evictedPaths.has(pathHash(node.path, key))) return 'evicted';
    if (node.parent === null) return 'new';
    return childCount(node.children) > 0 ? 'differs' : 'grown';
  }

  /** Where a sequence with this salt begins. */
  root(salt: string): PrefixNode {
    return this.#roots.get(salt) ?? newNode(null, salt, -1);
  }

  /** A place below which nothing becomes findable: for sequences whose saved blocks cannot be trusted. */
  detachedRoot(): PrefixNode {
    const root = newNode(null, '', -1);
    root.detached = true;
    return root;
  }

  /**
   * Follows `tokens` from position `from` (a multiple of the block size, where `node` ends) as far as whole blocks
   * are known and end at or before `limit`. Holds each block found until release(). Appends them to `blocks`.
   * Returns the last node reached.
   */
  match(
    node: PrefixNode,
    tokens: Int32Array,
    { from, limit }: { from: number; limit: number },
    blocks: number[],
  ): PrefixNode {
    if (node.parent === null && !node.detached) node = this.root(node.key); // somebody may have planted it since
    for (let start = from; start + this.#blockSize <= limit; start += this.#blockSize) {
      const next = childOf(node.children, blockKey(tokens, start, this.#blockSize));
      if (next === undefined) break;
      this.#hold(next);
      blocks.push(next.block);
      node = next;
    }
    return node;
  }

  /** How many of the blocks that match() would find after `node` are held by somebody already. Holds none itself. */
  heldCount(node: PrefixNode, tokens: Int32Array, limit: number): number {
    let count = 0;
    for (let start = 0; start + this.#blockSize <= limit; start += this.#blockSize) {
      const next = childOf(node.children, blockKey(tokens, start, this.#blockSize));
      if (next === undefined || this.#pool.refCount(next.block) === 0) break;
      count++;
      node = next;
    }
    return count;
  }

  /**
   * Makes a block findable: it holds tokens [start, start + blockSize) after `node`. If the same content is known
   * already, the caller's hold moves to that block and its own is given back; either way the returned node's block
   * is the one now held. But what an answer has `drawn` takes the place of what others computed as a prompt, if nobody
   * holds that: a turn that goes on from the answer finds what it would find alone. On a detached parent the block stays
   * private and the parent is returned.
   */
  insert(node: PrefixNode, tokens: Int32Array, start: number, block: number, drawn = false): PrefixNode {
    if (node.detached) return node;
    if (node.parent === null) node = this.#plantedRoot(node);
    const key = blockKey(tokens, start, this.#blockSize);
    const known = childOf(node.children, key);
    if (known !== undefined) {
      if (drawn && !known.drawn && this.#pool.refCount(known.block) === 0) {
        this.#refill(known, block);
        return known;
      }
      // [known | mine, same content] → [known, held once more]
      this.#hold(known);
      this.release(block, false);
      return known;
    }
    const child = newNode(node, key, block);
    child.drawn = drawn;
    node.children = withChild(node.children, child);
    this.#nodes[block] = child;
    this.#watch?.onStored(child);
    return child;
  }

  /** A block for new content, held once; evicts an idle block if need be; -1 if all are held. */
  allocate(): number {
    const block = this.#pool.allocate();
    if (block !== -1) return block;
    const victim = this.#idleOfOthers.oldest ?? this.#idleOfTurns.oldest;
    if (victim === null) return -1;
    this.onEvict?.(victim);
    this.#evictedCount++;
    this.#evict(victim);
    return this.#pool.allocate();
  }

  /**
   * Gives up one hold; `ofTurn`: it was a turn's. Release a sequence's blocks last to first: the idle lists rely on it
   * (see #evict).
   */
  release(block: number, ofTurn: boolean): void {
    const node = this.#nodes[block];
    if (node && ofTurn) node.ofTurn = true; // also while others hold it: it is in no list yet
    if (!this.#pool.release(block)) return;
    if (node) this.#idleList(node).append(node);
    else this.#pool.free(block);
  }

  /** Forgets everything, e.g. because the device lost its block store. Held blocks stay held, but unfindable. */
  clear(): void {
    for (const list of [this.#idleOfOthers, this.#idleOfTurns]) {
      for (; list.oldest !== null; this.#clearedCount++) this.#evict(list.oldest);
    }
    for (const [block, node] of this.#nodes.entries()) {
      if (node === null) continue;
      this.#clearedCount++;
      node.detached = true;
      node.children = null;
      this.#nodes[block] = null;
    }
    for (const root of this.#roots.values()) {
      root.detached = true; // seated sequences may still point at it
      root.children = null;
    }
    this.#roots.clear();
    this.#watch?.onCleared();
  }

  /**
   * Forgets the path to `node` and all that hangs below it, because its content cannot be trusted. Held blocks stay held,
   * but unfindable. Answers what was forgotten.
   */
  distrust(node: PrefixNode): readonly PrefixNode[] {
    if (node.parent === null || node.detached) return [];
    let top = node;
    while (top.parent!.parent !== null) top = top.parent!;
    const nodes = [top];
    for (const each of nodes) nodes.push(...everyChild(each.children)); // grows while it is walked
    for (const each of nodes.toReversed()) this.#forget(each);
    this.#clearedCount += nodes.length;
    return nodes;
  }

  /** Full audit, O(blockCount). */
  check(): void {
    this.#pool.check();
    let idle = 0;
    for (const node of [...this.#idleOfOthers, ...this.#idleOfTurns]) {
      assert(this.#nodes[node.block] === node && this.#pool.refCount(node.block) === 0);
      for (const child of everyChild(node.children)) {
        assert(this.#pool.refCount(child.block) === 0, 'a held block below an idle one');
        assert(node.ofTurn || !child.ofTurn, 'a block of a turn below one of none');
      }
      idle++;
    }
    assert.equal(idle, this.#pool.idleCount, 'idle list');
  }

  // An empty root is not kept, so the one a sequence began at may have been replaced since.
  #plantedRoot(root: PrefixNode): PrefixNode {
    const planted = this.#roots.get(root.key);
    if (planted !== undefined) return planted;
    this.#roots.set(root.key, root);
    return root;
  }

  #hold(node: PrefixNode): void {
    if (this.#pool.refCount(node.block) === 0) this.#idleList(node).remove(node);
    this.#pool.retain(node.block);
  }

  // The node to evict is always a leaf: a sequence holds all ancestors of what it holds and releases them after their
  // descendants, so a parent never stands before its child in a list; and never in the list that goes first while its
  // child is in the other.
  #evict(node: PrefixNode): void {
    assert(this.#pool.refCount(node.block) === 0, 'evicted a held node');
    this.#evictedPaths.add(node.path);
    this.#forget(node);
  }

  /** A leaf, idle or held: it is found no more. */
  #forget(node: PrefixNode): void {
    assert(childCount(node.children) === 0, 'forgot a node with children');
    const isIdle = this.#pool.refCount(node.block) === 0;
    if (isIdle) this.#idleList(node).remove(node);
    node.detached = true;
    this.#nodes[node.block] = null;
    this.#watch?.onForgotten(node);
    const parent = node.parent!;
    parent.children = withoutChild(parent.children, node.key);
    if (parent.parent === null && parent.children === null) this.#roots.delete(parent.key);
    if (isIdle) this.#pool.free(node.block);
  }

  /** An idle node whose tokens are from now on in `block`, which the caller holds. */
  #refill(node: PrefixNode, block: number): void {
    this.#idleList(node).remove(node);
    this.#nodes[node.block] = null;
    this.#pool.free(node.block);
    node.block = block;
    node.drawn = true;
    this.#nodes[block] = node;
  }

  #idleList({ ofTurn }: PrefixNode): IdleList<PrefixNode> {
    return ofTurn ? this.#idleOfTurns : this.#idleOfOthers;
  }
}

/** The tokens of a block, out of its key. */
export function tokensOf({ key }: PrefixNode): readonly number[] {
  return Array.from(
    { length: key.length / 2 },
    (_, index) => key.charCodeAt(2 * index) + 0x10000 * key.charCodeAt(2 * index + 1),
  );
}

function newNode(parent: PrefixNode | null, key: string, block: number): PrefixNode {
  // One literal, field by field: thousands are made a second.
  return {
    parent,
    key,
    block,
    drawn: false,
    children: null,
    ofTurn: false,
    older: null,
    newer: null,
    detached: false,
    coldKey: null,
    path: pathHash(parent?.path ?? 0, key),
  };
}

/** Two UTF-16 units per token id (ids < 2^32): exact, so that equal keys are equal tokens, not merely equal hashes. */
export function blockKey(tokens: Int32Array, start: number, blockSize: number): string {
  if (units.length !== 2 * blockSize) units = Array.from({ length: 2 * blockSize }, () => 0);
  for (let index = 0; index < blockSize; index++) {
    const id = tokens[start + index]!;
    units[2 * index] = id & 0xffff;
    units[2 * index + 1] = id >>> 16;
  }
  return String.fromCharCode.apply(null, units);
}

let units: number[] = []; // of the key that is being made; a typed array would take three times as long to become a string
