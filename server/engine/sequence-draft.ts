// What to guess for a sequence's next step, if anything. Pure but for what the drafter remembers of the text. Used by
// scheduler.ts; before it: drafter.ts finds guesses, speculation.ts says how many are worth it.
import type { BackendLimits, RowOutcome, StepCosts } from '../../kernels/backend.ts';
import type { Draft, SequenceDraft } from './drafter.ts';
import type { Sequence } from './sequence.ts';

/** At most `countMax` guesses to go into the same row as the token they follow, or null. */
export function draftOf(
  sequence: Sequence,
  limits: BackendLimits,
  costs: StepCosts,
  { decodingCount, countMax }: { readonly decodingCount: number; readonly countMax: number },
): SequenceDraft | null {
  const draft = guessOf(sequence, limits, Math.min(countMax, costs.rowMs.length - 1));
  if (draft === null) return null;
  const { speculation, outputCount } = sequence;
  const load = { decodingCount, contextTokens: sequence.tokenCount };
  const count =
    speculation!.worthwhileCount(draft, costs, load) || speculation!.probeCount(draft, outputCount);
  if (count === 0) return null;
  const tokens = draft.tokens.subarray(0, count);
  const { source, chances } = draft;
  if (!sequence.rules.constrained) return { source, tokens, chances, masks: null };
  const masks = sequence.rules.masksAlong(tokens);
  return masks.length === 1 ? null : { source, tokens: tokens.subarray(0, masks.length - 1), chances, masks };
}

/** Whether a step should end so that guesses can be made: they are worth more than the rounds it would go on for. */
export function mayDraft(
  sequence: Sequence,
  limits: BackendLimits,
  costs: StepCosts,
  decodingCount: number,
): boolean {
  const draft = guessOf(sequence, limits, costs.rowMs.length - 1);
  const load = { decodingCount, contextTokens: sequence.tokenCount };
  return draft !== null && sequence.speculation!.worthwhileCount(draft, costs, load) > 0;
}

/**
 * How many guesses of the row that has answered were right: the device has drawn a token after each, and they count as
 * long as they are what it drew. Whoever made them learns of it.
 */
export function judgeDraft(
  sequence: Sequence,
  { tokens }: RowOutcome,
  draftModel: { learn(result: { readonly count: number; readonly accepted: number }): void } | null,
): number {
  const draft = sequence.takeDraft();
  if (draft === null) return 0;
  const count = draft.tokens.length;
  let accepted = 0;
  while (accepted < count && tokens[accepted] === draft.tokens[accepted]) accepted++;
  sequence.speculation!.learn(draft, { count, accepted });
  if (draft.source === 'model') draftModel?.learn({ count, accepted });
  return accepted;
}

function guessOf(sequence: Sequence, limits: BackendLimits, countMax: number): Draft | null {
  const { drafter, request, tokenCount, promptCount } = sequence;
  if (drafter === null) return null;
  const room = Math.min(
    countMax,
    request.speculation!.draftTokensMax,
    limits.sampleCountMax - 1,
    request.maxTokens - sequence.outputCount - 1, // the step draws one more than it guesses
    limits.slotTokensMax - tokenCount,
  );
  if (room < 1) return null;
  const found = drafter.draft(sequence.tokens, { count: tokenCount, promptCount }, room);
  const { modelGuess } = sequence;
  // The model has only been asked where nothing better than a short match was to be found.
  if (modelGuess?.tokenCount !== tokenCount) return found;
  return { source: 'model', tokens: modelGuess.tokens.subarray(0, room), chances: null };
}
