// Cached blocks as events in vLLM's wire format, for routers that send a request where its prefix lies: what becomes findable
// (BlockStored), what is given up (BlockRemoved), a new beginning (AllBlocksCleared). Owns the names of blocks, batches and
// their numbers, and the latest batches for who comes late; knows no socket. Before it: engine/prefix-cache.ts; after it:
// kv-publisher.ts.
import { createHash } from 'node:crypto';
import type { Clock } from '../../kernels/clock.ts';
import { pack } from '../client/wire.ts';
import { type BlockWatch, type PrefixNode, tokensOf } from '../engine/prefix-cache.ts';

/** One message: its number, and `[seconds, events, rank]` as MessagePack. */
export interface KvBatch {
  readonly sequence: number; // from 0, without gaps
  readonly payload: Uint8Array;
}

export interface KvEventsOptions {
  readonly clock: Pick<Clock, 'defer'>;
  readonly epochMs: () => number;
  readonly batchesKept: number;
  /** Each batch, in order. */
  readonly onBatch: (batch: KvBatch) => void;
}

type KvEvent =
  | {
      readonly type: 'BlockStored';
      readonly block_hashes: readonly bigint[];
      readonly parent_block_hash: bigint | null;
      readonly token_ids: readonly number[];
      readonly block_size: number;
      readonly lora_id: null;
      readonly medium: 'GPU'; // vLLM's word for the memory that the device computes from
      readonly lora_name: null;
      readonly extra_keys: readonly (readonly string[] | null)[] | null; // [block] what else its name depends on
    }
  | { readonly type: 'BlockRemoved'; readonly block_hashes: readonly bigint[]; readonly medium: 'GPU' }
  | { readonly type: 'AllBlocksCleared' };

const RANK = 0; // of data-parallel engines: here they are one

export class KvEvents implements BlockWatch {
  readonly #options: KvEventsOptions;
  readonly #names = new WeakMap<PrefixNode, bigint>();
  readonly #kept: KvBatch[] = []; // bounded by batchesKept
  #events: KvEvent[] = []; // of this turn of the event loop
  #nextSequence = 0;
  #scheduled = false;

  constructor(options: KvEventsOptions) {
    this.#options = options;
  }

  onStored(node: PrefixNode): void {
    const { parent } = node;
    const first = parent!.parent === null;
    const tokens = tokensOf(node);
    const salt = first ? parent!.key : '';
    this.#tell({
      type: 'BlockStored',
      block_hashes: [this.#nameOf(node)],
      parent_block_hash: first ? null : this.#nameOf(parent!),
      token_ids: tokens,
      block_size: tokens.length,
      lora_id: null,
      medium: 'GPU',
      lora_name: null,
      extra_keys: salt === '' ? null : [[salt]],
    });
  }

  onForgotten(node: PrefixNode): void {
    this.#tell({ type: 'BlockRemoved', block_hashes: [this.#nameOf(node)], medium: 'GPU' });
  }

  onCleared(): void {
    this.#events = []; // what was to be told is gone as well
    this.#tell({ type: 'AllBlocksCleared' });
  }

  /** The kept batches from `sequence` on. */
  *since(sequence: number): Iterable<KvBatch> {
    for (const batch of this.#kept) if (batch.sequence >= sequence) yield batch;
  }

  /** Equal prefixes of equal owners have equal names on every node: 64 bits, which two others share by chance only. */
  #nameOf(node: PrefixNode): bigint {
    const known = this.#names.get(node);
    if (known !== undefined) return known;
    const { parent } = node;
    const before = parent!.parent === null ? parent!.key : this.#nameOf(parent!).toString();
    const digest = createHash('sha256').update(`${before}\n`).update(node.key, 'utf16le').digest();
    const name = digest.readBigUInt64BE();
    this.#names.set(node, name);
    return name;
  }

  #tell(event: KvEvent): void {
    this.#events.push(event);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.clock.defer(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const events = this.#events;
    this.#events = [];
    const { epochMs, batchesKept, onBatch } = this.#options;
    const payload = pack([epochMs() / 1000, events, RANK]);
    const batch = { sequence: this.#nextSequence++, payload: new Uint8Array(payload) };
    this.#kept.push(batch);
    if (this.#kept.length > batchesKept) this.#kept.shift();
    onBatch(batch);
  }
}
