// What a task comes to: where its time went, when its first useful diff was there, whether and how it was accepted, what it
// cost. Owns the formulas. Pure, and a function of the set of events: the order in which they were told is nothing.
// Before it: task-store.ts or an imported file; after it: routes.ts and the reports.
import {
  inOrder,
  PHASES,
  type Source,
  type TaskEvent,
  type TaskPhase,
  type TaskRecord,
  type TaskRequest,
} from './task-record.ts';

export type TaskSummary = Readonly<ReturnType<typeof summariseTask>>;

export const TASK_FORMULAS = {
  T_total: 'T_plan + T_model + T_tools + T_verify + T_review + T_rework',
  T_model: 'queue and answer of requests that somebody waited for; overlaps count once',
  T_tools:
    'end of a call to the request that brings its output; checks (tests, builds, linters) are T_verify',
  T_review: 'reported, or end of an answer with a diff to what the person says next, up to 15 minutes',
  T_rework: 'reported, or all of the above from a message that sends the work back to the next person’s turn',
  reported: 'where a client reports durations of a phase, they stand instead of what its traffic shows',
  'first-pass acceptance': 'accepted without rework and never reverted / tasks accepted or reverted',
  'rollback rate': 'tasks reverted at any time / tasks accepted or reverted',
  'cost per accepted change': 'cost of all tasks, failed ones included / tasks whose change stands',
} as const;

export function summariseTask({ task, events: told, requests }: TaskRecord) {
  const events = inOrder(told);
  const foreground = inOrder(requests).filter(({ background }) => !background);
  const phases = phasesOf(events, foreground);
  const verdicts = verdictsOf(events);
  const last = verdicts.filter(({ kind }) => kind !== 'reworked').at(-1)?.kind;
  const outcome = last === 'accepted' || last === 'reverted' ? last : 'open';
  const reworkCycles = verdicts.filter(({ kind }) => kind === 'reworked').length;
  const reverted = verdicts.some(({ kind }) => kind === 'reverted');
  const startMs = startOf(task.createdMs, events, requests);
  const accepted = verdicts.findLast(({ kind }) => kind === 'accepted');
  const diff = events.find(isUsefulDiff);
  return {
    id: task.id,
    taskClass: task.taskClass ?? foreground.at(-1)?.taskClass ?? null,
    // Of those that it went through, in order: "spark → reliability".
    lane: laneOf(foreground) ?? task.lane ?? events.find(({ lane }) => lane !== null)?.lane ?? null,
    source: sourceOf(events, requests, task.source),
    outcome,
    ...phases,
    firstDiffMs: diff === undefined ? null : diff.atMs - startMs, // from the start to the first diff that applies
    // From the start to the acceptance, on the clock; null: not accepted.
    endToEndMs: accepted === undefined ? null : accepted.atMs - startMs,
    firstPass: outcome === 'accepted' && reworkCycles === 0 && !reverted, // accepted, and neither reworked nor reverted
    reverted, // at any time
    reworkCycles,
    // Of requests and events, in the lanes file's currency.
    cost: sum(requests, ({ end }) => end?.cost ?? 0) + sum(events, ({ cost }) => cost ?? 0),
    outputTokens: sum(requests, ({ end }) => end?.outputTokens ?? 0),
  };
}

/** A diff that is known to apply, or that a client proposes without saying that it does not. */
function isUsefulDiff({ kind, ok, source }: TaskEvent): boolean {
  return kind === 'diff_proposed' && (ok === true || (ok === null && source === 'reported'));
}

/** What a client says of acceptance goes before what its traffic suggests. */
function verdictsOf(events: readonly TaskEvent[]): readonly TaskEvent[] {
  const all = events.filter(({ kind }) => kind === 'accepted' || kind === 'reworked' || kind === 'reverted');
  const reported = all.filter(({ source }) => source === 'reported');
  return reported.length > 0 ? reported : all;
}

/** When a request's answer was over. */
export function endMsOf({ atMs, waitedMs, end }: TaskRequest): number {
  return atMs + waitedMs + (end?.durationMs ?? 0);
}

interface Stretch {
  readonly phase: TaskPhase;
  readonly startMs: number;
  readonly endMs: number;
}

function phasesOf(events: readonly TaskEvent[], requests: readonly TaskRequest[]) {
  const phaseMs = Object.fromEntries(PHASES.map((phase) => [phase, 0])) as Record<TaskPhase, number>;
  const phaseSource = Object.fromEntries(PHASES.map((phase) => [phase, null])) as Record<
    TaskPhase,
    Source | null
  >;
  for (const { phase, durationMs, source } of events) {
    if (phase === null || durationMs === null || source !== 'reported') continue;
    phaseMs[phase] += durationMs;
    phaseSource[phase] = 'reported';
  }
  let reachedMs = Number.NEGATIVE_INFINITY; // a moment belongs to the phase that had it first
  for (const { phase, startMs, endMs } of stretchesOf(events, requests)) {
    const freshMs = Math.max(0, endMs - Math.max(startMs, reachedMs));
    reachedMs = Math.max(reachedMs, endMs);
    if (phaseSource[phase] === 'reported' || freshMs === 0) continue;
    phaseMs[phase] += freshMs;
    phaseSource[phase] = 'derived';
  }
  // Of a phase that took no time that is known of, the source is null.
  return { phaseMs, phaseSource, totalMs: sum(PHASES, (phase) => phaseMs[phase]) }; // T_total, their sum
}

function stretchesOf(events: readonly TaskEvent[], requests: readonly TaskRequest[]): Stretch[] {
  const stretches: Stretch[] = requests.flatMap((request) =>
    request.end === null ? [] : [{ phase: request.phase, startMs: request.atMs, endMs: endMsOf(request) }],
  );
  for (const { phase, durationMs, source, atMs } of events) {
    if (phase === null || durationMs === null || source !== 'derived') continue;
    stretches.push({ phase, startMs: atMs - durationMs, endMs: atMs });
  }
  const rank = (phase: TaskPhase) => PHASES.indexOf(phase);
  return stretches.sort(
    (a, b) => a.startMs - b.startMs || a.endMs - b.endMs || rank(a.phase) - rank(b.phase),
  );
}

function startOf(createdMs: number, events: readonly TaskEvent[], requests: readonly TaskRequest[]): number {
  let startMs = createdMs;
  for (const { atMs, durationMs } of events) startMs = Math.min(startMs, atMs - (durationMs ?? 0));
  for (const { atMs } of requests) startMs = Math.min(startMs, atMs);
  return startMs;
}

function laneOf(requests: readonly TaskRequest[]): string | null {
  const lanes = [...new Set(requests.map(({ lane }) => lane))];
  return lanes.length === 0 ? null : lanes.join(' → ');
}

function sourceOf(
  events: readonly TaskEvent[],
  requests: readonly TaskRequest[],
  told: Source,
): Source | 'both' {
  const sources = new Set(events.map(({ source }) => source));
  if (requests.length > 0) sources.add('derived');
  if (sources.size === 0) return told;
  return sources.size === 2 ? 'both' : [...sources][0]!;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
