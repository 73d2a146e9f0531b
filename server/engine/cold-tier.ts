// ColdTier: decides which blocks are kept in the archive and which are brought back before a sequence sits down. What
// comes back goes into the prefix cache, where the sequence finds it as it finds anything else; until then it waits and
// those behind it go first. Owns the fetches under way; never reads or writes a block. Used by scheduler.ts and engine.ts.
import type { StepRow } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import type { BlockArchive, BlockKey } from './block-archive.ts';
import type { PrefixCache, PrefixNode } from './prefix-cache.ts';
import type { ColdFetch, Sequence } from './sequence.ts';
import { TierRates } from './tier-rates.ts';

export interface ColdTierParts {
  readonly archive: BlockArchive;
  readonly cache: PrefixCache;
  readonly blockSize: number;
  readonly clock: Clock;
  readonly onFetched: () => void; // somebody may sit down now
}

/** Tokens that the cache knows nothing of: [from, limit), at most `countMax` blocks. */
interface Span {
  readonly key: BlockKey; // of the block before them
  readonly tokens: Int32Array;
  readonly from: number;
  readonly limit: number;
  readonly countMax: number;
}

const FETCHES_MAX = 4; // at a time: each holds blocks that nobody can use yet

export class ColdTier {
  readonly #parts: ColdTierParts;
  readonly #rates = new TierRates();
  #fetches: ColdFetch[] = []; // at most FETCHES_MAX
  #trusted = true; // false: the fetches under way write into a store that was lost meanwhile
  #fetchedCount = 0;
  #skippedCount = 0;

  constructor(parts: ColdTierParts) {
    this.#parts = parts;
    parts.cache.onEvict = (node) => this.#keepEvicted(node);
  }

  get fetching(): boolean {
    return this.#fetches.length > 0;
  }

  /** Blocks brought back since the start. */
  get fetchedCount(): number {
    return this.#fetchedCount;
  }

  /** Archived blocks that were computed anew because that was quicker. */
  get skippedCount(): number {
    return this.#skippedCount;
  }

  /** Blocks that fetches hold, with repetitions. */
  *heldBlocks(): Iterable<number> {
    for (const { held } of this.#fetches) yield* held;
  }

  /**
   * Whether the sequence had better wait for blocks that are on their way; starts a fetch if that pays. `limit` as for
   * PrefixCache.match; `spareCount`: blocks that nobody else has been promised.
   */
  holdsUp(sequence: Sequence, { limit, spareCount }: { limit: number; spareCount: number }): boolean {
    if (sequence.coldFetch !== null) return !sequence.coldFetch.ended;
    if (sequence.coldTried || spareCount <= 0) return false;
    const { cache, blockSize } = this.#parts;
    const { tokens } = sequence;
    const found: number[] = [];
    const node = cache.match(cache.root(sequence.request.cacheSalt), tokens, { from: 0, limit }, found);
    const from = found.length * blockSize;
    const span = { key: this.#keyOf(node), tokens, from, limit, countMax: spareCount };
    const keys = this.#archivedKeys(span);
    if (this.#asks(sequence, span, keys)) {
      this.#release(sequence, found);
      return true;
    }
    const other =
      keys.length === 0 ? undefined : this.#fetches.find((fetch) => fetch.keys.includes(keys[0]!));
    if (other !== undefined) {
      sequence.waitFor(other);
    } else if (keys.length > 0 && this.#fetches.length >= FETCHES_MAX) {
      this.#release(sequence, found);
      return true; // a place comes free with the next fetch that ends
    } else {
      sequence.askedArchive();
      if (this.#pays(keys.length)) return this.#fetch(sequence, { node, found, keys });
    }
    this.#release(sequence, found);
    return other !== undefined;
  }

  /** A block has become findable: keeps a copy of it. */
  keep(node: PrefixNode, tokens: Int32Array, start: number): void {
    if (node.coldKey !== null) return;
    const { archive } = this.#parts;
    const key = archive.nextKey(this.#keyOf(node.parent!), tokens, start);
    node.coldKey = key;
    archive.store(key, node.block);
    // Without those before it nobody finds it.
    for (let at = node.parent!; at.coldKey !== null && at.parent !== null; at = at.parent) {
      if (archive.lacks?.(at.coldKey) !== true || !archive.store(at.coldKey, at.block)) break;
    }
  }

  /** The content of the block cannot be trusted. */
  forget({ coldKey }: PrefixNode): void {
    if (coldKey !== null) this.#parts.archive.forget(coldKey);
  }

  /** A step has run: what computing costs. */
  learn(rows: readonly StepRow[], deviceMs: number): void {
    let tokenCount = 0;
    for (const row of rows) {
      if (row.sampleCount > 1 || row.tokens.length === 1) return; // decodes and drafts cost something else
      tokenCount += row.tokens.length;
    }
    this.#rates.learnCompute(tokenCount, deviceMs);
  }

  /** The device has lost its block store. */
  invalidate(): void {
    if (this.#fetches.length > 0) this.#trusted = false;
  }

  #fetch(
    sequence: Sequence,
    { node, found, keys }: { node: PrefixNode; found: number[]; keys: readonly BlockKey[] },
  ): boolean {
    const { cache, archive, clock } = this.#parts;
    const fresh: number[] = [];
    while (fresh.length < keys.length) {
      const block = cache.allocate();
      if (block === -1) break;
      fresh.push(block);
    }
    if (fresh.length === 0) {
      this.#release(sequence, found);
      return false;
    }
    const fetch: ColdFetch = {
      sequence,
      tokens: sequence.tokens,
      node,
      held: [...found, ...fresh],
      keys: keys.slice(0, fresh.length),
      startMs: clock.nowMs(),
      ended: false,
    };
    sequence.waitFor(fetch);
    this.#fetches.push(fetch);
    archive.fetch(fetch.keys, fresh, (count) => this.#land(fetch, fresh, count));
    return true;
  }

  // [found, held | fresh, held] → [found | fetched and findable | the rest free again], all of them idle
  #land(fetch: ColdFetch, fresh: readonly number[], count: number): void {
    const { cache, blockSize, clock, onFetched } = this.#parts;
    this.#fetches = this.#fetches.filter((other) => other !== fetch);
    fetch.ended = true;
    const held = [...fetch.held];
    const foundCount = held.length - fresh.length;
    const landed = this.#trusted ? count : 0;
    let { node } = fetch;
    for (let index = 0; index < landed; index++) {
      const start = (foundCount + index) * blockSize;
      const next = cache.insert(node, fetch.tokens, start, held[foundCount + index]!);
      if (next === node) break; // the cache was cleared meanwhile
      next.coldKey ??= fetch.keys[index]!;
      held[foundCount + index] = next.block;
      node = next;
    }
    this.#release(fetch.sequence, held);
    if (this.#fetches.length === 0) this.#trusted = true;
    this.#fetchedCount += landed;
    fetch.sequence.broughtBack(landed * blockSize);
    this.#rates.learnFetch(count, clock.nowMs() - fetch.startMs);
    onFetched();
  }

  /** Whether an archive that does not know by itself is asked what else it has: once for each sequence, where that pays. */
  #asks(sequence: Sequence, span: Span, keys: readonly BlockKey[]): boolean {
    const { archive, blockSize, clock, onFetched } = this.#parts;
    if (archive.ask === undefined || sequence.coldAsked) return false;
    const { tokens, limit, countMax } = span;
    const from = span.from + keys.length * blockSize;
    const count = Math.min(countMax - keys.length, Math.floor((limit - from) / blockSize));
    if (count <= 0 || !this.#rates.askPays(count * blockSize)) return false;
    const unknown: BlockKey[] = [];
    let key = keys.at(-1) ?? span.key;
    for (let start = from; unknown.length < count; start += blockSize) {
      key = archive.nextKey(key, tokens, start);
      unknown.push(key);
    }
    const startMs = clock.nowMs();
    const asked = archive.ask(unknown, () => {
      const gap = unknown.findIndex((key) => !archive.has(key));
      const foundCount = (gap < 0 ? count : gap) * blockSize;
      this.#rates.learnAsk(clock.nowMs() - startMs, { tokenCount: count * blockSize, foundCount });
      sequence.heardArchive();
      onFetched();
    });
    if (asked) sequence.asksArchive();
    return asked;
  }

  #pays(count: number): boolean {
    if (count === 0) return false;
    const pays = this.#rates.fetchPays(count, count * this.#parts.blockSize);
    if (!pays) this.#skippedCount += count;
    return pays;
  }

  /** Keys of the blocks of a span as far as the archive has them without a gap. */
  #archivedKeys({ tokens, from, limit, countMax, ...before }: Span): BlockKey[] {
    const { archive, blockSize } = this.#parts;
    const keys: BlockKey[] = [];
    let { key } = before;
    for (let start = from; start + blockSize <= limit && keys.length < countMax; start += blockSize) {
      key = archive.nextKey(key, tokens, start);
      if (!archive.has(key)) break;
      keys.push(key);
    }
    return keys;
  }

  // Every node below a root has been given its key when it became findable.
  #keyOf(node: PrefixNode): BlockKey {
    node.coldKey ??= this.#parts.archive.rootKey(node.key);
    return node.coldKey;
  }

  // The archive was too busy when the block became findable; now is the last chance.
  #keepEvicted(node: PrefixNode): void {
    const { archive } = this.#parts;
    if (node.coldKey !== null) archive.store(node.coldKey, node.block);
  }

  #release({ request }: Sequence, blocks: readonly number[]): void {
    const ofTurn = request.priority === 'turn';
    for (let index = blocks.length - 1; index >= 0; index--)
      this.#parts.cache.release(blocks[index]!, ofTurn);
  }
}
