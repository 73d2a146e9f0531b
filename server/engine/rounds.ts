// How many decode rounds a step may run before it answers: where nothing is to be decided between two tokens, going
// back to the engine after each of them would only cost time. Pure. Used by scheduler.ts.
import type { BackendLimits } from '../../kernels/backend.ts';
import { contextTokensMax } from './admission.ts';
import type { Sequence } from './sequence.ts';

/**
 * 1 where a row needs the engine after each token: its guesses are judged there, its masks made. Else as many as no
 * sequence is through before, and as the `spareCount` blocks let without anybody standing up for them.
 */
export function roundsOf(decodes: readonly Sequence[], limits: BackendLimits, spareCount: number): number {
  let rounds = limits.roundsMax ?? 1;
  const tokensMax = contextTokensMax(limits);
  for (const { draft, request, outputCount, tokenCount } of decodes) {
    if (draft !== null || request.constraint !== null) return 1;
    rounds = Math.min(rounds, request.maxTokens - outputCount, tokensMax - tokenCount);
  }
  if (rounds <= 1) return 1;
  let blockCount = 0;
  for (const { blocks, computedCount } of decodes) {
    blockCount += Math.max(0, Math.ceil((computedCount + rounds) / limits.blockSize) - blocks.length);
  }
  return blockCount <= spareCount ? rounds : 1;
}
