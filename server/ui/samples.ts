// Numbers of which quantiles are wanted: at most `countMax` of them, beyond that every second one is dropped and from then on
// every second one is taken, so that what is kept is spread over all. Used by live-recorder.ts.

export class Samples {
  readonly #values: Float64Array; // [countMax] the first #kept are set
  #kept = 0;
  #stride = 1; // one of so many is taken
  #seen = 0;

  constructor(countMax: number) {
    this.#values = new Float64Array(countMax);
  }

  /** That were added since the last clear(). */
  get count(): number {
    return this.#seen;
  }

  add(value: number): void {
    if (this.#seen++ % this.#stride !== 0) return;
    if (this.#kept === this.#values.length) {
      for (let at = 1; 2 * at < this.#kept; at++) this.#values[at] = this.#values[2 * at]!;
      this.#kept = Math.ceil(this.#kept / 2);
      this.#stride *= 2;
      if ((this.#seen - 1) % this.#stride !== 0) return;
    }
    this.#values[this.#kept++] = value;
  }

  /** The nearest rank; null of nothing. */
  quantile(share: number): number | null {
    if (this.#kept === 0) return null;
    const sorted = this.#values.slice(0, this.#kept).sort();
    return sorted[Math.min(this.#kept - 1, Math.floor(share * this.#kept))]!;
  }

  clear(): void {
    this.#kept = 0;
    this.#stride = 1;
    this.#seen = 0;
  }
}
