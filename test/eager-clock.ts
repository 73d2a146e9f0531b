// A clock for what waits for the outside: what is waited for is over as soon as everything else is done, and the test
// sees how long it would have been. Waits of some lengths are held until the test ends them: they watch, they do not wait.
import type { Clock, Timer } from '../kernels/clock.ts';

export class EagerClock implements Clock {
  /** Waits that are over or under way, ms, without the held ones. */
  readonly waits: number[] = [];
  readonly #heldMs: ReadonlySet<number>;
  readonly #held = new Map<() => void, number>(); // ms of each wait
  #nowMs = 0;

  constructor(heldMs: readonly number[]) {
    this.#heldMs = new Set(heldMs);
  }

  nowMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, fn: () => void): Timer {
    if (this.#heldMs.has(delayMs)) {
      this.#held.set(fn, delayMs);
      return { cancel: () => this.#held.delete(fn) };
    }
    this.waits.push(delayMs);
    const handle = setImmediate(() => {
      this.#nowMs += delayMs;
      fn();
    });
    return { cancel: () => clearImmediate(handle) };
  }

  defer(fn: () => void): void {
    setImmediate(fn);
  }

  /** Ends the held waits of this length. */
  expire(delayMs: number): void {
    for (const [fn, heldMs] of [...this.#held]) {
      if (heldMs !== delayMs) continue;
      this.#held.delete(fn);
      fn();
    }
  }
}
