// What nodes share of records, stored responses and conversations, as whoever holds a store has to offer it: by id, for their
// owner only, each with a version that only grows. A version is the fence: what does not come after the one that is there is
// refused. Types only. Before it: shared-records.ts; after it: redis-records.ts.

export interface RecordAsk {
  readonly id: string;
  readonly owner: string; // a digest of the key
  readonly version: number; // that the asker has; −1: none
  readonly holder: string; // who asks, among those who lock
}

export type Found =
  | { readonly kind: 'none' }
  | { readonly kind: 'deleted' } // by its owner
  | { readonly kind: 'same'; readonly lockedMs: number } // the asker's version
  | {
      readonly kind: 'record';
      readonly version: number;
      readonly bytes: Uint8Array;
      readonly lockedMs: number; // another holder writes in it, for so long at most unless it says so again
    };

export interface RecordLock {
  readonly owner: string;
  readonly holder: string;
  readonly ms: number;
  readonly version: number; // that the holder has; −1: any
}

export interface SharedRecord {
  readonly id: string;
  readonly owner: string;
  readonly version: number;
  readonly bytes: Uint8Array;
  readonly names: readonly string[]; // other names under which its id is found
}

export type Put = 'kept' | 'stale' | 'deleted';

/** Each rejects while the store cannot be reached. */
export interface RecordStore {
  find(ask: RecordAsk): Promise<Found>;
  /** Stale: a version is there that this one does not come after. */
  put(record: SharedRecord): Promise<Put>;
  /** Keeps others from putting it back. */
  delete(id: string, owner: string): Promise<void>;
  /** Others are told so for `ms`; 0: no longer. False: a version is there that comes after the holder's. */
  lock(id: string, lock: RecordLock): Promise<boolean>;
  /** The id of the record that has this name. */
  named(name: string, owner: string): Promise<string | null>;
}

export interface RecordBounds {
  readonly keepMs: number; // without a change, or without use
  readonly countPerOwnerMax: number;
  readonly sizeMax: number; // bytes of all together; the oldest goes first
}
