// One CSV line per turn, written as the run goes, so that a million turns need no memory. Owns the columns; the file is
// the caller's.
import { type Cell, type Columns, csvHead, csvLine } from '../../show/csv.ts';
import type { FinishedTurn } from '../play/recorder.ts';

interface JudgedTurn extends FinishedTurn {
  readonly good: boolean;
  readonly counted: boolean | null;
}

const COLUMNS: Columns<JudgedTurn> = {
  session: ({ session }) => session.index,
  session_name: ({ session }) => session.name,
  turn: ({ turnIndex }) => turnIndex,
  kind: ({ kind }) => kind,
  counted: ({ counted }) => counted,
  outcome: ({ outcome }) => outcome,
  error: ({ end }) => end.errorKind,
  good: ({ good }) => good,
  intended_ms: ({ timeline }) => timeline.intendedMs,
  dispatched_ms: ({ timeline }) => timeline.dispatchedMs,
  sent_ms: ({ timeline }) => timeline.sentMs,
  first_token_ms: ({ timeline }) => timeline.firstMs,
  last_token_ms: ({ timeline }) => timeline.lastMs,
  end_ms: ({ timeline }) => timeline.endMs,
  ttft_ms: ({ measures }) => measures.ttftMs,
  ttfo_ms: ({ measures }) => measures.ttfoMs,
  tpot_ms: ({ measures }) => measures.tpotMs,
  longest_stall_ms: ({ measures }) => measures.stallMs,
  e2e_ms: ({ measures }) => measures.e2eMs,
  queue_ms: ({ end }) => end.queueMs,
  output_tokens: ({ measures }) => measures.tokenCount,
  bursts: ({ measures }) => measures.burstCount,
  counted_by: ({ measures }) => measures.countedBy,
  prompt_tokens_planned: ({ planned }) => planned.promptTokens,
  prompt_tokens: ({ end }) => end.promptTokens,
  cached_tokens: ({ end }) => end.cachedTokens,
  cached_tokens_ideal: ({ planned }) => planned.idealCachedTokens,
  accepted_tokens: ({ end }) => end.acceptedTokens,
  stop_to_silence_ms: ({ measures }) => measures.stopToSilenceMs,
  wasted_tokens: ({ measures }) => measures.wastedTokens,
  first_useful_diff_ms: ({ firstUsefulDiffMs }) => firstUsefulDiffMs,
  in_flight: ({ inFlight }) => inFlight,
};

export const CSV_HEADER = csvHead(COLUMNS);

export function turnLine(turn: FinishedTurn, judged: Pick<JudgedTurn, 'good' | 'counted'>): string {
  return csvLine(COLUMNS, { ...turn, ...judged }, rounded);
}

function rounded(value: Cell): Cell {
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(3) : value;
}
