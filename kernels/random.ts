// Chance, injected. Two uses: `drawUniform`, a pure function of (seed, stream, position), so that what a
// sequence samples does not depend on who else is in the batch; and `Random`, a seeded stream for everything
// else (fresh seeds, simulated faults, generated workloads). Math.random is banned by test/tidy.test.ts.

const UINT32 = 2 ** 32;

/** 32-bit finaliser with full avalanche. Source: MurmurHash3 fmix32 (public domain). */
export function mix32(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * A uniform number in [0, 1) that belongs to one token: 53 random bits from (seed, stream, position).
 * `seed` is any safe integer; `stream` tells the choices of one request apart; `position` is the token's.
 */
export function drawUniform(seed: number, stream: number, position: number): number {
  const low = seed >>> 0;
  const high = Math.floor(seed / UINT32) | 0;
  let h = mix32(low ^ 0x9e3779b9);
  h = mix32(h ^ high);
  h = mix32(h ^ Math.imul(stream + 1, 0x27d4eb2f));
  h = mix32(h ^ Math.imul(position + 1, 0x165667b1));
  const second = mix32(h ^ 0x6c62272e);
  return ((h >>> 5) * 2 ** 26 + (second >>> 6)) / 2 ** 53;
}

/** A seeded stream of numbers (mulberry32): small, fast, and the same on every platform. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1), 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / UINT32;
  }

  /** Uniform integer in [min, max], both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** A fresh seed for a request that brought none: an unsigned 32-bit integer. */
  seed(): number {
    return Math.floor(this.next() * UINT32);
  }
}
