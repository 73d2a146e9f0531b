// Raw tasks, events and requests as CSV, one file each. Owns the columns; the files are the caller's. Pure.
import {
  PHASES,
  type TaskEvent,
  type TaskPhase,
  type TaskRecord,
  type TaskRequest,
} from '../../server/outcomes/task-record.ts';
import { summariseTask, type TaskSummary } from '../../server/outcomes/task-summary.ts';
import { type Columns, csvHead, csvLine } from '../show/csv.ts';

type Task = TaskRecord['task'];
type Of<Part> = Part & { readonly task: Task };

/** By file name. Times are ISO 8601. */
export function csvFiles(records: readonly TaskRecord[]): Readonly<Record<string, string>> {
  const tasks = records.map((record) => ({ task: record.task, ...summariseTask(record) }));
  const events = records.flatMap(({ task, events }) => events.map((event) => ({ ...event, task })));
  const requests = records.flatMap(({ task, requests }) => requests.map((request) => ({ ...request, task })));
  return {
    'tasks.csv': file(TASK_COLUMNS, tasks),
    'events.csv': file(EVENT_COLUMNS, events),
    'requests.csv': file(REQUEST_COLUMNS, requests),
  };
}

const TASK_COLUMNS: Columns<Of<TaskSummary>> = {
  task: ({ task }) => task.id,
  owner: ({ task }) => task.owner,
  source: ({ source }) => source,
  lane: ({ lane }) => lane,
  class: ({ taskClass }) => taskClass,
  title: ({ task }) => task.title,
  created: ({ task }) => time(task.createdMs),
  updated: ({ task }) => time(task.updatedMs),
  outcome: ({ outcome }) => outcome,
  first_pass: ({ firstPass }) => firstPass,
  reverted: ({ reverted }) => reverted,
  rework_cycles: ({ reworkCycles }) => reworkCycles,
  cost: ({ cost }) => cost,
  first_useful_diff_ms: ({ firstDiffMs }) => firstDiffMs,
  end_to_end_ms: ({ endToEndMs }) => endToEndMs,
  total_ms: ({ totalMs }) => totalMs,
  ...Object.assign({}, ...PHASES.map(phaseColumns)),
};

function phaseColumns(phase: TaskPhase): Columns<TaskSummary> {
  return {
    [`${phase}_ms`]: ({ phaseMs }) => phaseMs[phase],
    [`${phase}_source`]: ({ phaseSource }) => phaseSource[phase],
  };
}

const EVENT_COLUMNS: Columns<Of<TaskEvent>> = {
  task: ({ task }) => task.id,
  owner: ({ task }) => task.owner,
  event: ({ id }) => id,
  type: ({ kind }) => kind,
  at: ({ atMs }) => time(atMs),
  duration_ms: ({ durationMs }) => durationMs,
  phase: ({ phase }) => phase,
  source: ({ source }) => source,
  lane: ({ lane }) => lane,
  tool: ({ tool }) => tool,
  exit_code: ({ exitCode }) => exitCode,
  ok: ({ ok }) => ok,
  cost: ({ cost }) => cost,
  note: ({ note }) => note,
};

const REQUEST_COLUMNS: Columns<Of<TaskRequest>> = {
  task: ({ task }) => task.id,
  owner: ({ task }) => task.owner,
  request: ({ id }) => id,
  session: ({ session }) => session,
  at: ({ atMs }) => time(atMs),
  asked: ({ asked }) => asked,
  lane: ({ lane }) => lane,
  decided: ({ decided }) => decided,
  class: ({ taskClass }) => taskClass,
  rule: ({ rule }) => rule,
  policy: ({ policy }) => policy,
  phase: ({ phase }) => phase,
  background: ({ background }) => background,
  waited_ms: ({ waitedMs }) => waitedMs,
  duration_ms: ({ end }) => end?.durationMs ?? null,
  prompt_tokens: ({ end }) => end?.promptTokens ?? null,
  cached_tokens: ({ end }) => end?.cachedTokens ?? null,
  output_tokens: ({ end }) => end?.outputTokens ?? null,
  cost: ({ end }) => end?.cost ?? null,
  failed: ({ end }) => end?.failed ?? null,
  signals: ({ signals }) => JSON.stringify(signals),
};

function time(ms: number): string {
  return new Date(ms).toISOString();
}

function file<Row>(columns: Columns<Row>, rows: readonly Row[]): string {
  return csvHead(columns) + rows.map((row) => csvLine(columns, row)).join('');
}
