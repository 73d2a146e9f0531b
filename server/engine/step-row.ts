// A sequence's next tokens as a row of a step: what is certain, then what is guessed, and how it is to be drawn.
// Pure. Used by scheduler.ts, which has decided how many.
import type { KvRestore, KvSave, StepRow } from '../../kernels/backend.ts';
import { judgedRow } from './judged-row.ts';
import type { Sequence } from './sequence.ts';

/** A step while it is being put together. */
export interface Step {
  readonly rows: StepRow[];
  readonly restores: KvRestore[];
  readonly saves: KvSave[];
}

/** Takes out rows of those who sit there no more, with everything that belongs to their seats. */
export function dropRows({ rows, restores, saves }: Step, seats: readonly (Sequence | null)[]): void {
  let gone = 0;
  for (const { slot, sequenceId } of rows) if (seats[slot]?.id !== sequenceId) gone++;
  if (gone === 0) return;
  const kept = rows.filter(({ slot, sequenceId }) => seats[slot]?.id === sequenceId);
  const slots = new Set(kept.map((row) => row.slot));
  rows.splice(0, rows.length, ...kept);
  restores.splice(0, restores.length, ...restores.filter(({ slot }) => slots.has(slot)));
  saves.splice(0, saves.length, ...saves.filter(({ slot }) => slots.has(slot)));
}

/** The row that computes tokens [computedCount, end) and the sequence's draft behind them. */
export function newRow(sequence: Sequence, end: number): StepRow {
  const { request, rules } = sequence;
  const { sampling } = request;
  const draws = end === sequence.tokenCount && !sequence.prefillOnly;
  const penalised =
    sampling.repetitionPenalty !== 1 || sampling.frequencyPenalty !== 0 || sampling.presencePenalty !== 0;
  const certain = sequence.tokens.subarray(sequence.computedCount, end);
  const draft = sequence.draft?.tokens ?? null;
  const history = draws && penalised ? historyOf(sequence, end, draft) : null;
  if (sequence.judging) return judgedRow(sequence, certain, history);
  return {
    sequenceId: sequence.id,
    slot: sequence.slot,
    position: sequence.computedCount,
    tokens: draft === null ? certain : joined(certain, draft),
    sampleCount: draws ? 1 + (draft?.length ?? 0) : 0,
    sampling,
    promptCount: sequence.promptCount,
    history,
    masks: draws && rules.constrained ? (sequence.draft?.masks ?? [rules.mask()]) : null,
    blocks: sequence.blocks,
  };
}

function historyOf(sequence: Sequence, end: number, draft: Int32Array | null): Int32Array {
  const certain = sequence.tokens.subarray(0, end);
  return draft === null ? certain : joined(certain, draft);
}

function joined(first: Int32Array, second: Int32Array): Int32Array {
  const both = new Int32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
