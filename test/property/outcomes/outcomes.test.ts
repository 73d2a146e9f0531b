// What must hold of any record of tasks: shares, order, retention, and that no text stays where none is wanted.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ALL, taskReport } from '../../../loadtest/outcomes/task-report.ts';
import {
  EVENT_KINDS,
  PHASE_OF_KIND,
  PHASES,
  ROWS_PER_TASK_MAX,
  type TaskEvent,
  type TaskRecord,
  type TaskRequest,
} from '../../../server/outcomes/task-record.ts';
import { summariseTask } from '../../../server/outcomes/task-summary.ts';
import { exportOf, exportSchema, recordsOf, reportedEvent } from '../../../server/outcomes/wire.ts';
import { DAY_MS, memoryStore, newTask, START_MS, taskEvent, taskRequest } from '../../outcome-records.ts';

const offset = fc.nat(600_000); // ms
const event: fc.Arbitrary<Omit<TaskEvent, 'id'>> = fc
  .record({
    kind: fc.constantFrom(...EVENT_KINDS),
    at: offset,
    durationMs: fc.option(fc.nat(100_000)),
    source: fc.constantFrom('reported' as const, 'derived' as const),
    ok: fc.option(fc.boolean()),
    cost: fc.option(fc.nat(10)),
  })
  .map(({ at, ...given }) => taskEvent({ ...given, atMs: START_MS + at, phase: PHASE_OF_KIND[given.kind] }));
const request: fc.Arbitrary<Omit<TaskRequest, 'id'>> = fc
  .record({
    at: offset,
    waitedMs: fc.nat(5000),
    durationMs: fc.nat(60_000),
    background: fc.boolean(),
    lane: fc.constantFrom('spark', 'reliability'),
    phase: fc.constantFrom('model' as const, 'plan' as const, 'rework' as const),
    isOver: fc.boolean(),
  })
  .map(({ at, durationMs, isOver, ...given }) =>
    taskRequest({
      ...given,
      atMs: START_MS + at,
      end: isOver ? { ...taskRequest().end!, durationMs } : null,
    }),
  );
const record: fc.Arbitrary<TaskRecord> = fc
  .record({ events: fc.array(event, { maxLength: 12 }), requests: fc.array(request, { maxLength: 8 }) })
  .map(({ events, requests }) => ({
    task: { ...newTask(), updatedMs: START_MS },
    events: events.map((each, index) => ({ ...each, id: `e${index}` })),
    requests: requests.map((each, index) => ({ ...each, id: `r${index}` })),
  }));

test('the shares of every row sum to one, and T_total to its phases', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 6 }), (records) => {
      for (const row of taskReport(records, { lane: null, faster: 2 }).rows) {
        if (row.phaseShare === null) continue;
        expect(PHASES.reduce((sum, phase) => sum + row.phaseShare![phase], 0)).toBeCloseTo(1, 9);
        expect(PHASES.reduce((sum, phase) => sum + row.phaseMeanMs[phase], 0)).toBeCloseTo(
          row.totalMeanMs!,
          3,
        );
        expect(row.faster!.totalMs).toBeLessThanOrEqual(row.totalMeanMs!);
        expect(row.acceptedCount + row.revertedCount + row.openCount).toBe(row.taskCount);
      }
    }),
  );
});

test('the rows of a lane are its tasks, each once', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 8 }), (records) => {
      const { rows, taskCount } = taskReport(records, { lane: null, faster: null });
      const classes = rows.filter(({ taskClass }) => taskClass !== ALL);
      expect(classes.reduce((sum, row) => sum + row.taskCount, 0)).toBe(taskCount);
    }),
  );
});

test('the order in which events and requests are told is nothing', () => {
  fc.assert(
    fc.property(record, fc.nat(), (made, seed) => {
      const shuffled = <T>(items: readonly T[]) =>
        items
          .map((item, index) => ({ item, rank: Math.imul(index + 1, seed * 2 + 1) >>> 0 }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ item }) => item);
      const other = { ...made, events: shuffled(made.events), requests: shuffled(made.requests) };
      expect(summariseTask(other)).toEqual(summariseTask(made));
    }),
  );
});

test('derived time is never more than the clock showed', () => {
  fc.assert(
    fc.property(record, (made) => {
      const derived = {
        ...made,
        events: made.events.map((each) => ({ ...each, source: 'derived' as const })),
      };
      const ends = [
        ...derived.events.map(({ atMs }) => atMs),
        ...derived.requests.map(({ atMs, waitedMs, end }) => atMs + waitedMs + (end?.durationMs ?? 0)),
      ];
      const starts = [
        ...derived.events.map(({ atMs, durationMs }) => atMs - (durationMs ?? 0)),
        ...derived.requests.map(({ atMs }) => atMs),
      ];
      if (ends.length === 0) return;
      const wallMs = Math.max(...ends) - Math.min(...starts);
      expect(summariseTask(derived).totalMs).toBeLessThanOrEqual(wallMs + 1e-6);
    }),
  );
});

test('an export is imported as it was', () => {
  fc.assert(
    fc.property(record, (made) => {
      const [back] = recordsOf(exportSchema.parse(JSON.parse(JSON.stringify(exportOf([made])))));
      expect({ ...back!, task: made.task }).toEqual(made);
    }),
  );
});

test('the bounds of rows and days hold after every call, and a task goes whole', () => {
  const bounds = { rowsMax: 40, ageMsMax: 5 * DAY_MS };
  const step = fc.record({
    task: fc.nat(8),
    kind: fc.constantFrom('create', 'events', 'record'),
    count: fc.integer({ min: 1, max: 6 }),
    laterMs: fc.nat(2 * DAY_MS),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const store = memoryStore(bounds);
      let nowMs = START_MS;
      let number = 0;
      for (const { task, kind, count, laterMs } of steps) {
        nowMs += laterMs;
        const id = `t${task}`;
        const fresh = () => taskEvent({ id: `e${number++}`, atMs: nowMs });
        if (kind === 'create') store.create(newTask({ id, createdMs: nowMs }), nowMs);
        else if (kind === 'events') {
          store.addEvents({ owner: '', task: id, events: Array.from({ length: count }, fresh), nowMs });
        } else {
          store.record(
            [
              { op: 'task', owner: '', task: newTask({ id, createdMs: nowMs }) },
              {
                op: 'request',
                owner: '',
                task: id,
                request: taskRequest({ id: `r${number++}`, atMs: nowMs }),
              },
              { op: 'event', owner: '', task: id, event: fresh() },
            ],
            nowMs,
          );
        }
        const kept = [...store.readAll(0)];
        const rows = kept.reduce((sum, { events, requests }) => sum + 1 + events.length + requests.length, 0);
        expect(store.rowCount).toBe(rows);
        expect(rows).toBeLessThanOrEqual(bounds.rowsMax);
        for (const { task: held } of kept) {
          expect(nowMs - held.updatedMs).toBeLessThanOrEqual(bounds.ageMsMax + 60_000); // looked at once a minute
        }
      }
      store.close();
    }),
    { numRuns: 40 },
  );
  expect(ROWS_PER_TASK_MAX).toBeLessThan(10_000); // the least --outcomes-rows
});

test('no note is kept where text is off', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 2000 }), fc.boolean(), (note, keepText) => {
      const made = reportedEvent({ type: 'reviewed', note }, { id: 'e', atMs: START_MS, keepText });
      expect(made.note).toBe(keepText ? note : null);
    }),
  );
});
