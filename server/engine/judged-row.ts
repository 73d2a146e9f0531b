// Rows of a prompt that is judged: every position is looked at for the token that follows it there, as `echo` with
// log-probabilities and `prompt_logprobs` want it; only behind the last one a token is drawn. Pure. Before it: step-row.ts
// and engine.ts; after it: the backend.
import type { RowOutcome, StepRow, TokenLogprobs } from '../../kernels/backend.ts';
import type { Sequence } from './sequence.ts';

/** The row that computes `tokens`, from computedCount on. `history`: of a sequence with penalties, if this row draws. */
export function judgedRow(sequence: Sequence, tokens: Int32Array, history: Int32Array | null): StepRow {
  const { sampling, promptLogprobs } = sequence.request;
  const position = sequence.computedCount;
  const end = position + tokens.length;
  const draws = end === sequence.tokenCount && !sequence.prefillOnly;
  // Behind a prompt that nothing is drawn for, any token may be judged: nobody hears of it.
  const targets = new Int32Array(tokens.length).fill(draws ? -1 : 0);
  targets.set(sequence.tokens.subarray(position + 1, Math.min(end + 1, sequence.tokenCount)));
  const free = new Array<null>(tokens.length - 1).fill(null);
  return {
    sequenceId: sequence.id,
    slot: sequence.slot,
    position,
    tokens,
    sampleCount: tokens.length,
    sampling: { ...sampling, logprobs: Math.max(sampling.logprobs ?? 0, promptLogprobs!) },
    promptCount: sequence.promptCount,
    history,
    masks: draws && sequence.rules.constrained ? [...free, sequence.rules.mask()] : null,
    targets,
    blocks: sequence.blocks,
  };
}

export function rowDraws({ targets, sampleCount }: StepRow): boolean {
  return targets === undefined ? sampleCount > 0 : targets.at(-1) === -1;
}

/** Tokens of a row that may turn out wrong. */
export function guessCountOf({ targets, sampleCount }: StepRow): number {
  return targets === undefined ? Math.max(0, sampleCount - 1) : 0;
}

/** What of a row's outcome was drawn; the sequence hears what was judged. It has advanced past the row. */
export function drawnOf(row: StepRow, outcome: RowOutcome, sequence: Sequence): RowOutcome {
  if (row.targets === undefined) return outcome;
  const { promptLogprobs, sampling } = sequence.request;
  const { tokens, logprobs, failure } = outcome;
  const left = sequence.promptCount - 1 - row.position;
  const judged = logprobs!.slice(0, left).map((one) => topOf(one, promptLogprobs!));
  sequence.judge(row.position, judged);
  if (failure !== undefined) return { tokens: [], logprobs: null, failure };
  return {
    tokens: tokens.slice(-1),
    logprobs: logprobs!.slice(-1).map((one) => topOf(one, sampling.logprobs ?? 0)),
  };
}

/** Judged and drawn tokens of one row may want different numbers of alternatives; the device gives the larger. */
function topOf(one: TokenLogprobs, count: number): TokenLogprobs {
  if (one.topTokens.length <= count) return one;
  return { ...one, topTokens: one.topTokens.slice(0, count), topLogprobs: one.topLogprobs.slice(0, count) };
}
