// What the driver reports: finished turns and sessions, as data. Statistics, CSV and the live view read these.

import type { PlannedSession, PlannedTurn } from '../../workload/turn.ts';
import type { Outcome, TurnEnd } from '../wires/target.ts';
import type { Bursts, TurnMeasures, TurnTimes } from './timeline.ts';

/** What of a turn's plan its judges look at. */
export type PlannedLengths = Pick<
  PlannedTurn,
  'promptTokens' | 'idealCachedTokens' | 'maxTokens' | 'exact' | 'original'
>;

/** Times are milliseconds since the start of the run. */
export interface FinishedTurn {
  readonly session: Pick<PlannedSession, 'index' | 'name'>;
  readonly turnIndex: number; // of the plan
  readonly planned: PlannedLengths;
  readonly kind: 'turn' | 'steer'; // steer: the second half of an interrupted turn
  readonly outcome: Outcome;
  readonly end: TurnEnd;
  readonly timeline: TurnTimes & { readonly bursts: Bursts }; // times since the start of the run
  readonly measures: TurnMeasures;
  readonly firstUsefulDiffMs: number | null; // since the intended time; only for edits
  readonly inFlight: number; // turns under way when this one was dispatched, itself included
}

export interface FinishedSession {
  readonly plannedCount: number; // turns
  readonly startMs: number; // first intended time
  readonly endMs: number;
  readonly turnCount: number; // played
  readonly toolGapMs: number;
  readonly humanGapMs: number;
  readonly allGood: boolean;
  readonly complete: boolean; // every planned turn was played
  readonly failed: boolean; // a turn failed, the rest was not played
}

/** Where finished things go; statistics, files and the live view hang on it. */
export interface DriverRecorder {
  /** Returns whether the turn was good: inside every objective. */
  onTurn(turn: FinishedTurn): boolean;
  onSession(session: FinishedSession): void;
  onShed(): void;
}
