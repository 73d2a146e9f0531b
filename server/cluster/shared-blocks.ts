// KV blocks behind the archive, through a store that nodes share: what one node has computed another fetches instead of computing it
// again. Owns what waits to be told, what the store is known to have, and that an outage, a full store or a damaged value costs the
// recomputation and nothing else. The bytes are the device's own, to the last bit. Before it: engine/cold-tier.ts; after it:
// block-store.ts, and the archive on this node's disk, where there is one.
import assert from 'node:assert/strict';
import type { Clock } from '../../kernels/clock.ts';
import type { KeyChain } from '../archive/key-chain.ts';
import type { CopyableBlocks } from '../archive/kv-archive.ts';
import { HEADER_SIZE, isWhole, sealRecord } from '../archive/record.ts';
import type { BlockArchive, BlockKey } from '../engine/block-archive.ts';
import { type BlockRecord, type BlockStore, StoreFullError } from './block-store.ts';
import type { StoreLink } from './store-link.ts';

export type BlockLoss = 'busy' | 'gone' | 'full' | 'unreachable' | 'damaged';

/** What happens to blocks that nodes share, for metrics. */
export interface SharedBlocksObserver {
  onBlocksShared(blockCount: number, bytes: number): void;
  onBlocksBrought(blockCount: number, bytes: number): void;
  /** Not told to others, gone meanwhile, or not what was told. */
  onBlocksLost(reason: BlockLoss, blockCount: number): void;
}

export interface SharedBlocksParts {
  readonly store: BlockStore;
  readonly link: StoreLink;
  readonly closeLink: () => void;
  readonly near: NearArchive | null; // on this node
  readonly keys: KeyChain;
  readonly blocks: CopyableBlocks;
  readonly clock: Pick<Clock, 'schedule' | 'nowMs' | 'defer'>;
  readonly observer: SharedBlocksObserver;
}

/** An archive that ends. */
export type NearArchive = BlockArchive & { close(done: () => void): void };

/** A block as this node knows it. */
interface Known {
  readonly parent: BlockKey | null; // null: the first of its prompt
  thereMs: number; // when the store last had it; −∞: never that we know
}

const ASK_MS_MAX = 250; // a prompt waits no longer for an answer; a node that has just started takes 100 to ask
const ASK_AGAIN_MS = 1000; // after a question without one
const KNOWN_MS = 60_000; // what the store had then it may not have any more
const USED_AGAIN_MS = 10_000; // how exactly the store knows what is used
const KNOWN_MAX = 65_536; // blocks, the latest; some 200 bytes each
const USED_MAX = 16_384; // told at once: blocks of the longest prompts
const BATCH_SIZE_MAX = 4 * 2 ** 20; // bytes of one read or write: short for the store, which does one thing at a time
const QUEUE_SIZE_MAX = 64 * 2 ** 20; // bytes that wait to be told
const PAUSE_MS = 2000; // after a store that is there has refused blocks
const CLOSE_MS_MAX = 2000;

export class SharedBlocks implements BlockArchive {
  readonly #parts: SharedBlocksParts;
  readonly #known = new Map<BlockKey, Known>(); // oldest first
  readonly #waiting = new Map<BlockKey, Buffer>(); // records, in the order they came
  #waitingSize = 0;
  #writing = false;
  #pausedUntilMs = 0;
  #askAgainMs = 0;
  #onIdle: (() => void) | null = null;
  #closing = false;

  constructor(parts: SharedBlocksParts) {
    this.#parts = parts;
    parts.link.watch({ onUp: () => this.#forgetPlaces(), onDown: () => {} });
  }

  rootKey(salt: string): BlockKey {
    return this.#parts.keys.rootKey(salt);
  }

  nextKey(parent: BlockKey, tokens: Int32Array, start: number): BlockKey {
    const key = this.#parts.keys.nextKey(parent, tokens, start);
    const known = this.#known.get(key);
    this.#known.delete(key);
    this.#known.set(key, known ?? { parent: this.#known.has(parent) ? parent : null, thereMs: NEVER });
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
    return key;
  }

  has(key: BlockKey): boolean {
    return this.#parts.near?.has(key) === true || this.#isThere(key);
  }

  ask(keys: readonly BlockKey[], done: () => void): boolean {
    const { store, link, clock } = this.#parts;
    if (!link.up || clock.nowMs() < this.#askAgainMs) return false;
    let waits = true;
    const finish = () => {
      if (waits) done();
      waits = false;
    };
    const silent = () => {
      if (!waits) return;
      this.#askAgainMs = clock.nowMs() + ASK_AGAIN_MS;
      finish();
    };
    // A node that was busy itself reads what has come meanwhile before it takes the store for slow: time is told first.
    const limit = clock.schedule(ASK_MS_MAX, () => clock.defer(silent));
    store.count(keys.map(nameOf)).then(
      (count) => {
        limit.cancel();
        for (const key of keys.slice(0, count)) this.#see(key);
        finish();
      },
      () => {
        limit.cancel();
        silent();
      },
    );
    return true;
  }

  lacks(key: BlockKey): boolean {
    const { link } = this.#parts;
    if (this.#closing || !link.up || this.#isPaused || this.#waiting.has(key)) return false;
    return this.#known.get(key)?.thereMs === NEVER;
  }

  store(key: BlockKey, block: number): boolean {
    const { near, link, blocks, clock, observer } = this.#parts;
    const isNear = near?.store(key, block) ?? false;
    if (this.#closing || !link.up || this.#waiting.has(key) || this.#isThere(key)) return isNear || link.up;
    const size = HEADER_SIZE + blocks.blockBytes;
    if (this.#isPaused || this.#waitingSize + size > QUEUE_SIZE_MAX) {
      observer.onBlocksLost(this.#isPaused ? 'full' : 'busy', 1);
      return isNear;
    }
    const record = Buffer.allocUnsafe(size);
    blocks.readBlock(block, record.subarray(HEADER_SIZE));
    sealRecord(record, key);
    this.#waiting.set(key, record);
    this.#waitingSize += size;
    clock.defer(() => void this.#write()); // not now: blocks come in bursts, and the engine is about to send its next step
    return true;
  }

  forget(key: BlockKey): void {
    const { near, link, store } = this.#parts;
    near?.forget(key);
    this.#drop(key);
    this.#unsee(key);
    if (link.up) store.forget(nameOf(key)).catch(() => {}); // whole as it was told: only here is it known to be wrong
  }

  fetch(keys: readonly BlockKey[], blocks: readonly number[], done: (count: number) => void): void {
    assert(keys.length === blocks.length);
    const { near } = this.#parts;
    let nearCount = 0;
    while (nearCount < keys.length && near?.has(keys[nearCount]!) === true) nearCount++;
    const rest = (count: number) => {
      if (count < nearCount || count === keys.length) done(count);
      else void this.#bring(keys.slice(count), blocks.slice(count)).then((more) => done(count + more));
    };
    if (near === null || nearCount === 0) rest(0);
    else near.fetch(keys.slice(0, nearCount), blocks.slice(0, nearCount), rest);
  }

  /** Calls back once what waits has been told, or cannot be. */
  close(done: () => void): void {
    const { near, clock, closeLink } = this.#parts;
    this.#closing = true;
    const closeNear = () => {
      closeLink();
      if (near === null) done();
      else near.close(done);
    };
    if (this.#waiting.size === 0 && !this.#writing) {
      clock.defer(closeNear);
      return;
    }
    const limit = clock.schedule(CLOSE_MS_MAX, () => this.#onIdle?.());
    this.#onIdle = () => {
      this.#onIdle = null;
      limit.cancel();
      closeNear();
    };
  }

  /** Leading blocks that came whole. */
  async #bring(keys: readonly BlockKey[], blocks: readonly number[]): Promise<number> {
    const { store, observer, blocks: device } = this.#parts;
    const batch = Math.max(1, Math.floor(BATCH_SIZE_MAX / device.blockBytes));
    let count = 0;
    while (count < keys.length) {
      const wanted = keys.slice(count, count + batch);
      let records: readonly (Uint8Array | null)[];
      try {
        records = await store.read(wanted.map(nameOf));
      } catch {
        observer.onBlocksLost('unreachable', keys.length - count);
        return count;
      }
      const whole = this.#land(wanted, blocks.slice(count, count + batch), records);
      observer.onBlocksBrought(whole, whole * device.blockBytes);
      count += whole;
      if (whole < wanted.length) return count;
    }
    return count;
  }

  #land(
    keys: readonly BlockKey[],
    blocks: readonly number[],
    records: readonly (Uint8Array | null)[],
  ): number {
    const { observer, blocks: device, store } = this.#parts;
    for (const [index, key] of keys.entries()) {
      const record = records[index] ?? null;
      if (record !== null && isOf(record, key, device.blockBytes)) {
        device.writeBlock(blocks[index]!, record.subarray(HEADER_SIZE));
        this.#see(key);
        continue;
      }
      this.#unsee(key);
      observer.onBlocksLost(record === null ? 'gone' : 'damaged', 1);
      if (record !== null) store.forget(nameOf(key)).catch(() => {}); // whoever reads it next sees the same
      return index;
    }
    return keys.length;
  }

  async #write(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    while (this.#waiting.size > 0) await this.#writeBatch();
    this.#writing = false;
    this.#onIdle?.();
  }

  async #writeBatch(): Promise<void> {
    const { store, observer, clock, link } = this.#parts;
    const records: BlockRecord[] = [];
    const keys: BlockKey[] = [];
    let size = 0;
    for (const [key, bytes] of this.#waiting) {
      if (size > 0 && size + bytes.length > BATCH_SIZE_MAX) break;
      records.push({ name: nameOf(key), bytes });
      keys.push(key);
      size += bytes.length;
    }
    const used = this.#usedBefore(keys);
    try {
      await store.write(records, used.map(nameOf));
      for (const key of [...keys, ...used]) this.#see(key);
      observer.onBlocksShared(records.length, size);
    } catch (error) {
      observer.onBlocksLost(error instanceof StoreFullError ? 'full' : 'unreachable', this.#waiting.size);
      for (const key of [...this.#waiting.keys()]) this.#drop(key); // what others lack they compute
      if (link.up) this.#pausedUntilMs = clock.nowMs() + PAUSE_MS;
      if (error instanceof StoreFullError) this.#forgetPlaces();
    }
    for (const key of keys) this.#drop(key);
  }

  /** Blocks before these, first to last, of which the store has not heard for a while that they are used. */
  #usedBefore(keys: readonly BlockKey[]): BlockKey[] {
    const nowMs = this.#parts.clock.nowMs();
    const used = new Set<BlockKey>();
    for (const key of keys) {
      const chain: BlockKey[] = [];
      for (let at = this.#known.get(key)?.parent ?? null; at !== null && used.size < USED_MAX; ) {
        const known = this.#known.get(at);
        if (known === undefined || used.has(at) || nowMs - known.thereMs < USED_AGAIN_MS) break;
        if (known.thereMs !== NEVER) chain.push(at);
        at = known.parent;
      }
      for (const one of chain.reverse()) used.add(one);
    }
    return [...used];
  }

  get #isPaused(): boolean {
    return this.#parts.clock.nowMs() < this.#pausedUntilMs;
  }

  #isThere(key: BlockKey): boolean {
    const { link, clock } = this.#parts;
    return link.up && clock.nowMs() - (this.#known.get(key)?.thereMs ?? NEVER) < KNOWN_MS;
  }

  #see(key: BlockKey): void {
    const known = this.#known.get(key);
    if (known !== undefined) known.thereMs = this.#parts.clock.nowMs();
  }

  #unsee(key: BlockKey): void {
    const known = this.#known.get(key);
    if (known !== undefined) known.thereMs = NEVER;
  }

  #drop(key: BlockKey): void {
    this.#waitingSize -= this.#waiting.get(key)?.length ?? 0;
    this.#waiting.delete(key);
  }

  /** The store may have come back empty. */
  #forgetPlaces(): void {
    for (const known of this.#known.values()) known.thereMs = NEVER;
  }
}

const NEVER = Number.NEGATIVE_INFINITY;

function nameOf(key: BlockKey): string {
  return Buffer.from(key, 'latin1').toString('base64url');
}

function isOf(record: Uint8Array, key: BlockKey, blockBytes: number): boolean {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  if (bytes.length !== HEADER_SIZE + blockBytes) return false;
  return isWhole(bytes.subarray(0, HEADER_SIZE), [bytes.subarray(HEADER_SIZE)], key);
}
