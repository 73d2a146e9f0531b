// One CSV line per turn, written as the run goes, so that a million turns need no memory. Owns the columns; the file is
// the caller's.
import { type Cell, csvLine } from '../../show/csv.ts';
import type { FinishedTurn } from '../play/recorder.ts';

const COLUMNS = [
  'session',
  'session_name',
  'turn',
  'kind',
  'counted',
  'outcome',
  'error',
  'good',
  'intended_ms',
  'dispatched_ms',
  'sent_ms',
  'first_token_ms',
  'last_token_ms',
  'end_ms',
  'ttft_ms',
  'ttfo_ms',
  'tpot_ms',
  'longest_stall_ms',
  'e2e_ms',
  'queue_ms',
  'output_tokens',
  'bursts',
  'counted_by',
  'prompt_tokens_planned',
  'prompt_tokens',
  'cached_tokens',
  'cached_tokens_ideal',
  'accepted_tokens',
  'stop_to_silence_ms',
  'wasted_tokens',
  'first_useful_diff_ms',
  'in_flight',
] as const;

export const CSV_HEADER = csvLine(COLUMNS);

export function turnLine(
  turn: FinishedTurn,
  judged: { readonly good: boolean; readonly counted: boolean | null },
): string {
  const { session, planned, timeline, measures, end } = turn;
  const values: Record<(typeof COLUMNS)[number], Cell> = {
    session: session.index,
    session_name: session.name,
    turn: turn.turnIndex,
    kind: turn.kind,
    counted: judged.counted,
    outcome: turn.outcome,
    error: end.errorKind,
    good: judged.good,
    intended_ms: timeline.intendedMs,
    dispatched_ms: timeline.dispatchedMs,
    sent_ms: timeline.sentMs,
    first_token_ms: timeline.firstMs,
    last_token_ms: timeline.lastMs,
    end_ms: timeline.endMs,
    ttft_ms: measures.ttftMs,
    ttfo_ms: measures.ttfoMs,
    tpot_ms: measures.tpotMs,
    longest_stall_ms: measures.stallMs,
    e2e_ms: measures.e2eMs,
    queue_ms: end.queueMs,
    output_tokens: measures.tokenCount,
    bursts: measures.burstCount,
    counted_by: measures.countedBy,
    prompt_tokens_planned: planned.promptTokens,
    prompt_tokens: end.promptTokens,
    cached_tokens: end.cachedTokens,
    cached_tokens_ideal: planned.idealCachedTokens,
    accepted_tokens: end.acceptedTokens,
    stop_to_silence_ms: measures.stopToSilenceMs,
    wasted_tokens: measures.wastedTokens,
    first_useful_diff_ms: turn.firstUsefulDiffMs,
    in_flight: turn.inFlight,
  };
  return csvLine(COLUMNS.map((column) => rounded(values[column])));
}

function rounded(value: Cell): Cell {
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(3) : value;
}
