// What lanes tell about themselves to whoever counts or records: decisions, refusals, ends. Types only. lanes.ts calls;
// lane-metrics.ts and the task store listen. Text passes through `watch` alone, for whoever reads numbers off it.
import type { LaneConversation } from './conversation.ts';
import type { RouteDecision } from './decide.ts';
import type { TaskSignals } from './signals.ts';

/** One request's way into its lane. */
export interface RoutedReport {
  readonly requestId: string;
  readonly owner: string; // whose API key
  readonly sessionKey: string | null;
  readonly taskId: string | null; // as its client calls the task
  readonly asked: string; // a lane, or auto
  readonly decision: RouteDecision;
  readonly signals: TaskSignals;
  readonly lane: string; // that it got: another one than decided where that one was full, down or too dear
  readonly overflowFrom: string | null;
  readonly waitedMs: number;
  readonly routeMs: number; // reading signals and deciding
  readonly openMs: number; // until the lane's upstream began to answer, attempts elsewhere included
  readonly note: string | null; // why another lane answers, for people
}

export interface LaneEndReport {
  readonly requestId: string;
  readonly lane: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly cost: number; // in the lanes file's currency
  readonly durationMs: number; // from being let in: the wait for an upstream's first byte is part of it
  readonly failed: boolean;
}

/** Hears one answer's text as it is written. It must take no time worth speaking of: tokens come this way. */
export interface AnswerWatch {
  readonly taskId: string; // of the record, for the answer's metadata
  onText(text: string): void;
}

/**
 * For every request: onRefused, or onRouted (then watch) followed by onLaneEnd once its answer has ended; one that is left
 * before its answer begins has no onLaneEnd. onAttempt belongs to none. All synchronous, none may throw.
 */
export interface LaneObserver {
  onRouted(report: RoutedReport): void;
  /** After onRouted: what was asked, and whether its answer is to be heard. At most one observer may want to. */
  watch?(report: RoutedReport, conversation: LaneConversation): AnswerWatch | null;
  onRefused(lane: string, code: string): void;
  onLaneEnd(report: LaneEndReport): void;
  onAttempt(lane: string, outcome: string): void; // of an upstream
}
