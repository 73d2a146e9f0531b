// Rows of the database ⇄ records. Owns the order of the columns of events and requests; knows no statement.
// Used by task-store.ts.
import type { TaskSignals } from '../lanes/signals.ts';
import type { EventKind, Source, Task, TaskEvent, TaskPhase, TaskRequest } from './task-record.ts';

/** As libsql gives it. */
export type TaskRow = Readonly<Record<string, string | number | null>>;

export function taskOf(row: TaskRow): Task {
  return {
    id: text(row, 'id'),
    owner: text(row, 'owner'),
    source: text(row, 'source') as Source,
    taskClass: textOrNull(row, 'task_class'),
    lane: textOrNull(row, 'lane'),
    title: textOrNull(row, 'title'),
    createdMs: number(row, 'created_ms'),
    updatedMs: number(row, 'updated_ms'),
  };
}

export function eventOf(row: TaskRow): TaskEvent {
  const ok = numberOrNull(row, 'ok');
  return {
    id: text(row, 'id'),
    kind: text(row, 'kind') as EventKind,
    atMs: number(row, 'at_ms'),
    durationMs: numberOrNull(row, 'duration_ms'),
    phase: textOrNull(row, 'phase') as TaskPhase | null,
    source: text(row, 'source') as Source,
    lane: textOrNull(row, 'lane'),
    tool: textOrNull(row, 'tool'),
    exitCode: numberOrNull(row, 'exit_code'),
    ok: ok === null ? null : ok === 1,
    cost: numberOrNull(row, 'cost'),
    note: textOrNull(row, 'note'),
  };
}

export function recordOf(row: TaskRow): TaskRequest {
  const durationMs = numberOrNull(row, 'duration_ms');
  return {
    id: text(row, 'id'),
    session: textOrNull(row, 'session'),
    atMs: number(row, 'at_ms'),
    asked: text(row, 'asked'),
    lane: text(row, 'lane'),
    decided: text(row, 'decided'),
    taskClass: text(row, 'task_class'),
    rule: text(row, 'rule'),
    policy: text(row, 'policy'),
    phase: text(row, 'phase') as TaskPhase,
    background: number(row, 'background') === 1,
    waitedMs: number(row, 'waited_ms'),
    signals: JSON.parse(text(row, 'signals')) as TaskSignals,
    end:
      durationMs === null
        ? null
        : {
            durationMs,
            promptTokens: number(row, 'prompt_tokens'),
            cachedTokens: number(row, 'cached_tokens'),
            outputTokens: number(row, 'output_tokens'),
            cost: number(row, 'cost'),
            failed: number(row, 'failed') === 1,
          },
  };
}

/** Columns of events after owner and task. Times are whole in the database. */
export function eventValues(event: TaskEvent): (string | number | null)[] {
  const { id, kind, atMs, durationMs, phase, source, lane, tool, exitCode, ok, cost, note } = event;
  const okNumber = ok === null ? null : ok ? 1 : 0;
  return [id, kind, Math.round(atMs), durationMs, phase, source, lane, tool, exitCode, okNumber, cost, note];
}

/** Columns of requests after owner and task, up to the end's. */
export function requestValues(request: TaskRequest): (string | number | null)[] {
  const { id, session, atMs, asked, lane, decided, taskClass, rule, policy, phase } = request;
  const names = [id, session, Math.round(atMs), asked, lane, decided, taskClass, rule, policy, phase];
  return [...names, request.background ? 1 : 0, request.waitedMs, JSON.stringify(request.signals)];
}

function text(row: TaskRow, column: string): string {
  return String(row[column]);
}

function textOrNull(row: TaskRow, column: string): string | null {
  const value = row[column];
  return value == null ? null : String(value);
}

function number(row: TaskRow, column: string): number {
  return Number(row[column]);
}

function numberOrNull(row: TaskRow, column: string): number | null {
  const value = row[column];
  return value == null ? null : Number(value);
}
