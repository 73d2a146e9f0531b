import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { closeDatabase, openDatabase, readDatabase } from '../../../../server/outcomes/database.ts';
import { OutcomesError } from '../../../../server/outcomes/outcomes-error.ts';
import { openStoreThread, type StorePort } from '../../../../server/outcomes/store-port.ts';
import { ROWS_PER_TASK_MAX } from '../../../../server/outcomes/task-record.ts';
import { TaskStore } from '../../../../server/outcomes/task-store.ts';
import {
  DAY_MS,
  memoryStore,
  newTask,
  START_MS,
  taskEvent,
  taskRequest,
  WIDE,
} from '../../../outcome-records.ts';
import { temporaryDirectory } from '../../../temporary-directory.ts';

const directory = temporaryDirectory();

test('a task comes back with its events and requests, by time whatever the order they were told in', () => {
  const store = memoryStore();
  store.create(newTask({ lane: 'spark', taskClass: 'fix' }), START_MS);
  const late = taskEvent({ id: 'b', atMs: START_MS + 2000, kind: 'accepted', durationMs: null, phase: null });
  const early = taskEvent({
    id: 'a',
    atMs: START_MS + 1000,
    exitCode: 1,
    ok: false,
    tool: 'shell',
    cost: 0.5,
  });
  const events = [late, early];
  expect(store.addEvents({ owner: '', task: 'task', events, nowMs: START_MS })).toEqual(['b', 'a']);
  const request = taskRequest();
  store.record(
    [
      { op: 'request', owner: '', task: 'task', request: { ...request, end: null } },
      { op: 'end', owner: '', task: 'task', request: 'request', end: request.end!, atMs: START_MS + 3000 },
      { op: 'phase', owner: '', task: 'task', request: 'request', phase: 'plan' },
    ],
    START_MS,
  );
  expect(store.find('', 'task')).toEqual({
    task: { ...newTask({ lane: 'spark', taskClass: 'fix' }), updatedMs: START_MS + 3000 },
    events: [early, late],
    requests: [{ ...request, phase: 'plan' }],
  });
  expect(store.rowCount).toBe(4);
});

test('fractions of a millisecond, as real clocks have them, are no reason to lose a batch', () => {
  const store = memoryStore();
  const [atMs, owner, task] = [START_MS + 0.25, '', 'task'];
  const { end } = taskRequest();
  const lost = store.record(
    [
      { op: 'task', owner, task: newTask({ createdMs: atMs }) },
      { op: 'event', owner, task, event: taskEvent({ atMs, durationMs: 0.5 }) },
      { op: 'request', owner, task, request: taskRequest({ atMs, waitedMs: 0.125 }) },
      { op: 'end', owner, task, request: 'request', end: { ...end!, durationMs: 1.5 }, atMs },
    ],
    atMs,
  );
  expect(lost).toBe(0);
  expect(store.find(owner, task)!.requests[0]!.end!.durationMs).toBe(1.5);
});

test('asking twice makes one task, and an event id counts once', () => {
  const store = memoryStore();
  expect(store.create(newTask({ lane: 'a' }), START_MS).created).toBe(true);
  const again = store.create(newTask({ lane: 'b' }), START_MS);
  expect(again.created).toBe(false);
  expect(again.task.lane).toBe('a');
  const ask = { owner: '', task: 'task', events: [taskEvent()], nowMs: START_MS };
  expect(store.addEvents(ask)).toEqual(['event']);
  expect(store.addEvents(ask)).toEqual([]);
  expect(store.rowCount).toBe(2);
});

test('one owner neither sees nor changes the tasks of another', () => {
  const store = memoryStore();
  store.create(newTask({ owner: 'ada' }), START_MS);
  store.create(newTask({ owner: 'bob', lane: 'strong' }), START_MS);
  expect(store.find('eve', 'task')).toBeNull();
  expect(store.addEvents({ owner: 'eve', task: 'task', events: [taskEvent()], nowMs: START_MS })).toBe(
    'unknown-task',
  );
  expect(store.find('bob', 'task')!.task.lane).toBe('strong');
  const query = { owner: 'ada', limit: 10, after: null, ascending: true };
  expect(store.list(query).tasks.map(({ task }) => task.owner)).toEqual(['ada']);
});

test('pages of tasks follow each other in both directions', () => {
  const store = memoryStore();
  for (const id of ['c', 'a', 'e', 'b', 'd']) store.create(newTask({ id }), START_MS);
  const pages = (ascending: boolean) => {
    const ids: string[] = [];
    let after: string | null = null;
    for (;;) {
      const { tasks, hasMore } = store.list({ owner: '', limit: 2, after, ascending });
      ids.push(...tasks.map(({ task }) => task.id));
      after = ids.at(-1)!;
      if (!hasMore) return ids.join('');
    }
  };
  expect(pages(true)).toBe('abcde');
  expect(pages(false)).toBe('edcba');
});

test('tasks that were quiet for too long go, with all that is theirs', () => {
  const store = memoryStore({ ...WIDE, ageMsMax: 10 * DAY_MS });
  store.create(newTask({ id: 'old' }), START_MS);
  store.addEvents({ owner: '', task: 'old', events: [taskEvent()], nowMs: START_MS });
  store.create(newTask({ id: 'new', createdMs: START_MS + 11 * DAY_MS }), START_MS + 11 * DAY_MS);
  expect(store.find('', 'old')).toBeNull();
  expect(store.rowCount).toBe(1);
});

test('a key with many tasks makes room by its own, not by those of others', () => {
  const store = memoryStore({ ...WIDE, rowsMax: 20 });
  store.create(newTask({ id: 'oldest', owner: 'ada' }), START_MS);
  for (let index = 0; index < 100; index++) {
    store.create(newTask({ id: `t${index}`, owner: 'bob', createdMs: START_MS + index }), START_MS + index);
    expect(store.rowCount).toBeLessThanOrEqual(20);
  }
  expect(store.find('ada', 'oldest')).not.toBeNull();
  expect(store.find('bob', 't99')).not.toBeNull();
  expect(store.find('bob', 't0')).toBeNull();
});

test('a task that runs wild is full, and takes no other task’s place', () => {
  const store = memoryStore();
  store.create(newTask(), START_MS);
  const events = Array.from({ length: ROWS_PER_TASK_MAX - 1 }, (_, index) => taskEvent({ id: `${index}` }));
  const ask = { owner: '', task: 'task', events, nowMs: START_MS };
  expect(store.addEvents(ask)).toHaveLength(events.length);
  expect(store.addEvents({ ...ask, events: [taskEvent({ id: 'more' })] })).toBe('task-full');
  expect(
    store.record([{ op: 'event', owner: '', task: 'task', event: taskEvent({ id: 'more' }) }], START_MS),
  ).toBe(1);
});

test('a file that is no database is put aside, and a new one is begun', () => {
  const path = join(directory, 'broken', 'outcomes.db');
  closeDatabase(openDatabase(path, 1).database);
  writeFileSync(path, 'this is no database at all. '.repeat(200));
  const { database, putAside } = openDatabase(path, 17);
  expect(putAside).toBe(`${path}.broken-17`);
  expect(readFileSync(putAside!, 'utf8')).toMatch(/^this is no database/);
  const store = new TaskStore(database, WIDE);
  expect(store.create(newTask(), START_MS).created).toBe(true);
  store.close();
});

test('a file of a newer version is refused and left as it is', () => {
  const path = join(directory, 'newer.db');
  const { database } = openDatabase(path, 1);
  database.exec('PRAGMA user_version = 99');
  database.close();
  expect(() => openDatabase(path, 2)).toThrow(/newer version \(99; this program knows \d+\)/);
  expect(readdirSync(directory).filter((name) => name.startsWith('newer.db.broken'))).toEqual([]);
});

test('a report opens nothing that is not there and changes nothing that is', () => {
  const path = join(directory, 'read.db');
  expect(() => readDatabase(path)).toThrow(OutcomesError);
  openDatabase(path, 1).database.close();
  const reader = readDatabase(path);
  expect(() =>
    reader.exec("INSERT INTO tasks VALUES ('a', '', 'reported', NULL, NULL, NULL, 1, 1, 1)"),
  ).toThrow();
  reader.close();
});

test('a thread keeps tasks over a restart, and a report may read meanwhile', async () => {
  const path = join(directory, 'thread.db');
  const setup = { path, bounds: WIDE, epochMs: START_MS };
  const lost: string[] = [];
  const first = await openStoreThread(setup, (message) => lost.push(message));
  const made = await new Promise((resolve) =>
    first.port.call({ kind: 'create', task: newTask({ lane: 'spark' }), nowMs: START_MS }, resolve),
  );
  expect(made).toMatchObject({ ok: true, value: { created: true }, rowCount: 1 });
  const reader = new TaskStore(readDatabase(path), WIDE);
  expect([...reader.readAll(0)].map(({ task }) => task.lane)).toEqual(['spark']);
  reader.close();
  await closed(first.port);
  const second = await openStoreThread(setup, (message) => lost.push(message));
  expect(second.rowCount).toBe(1);
  await closed(second.port);
  expect(lost).toEqual([]);
  const after = await new Promise((resolve) =>
    second.port.call({ kind: 'find', owner: '', id: 'task' }, resolve),
  );
  expect(after).toMatchObject({ ok: false });
});

test('a place that cannot be written refuses at once, by name', async () => {
  const path = join(directory, 'read.db', 'below-a-file.db');
  await expect(openStoreThread({ path, bounds: WIDE, epochMs: 1 }, () => {})).rejects.toThrow(
    /below-a-file\.db: /,
  );
});

function closed(port: StorePort): Promise<void> {
  return new Promise((resolve) => port.close(resolve));
}
