// Drafts: speculation of a simulated device. A drafter of one layer guesses tokens one after the other, the model verifies all of
// them at once; each guess is right with the same chance, which is assumed and stated. Arithmetic only; costs are the devices'.

export interface Drafts {
  readonly acceptance: number; // chance of each guess, given that those before it were right; in (0, 1)
  readonly tokensMax: number; // guesses before each verification, at most
  readonly userCount?: number; // wafer: for whom the number of guesses is chosen, once; default: one. A GPU chooses in every step
}

export const draftTokensDefault = 16;

/** Tokens that one verification of `count` guesses brings on average: those before the first wrong one, and one more. */
export function expectedTokens({ acceptance }: Drafts, count: number): number {
  return (1 - acceptance ** (count + 1)) / (1 - acceptance);
}

/** How many guesses make a token cheapest, 0 if none do; `cycleMs`: guessing so many and verifying them. */
export function bestDraftCount(drafts: Drafts, cycleMs: (count: number) => number): number {
  let best = 0;
  let bestMs = cycleMs(0);
  for (let count = 1; count <= drafts.tokensMax; count++) {
    const ms = cycleMs(count) / expectedTokens(drafts, count);
    if (ms >= bestMs) continue;
    best = count;
    bestMs = ms;
  }
  return best;
}
