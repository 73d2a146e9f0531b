// BorneOut: a guess out of several places where the end of a text stood before: what followed the longest of them, and how far
// the others bear it out, guess by guess. Where they go apart a guess is wrong far more often, however much agrees before it.
// Pure. Before it: drafter.ts, which knows the places; after it: guess-chances.ts says what that is worth.

/** A place, and what followed there. */
export interface Continuation {
  readonly length: number; // tokens that agree before it, ≥ 2
  readonly tokens: Int32Array; // [≥ 1]
}

/** How the places that went along so far are divided over a guess. */
export const accords = ['three agree', 'two agree', 'alone', 'nearly all', 'most', 'half', 'fewer'] as const;
export type Accord = (typeof accords)[number];

export interface BorneOut {
  readonly tokens: Int32Array; // [≥ 1]
  readonly lengths: readonly number[]; // parallel: of the longest place that still goes along
  readonly accords: readonly Accord[]; // parallel
}

const weighedLengthMax = 32; // a place counts by the square of what agrees before it, up to here

/** `places`: of equally long ones the first is followed. */
export function borneOut(places: readonly Continuation[]): BorneOut | null {
  const [first, ...others] = places;
  if (first === undefined) return null;
  const { tokens } = others.reduce((best, place) => (place.length > best.length ? place : best), first);
  let along: readonly Continuation[] = places;
  const lengths: number[] = [];
  const found: Accord[] = [];
  for (const [index, token] of tokens.entries()) {
    const here = along.filter((place) => index < place.tokens.length);
    along = here.filter((place) => place.tokens[index] === token);
    found.push(accordOf(weightOf(along) / weightOf(here), along.length));
    lengths.push(Math.max(...along.map(({ length }) => length)));
  }
  return { tokens, lengths, accords: found };
}

function weightOf(places: readonly Continuation[]): number {
  return places.reduce((sum, { length }) => sum + Math.min(length, weighedLengthMax) ** 2, 0);
}

function accordOf(share: number, count: number): Accord {
  if (share === 1) return count >= 3 ? 'three agree' : count === 2 ? 'two agree' : 'alone';
  if (share > 0.9) return 'nearly all';
  if (share > 0.66) return 'most';
  return share > 0.4 ? 'half' : 'fewer';
}
