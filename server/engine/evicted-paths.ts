// Which prefixes were cached once and given up for room: paths of blocks as hashes, the latest ones, so that a miss can say
// why it is one. Never decides anything. Used by prefix-cache.ts.

/** A path's hash from its parent's and its last block's key; the root's comes from its salt. 53 bits. */
export function pathHash(parent: number, key: string): number {
  let [low, high] = [parent >>> 0 || 1, Math.floor(parent / 2 ** 32) >>> 0];
  for (let at = 0; at < key.length; at++) {
    const unit = key.charCodeAt(at);
    low = Math.imul(low ^ unit, 0x01000193) >>> 0;
    high = Math.imul(high ^ unit ^ (low >>> 15), 0x85ebca6b) >>> 0;
  }
  return (high & 0x1fffff) * 2 ** 32 + low;
}

export class EvictedPaths {
  readonly #countMax: number;
  readonly #paths = new Set<number>(); // in the order they were given up

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  add(path: number): void {
    this.#paths.delete(path);
    this.#paths.add(path);
    if (this.#paths.size <= this.#countMax) return;
    for (const oldest of this.#paths) {
      this.#paths.delete(oldest);
      return;
    }
  }

  has(path: number): boolean {
    return this.#paths.has(path);
  }
}
