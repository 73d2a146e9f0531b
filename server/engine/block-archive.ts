// BlockArchive: where finished KV blocks live on when the device's store has no room for them, and when the process is
// gone. The engine's word for it: keys, never files. Implemented outside (server/archive/, server/cluster/shared-blocks.ts), which
// moves the bytes between files or other nodes and the device's block store through Backend.readBlock and writeBlock.

/** Names a block's content: all tokens up to its end, the salt, and whatever else decides about KV. Opaque. */
export type BlockKey = string;

export interface BlockArchive {
  /** Before the first block of a salt. */
  rootKey(salt: string): BlockKey;
  /** Of the block of tokens [start, start + blockSize) that follows `parent`'s. */
  nextKey(parent: BlockKey, tokens: Int32Array, start: number): BlockKey;
  /** Whether fetch() will probably find it. Pure and quick. */
  has(key: BlockKey): boolean;
  /**
   * For an archive that has to ask elsewhere what is there: asks for these blocks, which follow each other and has() knows nothing of;
   * then `done`, never in the caller's stack and soon whatever happens, and has() knows. False: there is nobody to ask.
   */
  ask?(keys: readonly BlockKey[], done: () => void): boolean;
  /** Whether it was never given this block, or has lost it, and would take it now: such as after an outage. Without it there are none. */
  lacks?(key: BlockKey): boolean;
  /** Takes a copy of the block's content now and writes it later; false: it is too busy, and has taken nothing. Takes nothing twice. */
  store(key: BlockKey, block: number): boolean;
  /** Is not to answer with it any more: the content is not what it should be. What is being written may come back. */
  forget(key: BlockKey): void;
  /**
   * Fills blocks[i] with the content of keys[i], which nobody else may touch meanwhile. Calls `done` exactly once, never
   * in the caller's stack, with the number of leading blocks that are whole; fewer than asked is no failure.
   */
  fetch(keys: readonly BlockKey[], blocks: readonly number[], done: (count: number) => void): void;
}
