// KV blocks that nodes share, as a node asks for them: records by name, of which the least used go first. Types only. Before it:
// shared-blocks.ts; after it: redis-blocks.ts.

export interface BlockRecord {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Each rejects while the store cannot be reached. */
export interface BlockStore {
  /** How many of the first `names` it has, up to the first that it has not. */
  count(names: readonly string[]): Promise<number>;
  /** Records in the order of `names`, null where there is none; they count as used now. */
  read(names: readonly string[]): Promise<readonly (Uint8Array | null)[]>;
  /** Keeps what it has not got; `used`, which come before them, count as used now. Rejects with StoreFullError where it has no room. */
  write(records: readonly BlockRecord[], used: readonly string[]): Promise<void>;
  forget(name: string): Promise<void>;
}

/** There is no room for blocks: an eighth of those that were there has made place for what cannot be computed again. */
export class StoreFullError extends Error {
  override readonly name = 'StoreFullError';
}
