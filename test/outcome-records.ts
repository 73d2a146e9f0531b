// Tasks, events and requests for tests of the outcomes: small, whole, each field replaceable.
import { openDatabase } from '../server/outcomes/database.ts';
import type { TaskEvent, TaskRequest } from '../server/outcomes/task-record.ts';
import { type NewTask, TaskStore, type TaskStoreBounds } from '../server/outcomes/task-store.ts';

export const DAY_MS = 86_400_000;
export const START_MS = Date.UTC(2026, 10, 20, 12, 0, 0);

export function newTask(parts: Partial<NewTask> = {}): NewTask {
  const task = {
    id: 'task',
    owner: '',
    source: 'reported',
    taskClass: null,
    lane: null,
    title: null,
  } as const;
  return { ...task, createdMs: START_MS, ...parts };
}

export function taskEvent(parts: Partial<TaskEvent> = {}): TaskEvent {
  return {
    id: 'event',
    kind: 'tool_run',
    atMs: START_MS,
    durationMs: 1000,
    phase: 'tools',
    source: 'reported',
    ...{ lane: null, tool: null, exitCode: null, ok: null, cost: null, note: null },
    ...parts,
  };
}

export function taskRequest(parts: Partial<TaskRequest> = {}): TaskRequest {
  return {
    id: 'request',
    session: 'session',
    atMs: START_MS,
    asked: 'auto',
    lane: 'spark',
    decided: 'spark',
    taskClass: 'small-edit',
    rule: 'otherwise',
    policy: 'default',
    phase: 'model',
    background: false,
    waitedMs: 0,
    signals: NO_SIGNALS,
    end: {
      durationMs: 2000,
      promptTokens: 100,
      cachedTokens: 0,
      outputTokens: 50,
      cost: 0.01,
      failed: false,
    },
    ...parts,
  };
}

export const NO_SIGNALS: TaskRequest['signals'] = {
  turnIndex: 0,
  midTurn: false,
  promptTokens: 10,
  contextTokens: 100,
  outputTokensMax: null,
  toolsOffered: 0,
  toolCalls: 0,
  toolFailures: 0,
  recentFailures: 0,
  filesNamed: 1,
  filesTouched: 0,
  linesChanged: 0,
  reworkTurns: 0,
  background: false,
  words: {},
};

/** Bounds that nothing in a test reaches by accident. */
export const WIDE: TaskStoreBounds = { ageMsMax: 90 * DAY_MS, rowsMax: 100_000 };

export function memoryStore(bounds: TaskStoreBounds = WIDE, path = ':memory:'): TaskStore {
  return new TaskStore(openDatabase(path, START_MS).database, bounds);
}
