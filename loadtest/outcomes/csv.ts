// Raw tasks, events and requests as CSV, one file each. Owns the columns; the files are the caller's. Pure.

import { PHASES, type TaskRecord } from '../../server/outcomes/task-record.ts';
import { summariseTask } from '../../server/outcomes/task-summary.ts';
import { type Cell, csvLine } from '../show/csv.ts';

/** By file name. Times are ISO 8601. */
export function csvFiles(records: readonly TaskRecord[]): Readonly<Record<string, string>> {
  return {
    'tasks.csv': file(TASK_COLUMNS, records.map(taskCells)),
    'events.csv': file(EVENT_COLUMNS, records.flatMap(eventRows)),
    'requests.csv': file(REQUEST_COLUMNS, records.flatMap(requestRows)),
  };
}

const TASK_COLUMNS = [
  ...[
    'task',
    'owner',
    'source',
    'lane',
    'class',
    'title',
    'created',
    'updated',
    'outcome',
    'first_pass',
    'reverted',
  ],
  ...['rework_cycles', 'cost', 'first_useful_diff_ms', 'end_to_end_ms', 'total_ms'],
  ...PHASES.flatMap((phase) => [`${phase}_ms`, `${phase}_source`]),
];

function taskCells(record: TaskRecord): Cell[] {
  const { id, owner, title, createdMs, updatedMs } = record.task;
  const of = summariseTask(record);
  return [
    ...[id, owner, of.source, of.lane, of.taskClass, title, time(createdMs), time(updatedMs), of.outcome],
    ...[of.firstPass, of.reverted, of.reworkCycles, of.cost, of.firstDiffMs, of.endToEndMs, of.totalMs],
    ...PHASES.flatMap((phase) => [of.phaseMs[phase], of.phaseSource[phase]]),
  ];
}

const EVENT_COLUMNS = [
  ...[
    'task',
    'owner',
    'event',
    'type',
    'at',
    'duration_ms',
    'phase',
    'source',
    'lane',
    'tool',
    'exit_code',
    'ok',
  ],
  ...['cost', 'note'],
];

function eventRows({ task, events }: TaskRecord): Cell[][] {
  return events.map(({ id, kind, atMs, durationMs, phase, source, lane, tool, exitCode, ok, cost, note }) => [
    ...[
      task.id,
      task.owner,
      id,
      kind,
      time(atMs),
      durationMs,
      phase,
      source,
      lane,
      tool,
      exitCode,
      ok,
      cost,
      note,
    ],
  ]);
}

const REQUEST_COLUMNS = [
  ...[
    'task',
    'owner',
    'request',
    'session',
    'at',
    'asked',
    'lane',
    'decided',
    'class',
    'rule',
    'policy',
    'phase',
  ],
  ...[
    'background',
    'waited_ms',
    'duration_ms',
    'prompt_tokens',
    'cached_tokens',
    'output_tokens',
    'cost',
    'failed',
  ],
  'signals',
];

function requestRows({ task, requests }: TaskRecord): Cell[][] {
  return requests.map((request) => {
    const { id, session, atMs, asked, lane, decided, taskClass, rule, policy, phase, background, end } =
      request;
    return [
      ...[task.id, task.owner, id, session, time(atMs), asked, lane, decided, taskClass, rule, policy, phase],
      ...[background, request.waitedMs, end?.durationMs ?? null, end?.promptTokens ?? null],
      ...[end?.cachedTokens ?? null, end?.outputTokens ?? null, end?.cost ?? null, end?.failed ?? null],
      JSON.stringify(request.signals),
    ];
  });
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}

function file(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [columns, ...rows].map(csvLine).join('');
}
