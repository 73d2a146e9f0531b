// Where a sequence's tokens are cut into rows. Real kernels compute a single row by another path than several, and
// the two differ in their last bits (PERFORMANCE.md, "Does a row depend on its neighbours?"); so whether a token is computed alone must be
// a property of its place in the text, never of the cache, the load or a preemption. Pure; used by scheduler.ts.
import type { StepCosts } from '../../kernels/backend.ts';
import { decodeCostMs } from './decode-cost.ts';
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
  if (sequence.judgesPrompt) return 0;
  if (sequence.prefillOnly) return tokenCount;
  // The last token is computed even on a full hit: we need its logits.
  if (sequence.outputCount > 0) return tokenCount - 1;
  // And not alone, unless it would be alone in a prompt of which nothing is found.
  const isAloneAnyway = (promptCount - 1) % chunkTokens === 0;
  return isAloneAnyway ? promptCount - 1 : promptCount - 2;
}

/**
 * Prompt tokens of a step that also decodes `decodingCount` rows: as many as take no longer than the decodes do, so that
 * nobody's next token takes more than about twice its time; but at least a block, and whole blocks. All of
 * `tokensPerStep` beside no decodes, or where costs are unknown.
 */
export function tokensBesideDecodes(
  decodingCount: number,
  costs: StepCosts | null,
  tokensPerStep: number,
  blockSize: number,
): number {
  if (decodingCount === 0 || costs === null) return tokensPerStep;
  const { rowMs, chunkTokenMs } = costs;
  const tokenMs = chunkTokenMs ?? (rowMs.at(-1)! - rowMs[0]!) / (rowMs.length - 1);
  if (!(tokenMs > 0)) return tokensPerStep; // only one was measured, or they cost nothing
  const blockCount = Math.max(1, Math.floor(decodeCostMs(costs, decodingCount) / tokenMs / blockSize));
  return Math.min(tokensPerStep, blockCount * blockSize);
}

/**
 * What a step takes of a chunk of `count` tokens: all of it, or nothing, or, where `unit` > 0, as many `unit`s as fit. A
 * cut leaves the same bits as long as no token is left, or taken, alone.
 */
export function pieceCount(count: number, budget: number, unit: number): number {
  if (count <= budget) return count;
  if (unit === 0 || budget < Math.max(2, unit)) return 0;
  const piece = budget - (budget % unit);
  if (count - piece !== 1) return piece;
  return piece > 2 ? piece - 1 : count;
}
