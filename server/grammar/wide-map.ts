// A map of up to millions of entries that grows in small steps. V8 lays a Map out anew whenever it doubles, in one go: 60 ms at
// 130,000 entries, 300 at a million (a loaded machine). Owns how entries are spread. Used by byte-regex.ts.

const FIRST_MAX = 16_384; // entries that most grammars stay below: one map, 2 ms to lay out anew
const PARTS = 256; // maps of what comes after them

export class WideMap<K, V> {
  readonly #first = new Map<K, V>();
  #parts: Map<K, V>[] = [];

  /** `spread`: an integer that goes with the key, different for most keys. */
  get(key: K, spread: number): V | undefined {
    return this.#first.get(key) ?? this.#parts[spread % PARTS]?.get(key);
  }

  /** A key that is not there yet. */
  add(key: K, spread: number, value: V): void {
    if (this.#first.size < FIRST_MAX) {
      this.#first.set(key, value);
      return;
    }
    if (this.#parts.length === 0) this.#parts = Array.from({ length: PARTS }, () => new Map());
    this.#parts[spread % PARTS]!.set(key, value);
  }

  clear(): void {
    this.#first.clear();
    this.#parts = [];
  }
}
