// ResponseStore: answers that were to be stored, by id, for their owner only. Owns its bounds: count, count per owner,
// size of the texts, age; the oldest goes first, but never one that is still being written.
// Before it: routes.ts and socket.ts; after it: nothing, it is memory.
import type { Clock } from '../../kernels/clock.ts';
import type { EventLog } from './event-log.ts';
import type { Item } from './items.ts';
import type { OpenResponse } from './open-response.ts';
import type { ResponseObject } from './response-object.ts';

export interface StoredResponse {
  readonly id: string;
  readonly owner: string;
  readonly input: readonly Item[]; // of its own request
  readonly history: readonly Item[]; // what came before
  /** As it stands now. */
  readonly response: () => ResponseObject;
  readonly output: () => readonly Item[];
  readonly isOver: () => boolean;
  readonly cancel: () => void;
  readonly log?: EventLog; // of work that goes on in the background, or elsewhere
  readonly open?: () => OpenResponse; // what another node needs to go on with it
}

export interface ResponseStoreBounds {
  readonly responseCountMax: number;
  readonly responseCountPerKeyMax: number;
  readonly responseStoreSizeMax: number; // bytes of JSON, about
  readonly responseTtlMs: number;
}

/** Hears what others have to know of. */
export interface ResponseKeeper {
  /** It is being written, and another node may have to go on with it. */
  opened(stored: StoredResponse): void;
  settled(stored: StoredResponse): void;
  /** By its owner. */
  deleted(stored: StoredResponse): void;
  dropped(id: string): void;
}

interface Entry {
  stored: StoredResponse;
  readonly expiresMs: number;
  size: number;
}

export class ResponseStore {
  readonly #bounds: ResponseStoreBounds;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>(); // oldest first
  readonly #counts = new Map<string, number>(); // owner → entries
  readonly #items = new Map<string, { readonly owner: string; readonly item: Item }>(); // by id, of all entries
  #size = 0;
  #keeper: ResponseKeeper | null = null;

  constructor(bounds: ResponseStoreBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  keepBy(keeper: ResponseKeeper): void {
    this.#keeper = keeper;
  }

  /** Oldest first. */
  get all(): readonly StoredResponse[] {
    return [...this.#entries.values()].map(({ stored }) => stored);
  }

  /** Characters of all that is stored together. */
  get sizeMax(): number {
    return this.#bounds.responseStoreSizeMax;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Characters of what is stored. */
  get size(): number {
    return this.#size;
  }

  /** False: it is larger than the whole store, or everything kept is still being written. */
  add(stored: StoredResponse): boolean {
    const { responseTtlMs } = this.#bounds;
    const entry = { stored, expiresMs: this.#clock.nowMs() + responseTtlMs, size: jsonSize(stored.input) };
    this.#entries.set(stored.id, entry);
    this.#counts.set(stored.owner, (this.#counts.get(stored.owner) ?? 0) + 1);
    this.#size += entry.size;
    this.#index(stored.owner, stored.input);
    this.#shrink();
    const isKept = this.#entries.has(stored.id);
    if (isKept && stored.open !== undefined) this.#keeper?.opened(stored);
    return isKept;
  }

  /** Its answer is complete: what it holds now counts, and its run is let go. */
  settle(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#settle(entry);
    this.#keeper?.settled(entry.stored);
  }

  /** A response of another node, complete. */
  adopt(stored: StoredResponse): void {
    this.forget(stored.id);
    this.add(stored);
    const entry = this.#entries.get(stored.id);
    if (entry !== undefined) this.#settle(entry);
  }

  /** It is not here any more; its owner has not deleted it here. */
  forget(id: string): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#drop(id, entry);
  }

  #settle(entry: Entry): void {
    const { stored } = entry;
    const response = stored.response();
    const output = stored.output();
    entry.stored = {
      ...stored,
      response: () => response,
      output: () => output,
      isOver: () => true,
      cancel: () => {},
    };
    const size = JSON.stringify(response).length + (stored.log?.size ?? 0);
    entry.size += size;
    this.#size += size;
    this.#index(stored.owner, output);
    this.#shrink();
  }

  /** An item of a stored response's input or output. */
  item(id: string, owner: string): Item | null {
    const found = this.#items.get(id);
    return found?.owner === owner ? found.item : null;
  }

  get(id: string, owner: string): StoredResponse | null {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.stored.owner !== owner) return null;
    if (entry.expiresMs > this.#clock.nowMs()) return entry.stored;
    if (entry.stored.isOver()) this.#drop(id, entry);
    return null;
  }

  /** Forgets it; what is being written for it is cancelled. */
  delete(id: string, owner: string): boolean {
    const stored = this.get(id, owner);
    if (stored === null) return false;
    const isKnown = stored.isOver() || stored.log !== undefined || stored.open !== undefined; // else nobody has heard of it
    stored.cancel();
    this.forget(id);
    if (isKnown) this.#keeper?.deleted(stored);
    return true;
  }

  /** Age first, then whoever has too many, then everybody: nobody pays for another's excess before that one has. */
  #shrink(): void {
    const { responseCountMax, responseCountPerKeyMax, responseStoreSizeMax } = this.#bounds;
    const nowMs = this.#clock.nowMs();
    this.#dropWhere(
      ({ expiresMs, stored }) =>
        expiresMs <= nowMs || this.#counts.get(stored.owner)! > responseCountPerKeyMax,
    );
    this.#dropWhere(() => this.#entries.size > responseCountMax || this.#size > responseStoreSizeMax);
  }

  /** Oldest first; what is being written stays. */
  #dropWhere(unwanted: (entry: Entry) => boolean): void {
    for (const [id, entry] of this.#entries) {
      if (unwanted(entry) && entry.stored.isOver()) this.#drop(id, entry);
    }
  }

  #index(owner: string, items: readonly Item[]): void {
    for (const item of items) this.#items.set(String(item['id']), { owner, item });
  }

  #drop(id: string, entry: Entry): void {
    if (!this.#entries.delete(id)) return;
    this.#size -= entry.size;
    this.#keeper?.dropped(id);
    const { owner, input, output } = entry.stored;
    for (const item of [...input, ...output()]) this.#items.delete(String(item['id']));
    const count = this.#counts.get(owner)! - 1;
    if (count === 0) this.#counts.delete(owner);
    else this.#counts.set(owner, count);
  }
}

function jsonSize(items: readonly Item[]): number {
  return JSON.stringify(items).length;
}
