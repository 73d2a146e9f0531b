// Several constraints at once: a token must be allowed by all of them. Where nothing is left the earlier ones win, because
// the first is the answer's form, which is a promise. Before it: generation/generation.ts; after it: the engine.
import type { TokenConstraint } from '../engine/request.ts';

/** The same tokens at every place. */
export function allowedTokens(ids: readonly number[], vocabSize: number): TokenConstraint {
  const mask = new Uint32Array(Math.ceil(vocabSize / 32));
  for (const id of ids) mask[id >>> 5]! |= 1 << (id & 31);
  const constraint: TokenConstraint = { mask: () => mask, accept: () => {}, fork: () => constraint };
  return constraint;
}

/** Null: nothing is to be held. */
export function narrowed(constraints: readonly (TokenConstraint | null)[]): TokenConstraint | null {
  const given = constraints.filter((one) => one !== null);
  if (given.length < 2) return given[0] ?? null;
  return new Narrowed(given);
}

class Narrowed implements TokenConstraint {
  readonly #constraints: readonly TokenConstraint[];

  constructor(constraints: readonly TokenConstraint[]) {
    this.#constraints = constraints;
  }

  mask(): Uint32Array | null {
    let mask: Uint32Array | null = null;
    for (const constraint of this.#constraints) {
      const next = constraint.mask();
      if (next === null) continue;
      mask = mask === null ? next : (both(mask, next) ?? mask);
    }
    return mask;
  }

  accept(token: number): void {
    for (const constraint of this.#constraints) constraint.accept(token);
  }

  fork(): Narrowed {
    return new Narrowed(this.#constraints.map((constraint) => constraint.fork()));
  }
}

/** Null: no token is in both. */
function both(one: Uint32Array, other: Uint32Array): Uint32Array | null {
  let left = 0;
  const mask = one.map((word, index) => {
    const common = word & other[index]!;
    left |= common;
    return common;
  });
  return left === 0 ? null : mask;
}
