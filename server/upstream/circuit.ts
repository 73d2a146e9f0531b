// Circuit: after so many failures in a row nobody is sent to an upstream for a while; then one request tries. Owns that
// count and that time. Used by client.ts.

export interface CircuitBounds {
  readonly failures: number; // in a row
  readonly cooldownMs: number;
}

export type CircuitState = 'closed' | 'open' | 'trying';

export class Circuit {
  readonly #bounds: CircuitBounds;
  #failures = 0;
  #openedMs = 0;
  #state: CircuitState = 'closed';

  constructor(bounds: CircuitBounds) {
    this.#bounds = bounds;
  }

  get state(): CircuitState {
    return this.#state;
  }

  /** 0: go; whoever goes has to tell how it went. Else the milliseconds until it is worth asking again. */
  waitMs(nowMs: number): number {
    if (this.#state === 'closed') return 0;
    const leftMs = this.#openedMs + this.#bounds.cooldownMs - nowMs;
    if (leftMs > 0) return leftMs;
    if (this.#state === 'trying') return this.#bounds.cooldownMs; // somebody tries already
    this.#state = 'trying';
    return 0;
  }

  /** How long nobody is sent there from now on; 0: somebody may go. Changes nothing. */
  leftMs(nowMs: number): number {
    return this.#state === 'closed' ? 0 : Math.max(0, this.#openedMs + this.#bounds.cooldownMs - nowMs);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#state = 'closed';
  }

  failed(nowMs: number): void {
    this.#failures++;
    if (this.#state === 'closed' && this.#failures < this.#bounds.failures) return;
    this.#state = 'open';
    this.#openedMs = nowMs;
  }

  /** It went away without a word, as callers do: nothing was learnt, so another one may try. */
  abandoned(): void {
    if (this.#state === 'trying') this.#state = 'open';
  }
}
