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

const placesMin = 4096; // so that few fall on the same where there are few

/** About the latest `countMax`: a path takes the place of an older one that falls on the same. Nothing is made for each. */
export class EvictedPaths {
  readonly #places: Float64Array; // [hash] a path; 0: none

  constructor(countMax: number) {
    this.#places = new Float64Array(Math.max(placesMin, 2 ** Math.ceil(Math.log2(2 * countMax))));
  }

  add(path: number): void {
    this.#places[this.#placeOf(path)] = path;
  }

  has(path: number): boolean {
    return this.#places[this.#placeOf(path)] === path;
  }

  #placeOf(path: number): number {
    return (path >>> 0) & (this.#places.length - 1); // the lower half of it: a hash as good as the whole
  }
}
