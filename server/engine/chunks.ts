// Where a sequence's tokens are cut into rows. Real kernels compute a single row by another path than several, and
// the two differ in their last bits (PERFORMANCE.md, "Row invariance"); so whether a token is computed alone must be
// a property of its place in the text, never of the cache, the load or a preemption. Pure; used by scheduler.ts.
import type { Sequence } from './sequence.ts';

/** Tokens of the next row: prompts end at absolute multiples of `chunkTokens`, output is computed one by one. */
export function chunkCount(sequence: Sequence, chunkTokens: number): number {
  const { computedCount, chunkedCount } = sequence;
  // After a preemption, output that the cache has lost is computed as it was the first time.
  if (computedCount >= chunkedCount) return 1;
  const border = (Math.floor(computedCount / chunkTokens) + 1) * chunkTokens;
  return Math.min(chunkedCount, border) - computedCount;
}

/** Tokens that may be found instead of computed. */
export function matchLimit(sequence: Sequence, chunkTokens: number): number {
  const { tokenCount, promptCount } = sequence;
  if (sequence.prefillOnly) return tokenCount;
  // The last token is computed even on a full hit: we need its logits.
  if (sequence.outputCount > 0) return tokenCount - 1;
  // And not alone, unless it would be alone in a prompt of which nothing is found.
  const isAloneAnyway = (promptCount - 1) % chunkTokens === 0;
  return isAloneAnyway ? promptCount - 1 : promptCount - 2;
}
