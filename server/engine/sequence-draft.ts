// What to guess for a sequence's next step, if anything. Pure but for what the drafter remembers of the text. Used by
// scheduler.ts; before it: drafter.ts finds guesses, speculation.ts says how many are worth it.
import type { BackendLimits, StepCosts } from '../../kernels/backend.ts';
import type { Draft } from './drafter.ts';
import type { Sequence } from './sequence.ts';

/**
 * At most `countMax` guesses to go into the same row as the token they follow, or null. A constrained sequence would
 * need the masks after each guess; that is not built yet.
 */
export function draftOf(
  sequence: Sequence,
  limits: BackendLimits,
  costs: StepCosts,
  { decodingCount, countMax }: { readonly decodingCount: number; readonly countMax: number },
): Draft | null {
  const draft = guessOf(sequence, limits, countMax);
  if (draft === null) return null;
  const { speculation, outputCount } = sequence;
  const count =
    speculation!.worthwhileCount(draft, costs, decodingCount) || speculation!.probeCount(draft, outputCount);
  return count > 0 ? { source: draft.source, tokens: draft.tokens.subarray(0, count) } : null;
}

/** Whether a step should end so that guesses can be made: they are worth more than the rounds it would go on for. */
export function mayDraft(
  sequence: Sequence,
  limits: BackendLimits,
  costs: StepCosts,
  decodingCount: number,
): boolean {
  const draft = guessOf(sequence, limits, limits.sampleCountMax);
  return draft !== null && sequence.speculation!.worthwhileCount(draft, costs, decodingCount) > 0;
}

function guessOf(sequence: Sequence, limits: BackendLimits, countMax: number): Draft | null {
  const { drafter, request, tokenCount, promptCount } = sequence;
  if (drafter === null || request.constraint !== null) return null;
  const room = Math.min(
    countMax,
    request.speculation!.draftTokensMax,
    limits.sampleCountMax - 1,
    request.maxTokens - sequence.outputCount - 1, // the step draws one more than it guesses
    limits.slotTokensMax - tokenCount,
  );
  return room < 1 ? null : drafter.draft(sequence.tokens, { count: tokenCount, promptCount }, room);
}
