// What is known of a task: its events, its requests, and where each number comes from. Owns the words (kinds, phases,
// sources) and the shapes that the store keeps; reads and writes nothing. Before it: routes.ts and tracker.ts; after it:
// task-store.ts and task-summary.ts.
import type { LaneEndReport } from '../lanes/observer.ts';
import type { TaskSignals } from '../lanes/signals.ts';

export const EVENT_KINDS = [
  'planned',
  'diff_proposed',
  'tool_run',
  'verified',
  'reviewed',
  'accepted',
  'reworked',
  'reverted',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** The parts of T_total, in the order of the formula. */
export const PHASES = ['plan', 'model', 'tools', 'verify', 'review', 'rework'] as const;
export type TaskPhase = (typeof PHASES)[number];

/** Told by a client, or read off its traffic. */
export type Source = 'reported' | 'derived';

/** Which phase an event's duration belongs to; verdicts take no time. */
export const PHASE_OF_KIND: Readonly<Record<EventKind, TaskPhase | null>> = {
  planned: 'plan',
  diff_proposed: 'model',
  tool_run: 'tools',
  verified: 'verify',
  reviewed: 'review',
  accepted: null,
  reworked: 'rework',
  reverted: null,
};

export interface TaskEvent {
  readonly id: string; // unique in its task: the client's, or one of ours
  readonly kind: EventKind;
  readonly atMs: number; // time of day at which it was over
  readonly durationMs: number | null; // before that
  readonly phase: TaskPhase | null; // that the duration counts as
  readonly source: Source;
  readonly lane: string | null;
  readonly tool: string | null; // name of the tool
  readonly exitCode: number | null;
  readonly ok: boolean | null; // the diff applies, the check passes, the review approves
  readonly cost: number | null; // beside that of the requests
  readonly note: string | null; // null unless text is kept
}

/** One request of a task to one of the lanes: numbers only. */
export interface TaskRequest {
  readonly id: string;
  readonly session: string | null; // a hash: equal for requests of one conversation
  readonly atMs: number; // time of day at which it came
  readonly asked: string; // a lane, or auto
  readonly lane: string; // that it got
  readonly decided: string; // lane that the policy chose
  readonly taskClass: string;
  readonly rule: string;
  readonly policy: string;
  readonly phase: TaskPhase; // that its time counts as
  readonly background: boolean; // nobody waited for it
  readonly waitedMs: number; // for its lane
  readonly signals: TaskSignals;
  readonly end: RequestEnd | null; // null: it has none yet, or never began
}

export type RequestEnd = Omit<LaneEndReport, 'requestId' | 'lane'>;

export interface Task {
  readonly id: string; // unique for its owner
  readonly owner: string; // a hash of the API key; '' where none is needed
  readonly source: Source; // who told of it first
  readonly taskClass: string | null; // as reported; else its requests tell
  readonly lane: string | null; // likewise
  readonly title: string | null; // null unless text is kept
  readonly createdMs: number;
  readonly updatedMs: number; // latest event or request
}

export interface TaskRecord {
  readonly task: Task;
  readonly events: readonly TaskEvent[];
  readonly requests: readonly TaskRequest[];
}

export const ROWS_PER_TASK_MAX = 4096; // itself, its events and requests: one that runs wild takes no other's place

/** By time, then by id, so that it does not matter in which order they were told. */
export function inOrder<T extends { readonly atMs: number; readonly id: string }>(items: readonly T[]): T[] {
  return [...items].sort((a, b) => a.atMs - b.atMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}
