// The report about recorded tasks: per lane and class, where the time went, how soon a useful diff was there, what was
// accepted and at what cost, with the number of tasks beside each figure. Owns the aggregation; the formulas of one
// task are server/outcomes/task-summary.ts's. Pure.
import { PHASES, type TaskPhase, type TaskRecord } from '../../server/outcomes/task-record.ts';
import { summariseTask, TASK_FORMULAS, type TaskSummary } from '../../server/outcomes/task-summary.ts';
import { median } from '../statistics/median.ts';
import { refusalOf, samplesNeeded } from '../statistics/quantile-bound.ts';

/** A duration over tasks; p95 is refused where there are too few of them to bound it. */
export interface Spread {
  readonly count: number; // tasks that it is about
  readonly medianMs: number | null;
  readonly p95Ms: number | null;
  readonly refusal: string | null; // why there is no p95
}

/** A share, or a mean, of so many tasks. */
export interface Rate {
  readonly value: number | null; // null: of none
  readonly count: number;
}

/** T_total of the mean task if its model were so many times as fast and all else stayed as it was. */
export interface Faster {
  readonly factor: number;
  readonly modelMs: number;
  readonly totalMs: number;
  readonly shorterShare: number;
}

export type ReportRow = Readonly<ReturnType<typeof rowOf>>;

export type TaskReport = Readonly<ReturnType<typeof taskReport>>;

export interface ReportOptions {
  readonly lane: string | null; // only tasks that were in it
  readonly faster: number | null; // times
}

export const ALL = 'all';
const UNKNOWN = 'unknown';
const P95 = 0.95;

export function taskReport(records: readonly TaskRecord[], { lane, faster }: ReportOptions) {
  const chosen = records
    .map((record) => ({ record, summary: summariseTask(record) }))
    .filter(({ summary }) => lane === null || lanesOf(summary).includes(lane));
  const tasks = chosen.map(({ summary }) => summary);
  const times = chosen.map(({ record: { task } }) => task);
  return {
    format: 'sparklane outcomes' as const,
    formatVersion: 1 as const,
    taskCount: tasks.length,
    fromMs: times.length === 0 ? null : times.reduce((ms, task) => Math.min(ms, task.createdMs), Infinity), // oldest task
    toMs: times.length === 0 ? null : times.reduce((ms, task) => Math.max(ms, task.updatedMs), -Infinity), // latest event
    sampleRule: `p95 is stated from ${samplesNeeded(P95)} tasks on, below which 95 % confidence cannot bound it`,
    formulas: TASK_FORMULAS,
    rows: rowsOf(tasks, faster),
    tasks,
  };
}

/** Totals only where they are of more than one row. */
function rowsOf(tasks: readonly TaskSummary[], faster: number | null): ReportRow[] {
  const lanes = grouped(tasks, ({ lane }) => lane ?? UNKNOWN);
  const rows: ReportRow[] = [];
  for (const [lane, inLane] of lanes) {
    const classes = grouped(inLane, ({ taskClass }) => taskClass ?? UNKNOWN);
    for (const [taskClass, some] of classes) rows.push(rowOf({ lane, taskClass }, some, faster));
    if (classes.length > 1) rows.push(rowOf({ lane, taskClass: ALL }, inLane, faster));
  }
  if (lanes.length > 1) rows.push(rowOf({ lane: ALL, taskClass: ALL }, tasks, faster));
  return rows;
}

function rowOf(
  name: { readonly lane: string; readonly taskClass: string }, // ALL: of every one
  tasks: readonly TaskSummary[],
  factor: number | null,
) {
  const count = (fits: (task: TaskSummary) => boolean) => tasks.filter(fits).length;
  const acceptedCount = count(({ outcome }) => outcome === 'accepted'); // whose change stands
  const firstPassCount = count(({ firstPass }) => firstPass);
  const openCount = count(({ outcome }) => outcome === 'open'); // neither accepted nor reverted
  const decided = tasks.length - openCount;
  const share = (part: number): Rate => ({ value: decided === 0 ? null : part / decided, count: decided });
  const cycles = total(tasks.filter(({ outcome }) => outcome !== 'open').map((task) => task.reworkCycles));
  const cost = total(tasks.map((task) => task.cost));
  return {
    ...name,
    taskCount: tasks.length,
    derivedCount: count(({ source }) => source === 'derived'), // tasks of which traffic alone told
    ...{ openCount, acceptedCount, firstPassCount },
    revertedCount: count(({ outcome }) => outcome === 'reverted'), // that ended reverted
    firstDiff: spreadOf(tasks.map(({ firstDiffMs }) => firstDiffMs)),
    endToEnd: spreadOf(tasks.map(({ endToEndMs }) => endToEndMs)),
    ...timesOf(tasks, factor),
    firstPass: share(firstPassCount),
    rollback: share(count(({ reverted, outcome }) => reverted && outcome !== 'open')),
    reworkCycles: share(cycles), // mean
    costPerAccepted: { value: acceptedCount === 0 ? null : cost / acceptedCount, count: acceptedCount }, // money
  };
}

function timesOf(tasks: readonly TaskSummary[], factor: number | null) {
  const timed = tasks.filter(({ totalMs }) => totalMs > 0);
  const timedCount = timed.length; // tasks with any phase known: those of the means below
  const sums = byPhase((phase) => total(timed.map(({ phaseMs }) => phaseMs[phase])));
  const whole = total(PHASES.map((phase) => sums[phase]));
  if (whole === 0) {
    return { timedCount, phaseMeanMs: sums, phaseShare: null, totalMeanMs: null, faster: null };
  }
  const phaseMeanMs = byPhase((phase) => sums[phase] / timedCount);
  const totalMeanMs = whole / timedCount;
  return {
    ...{ timedCount, phaseMeanMs, totalMeanMs },
    phaseShare: byPhase((phase) => sums[phase] / whole), // sums to 1; null where no time is known
    faster: factor === null ? null : fasterBy(factor, phaseMeanMs.model, totalMeanMs),
  };
}

/** Raw speed cuts only the model's share. */
export function fasterBy(factor: number, modelMs: number, totalMs: number): Faster {
  const savedMs = modelMs - modelMs / factor;
  return {
    factor,
    modelMs: modelMs / factor,
    totalMs: totalMs - savedMs,
    shorterShare: totalMs === 0 ? 0 : savedMs / totalMs,
  };
}

/** p95 is an order statistic: a value that was measured. */
function spreadOf(given: readonly (number | null)[]): Spread {
  const values = given.filter((value) => value !== null).sort((a, b) => a - b);
  const count = values.length;
  const at = (q: number) => values[Math.max(0, Math.ceil(q * count) - 1)] ?? null;
  const refusal = refusalOf(P95, count);
  return { count, medianMs: median(values), p95Ms: refusal === null ? at(P95) : null, refusal };
}

function lanesOf({ lane }: TaskSummary): readonly string[] {
  return (lane ?? UNKNOWN).split(' → ');
}

function grouped<T>(items: readonly T[], nameOf: (item: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = nameOf(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
}

function byPhase(of: (phase: TaskPhase) => number): Record<TaskPhase, number> {
  return Object.fromEntries(PHASES.map((phase) => [phase, of(phase)])) as Record<TaskPhase, number>;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
