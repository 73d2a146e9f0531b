// TaskStore: tasks, events and requests in the database. Owns every statement and the retention: what is too old or too
// much goes, whole tasks at a time, those of the owner with the most first, and of these the quiet ones. Synchronous; lives in a thread of its own (store-worker.ts)
// or in a test. Before it: database.ts opens the file; after it: store-port.ts brings calls.
import { closeDatabase, type Database } from './database.ts';
import { eventOf, eventValues, recordOf, requestValues, type TaskRow, taskOf } from './row.ts';
import {
  type RequestEnd,
  ROWS_PER_TASK_MAX,
  type Task,
  type TaskEvent,
  type TaskRecord,
  type TaskRequest,
} from './task-record.ts';

export interface TaskStoreBounds {
  readonly ageMsMax: number; // of a task's latest event or request
  readonly rowsMax: number; // tasks, events and requests together
}

export type NewTask = Omit<Task, 'updatedMs'>;

/** What traffic shows, one after the other. */
export type Observation = { readonly owner: string } & (
  | { readonly op: 'task'; readonly task: NewTask }
  | { readonly op: 'event'; readonly task: string; readonly event: TaskEvent }
  | { readonly op: 'request'; readonly task: string; readonly request: TaskRequest }
  | {
      readonly op: 'end';
      readonly task: string;
      readonly request: string;
      readonly end: RequestEnd;
      readonly atMs: number;
    }
  | {
      readonly op: 'phase';
      readonly task: string;
      readonly request: string;
      readonly phase: TaskRequest['phase'];
    }
);

export interface TaskQuery {
  readonly owner: string;
  readonly limit: number;
  readonly after: string | null; // id of the last task of the page before
  readonly ascending: boolean; // by creation
}

const PRUNE_EVERY_MS = 60_000;
const PRUNE_SHARE = 0.05; // of the rows beyond the bound, so that not every batch has to

export class TaskStore {
  readonly #database: Database;
  readonly #bounds: TaskStoreBounds;
  readonly #sql: ReturnType<typeof prepare>;
  #rowCount: number;
  #prunedMs = Number.NEGATIVE_INFINITY;

  constructor(database: Database, bounds: TaskStoreBounds) {
    this.#database = database;
    this.#bounds = bounds;
    this.#sql = prepare(database);
    this.#rowCount = Number((this.#sql.rowSum.all()[0] as { total: number | null }).total ?? 0);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** The task as it is now, and whether it is new: asking twice makes one. */
  create(task: NewTask, nowMs: number): { readonly task: Task; readonly created: boolean } {
    return this.#together(nowMs, () => {
      const created = this.#insertTask(task, nowMs);
      return { task: this.#task(task.owner, task.id)!, created };
    });
  }

  /** Ids of the events that were not known before; null: there is no such task, or no room in it. */
  addEvents(ask: {
    readonly owner: string;
    readonly task: string;
    readonly events: readonly TaskEvent[];
    readonly nowMs: number;
  }): readonly string[] | 'unknown-task' | 'task-full' {
    const { owner, task, events, nowMs } = ask;
    return this.#together(nowMs, () => {
      const room = this.#roomIn(owner, task);
      if (room === null) return 'unknown-task';
      if (events.length > room) return 'task-full';
      const added = events.filter((event) => this.#insertEvent(owner, task, event)).map(({ id }) => id);
      return added;
    });
  }

  /** Carries out observations in one transaction. How many could not be kept: their task is gone or full. */
  record(observations: readonly Observation[], nowMs: number): number {
    return this.#together(nowMs, () => {
      let lost = 0;
      for (const observation of observations) if (!this.#carryOut(observation, nowMs)) lost++;
      return lost;
    });
  }

  find(owner: string, id: string): TaskRecord | null {
    const task = this.#task(owner, id);
    return task === null ? null : this.#whole(task);
  }

  list({ owner, limit, after, ascending }: TaskQuery): {
    readonly tasks: readonly TaskRecord[];
    readonly hasMore: boolean;
  } {
    const last = after === null ? null : this.#task(owner, after);
    const edge = last?.createdMs ?? (ascending ? -1 : Number.MAX_SAFE_INTEGER);
    const statement = ascending ? this.#sql.pageUp : this.#sql.pageDown;
    const rows = statement.all(owner, edge, edge, last?.id ?? '', limit + 1) as TaskRow[];
    const tasks = rows.slice(0, limit).map((row) => this.#whole(taskOf(row)));
    return { tasks, hasMore: rows.length > limit };
  }

  /** Every owner's tasks with something at or after a time, oldest first. */
  *readAll(sinceMs: number): Generator<TaskRecord> {
    for (const row of this.#sql.allTasks.all(sinceMs) as TaskRow[]) yield this.#whole(taskOf(row));
  }

  /** Keeps to the bounds now: nothing else does while nobody calls. */
  prune(nowMs: number): void {
    this.#together(nowMs, () => {});
  }

  close(): void {
    closeDatabase(this.#database);
  }

  #carryOut(observation: Observation, nowMs: number): boolean {
    const { owner } = observation;
    if (observation.op === 'task') {
      this.#insertTask(observation.task, nowMs);
      return true;
    }
    const { task } = observation;
    if (observation.op === 'end') {
      const { durationMs, promptTokens, cachedTokens, outputTokens, cost, failed } = observation.end;
      const tokens = [promptTokens, cachedTokens, outputTokens].map(Math.round); // an upstream may tell anything
      const values = [durationMs, ...tokens, cost, failed ? 1 : 0];
      this.#touch(owner, task, observation.atMs);
      return this.#sql.end.run(...values, owner, task, observation.request).changes > 0;
    }
    if (observation.op === 'phase') {
      return this.#sql.phase.run(observation.phase, owner, task, observation.request).changes > 0;
    }
    const room = this.#roomIn(owner, task);
    if (room === null || room < 1) return false;
    if (observation.op === 'event') this.#insertEvent(owner, task, observation.event);
    else {
      const values = requestValues(observation.request);
      this.#counted(owner, task, this.#sql.addRequest.run(owner, task, ...values).changes);
      this.#touch(owner, task, observation.request.atMs);
    }
    return true;
  }

  /** Told of now, however long ago it began. */
  #insertTask({ id, owner, source, taskClass, lane, title, createdMs }: NewTask, nowMs: number): boolean {
    const values = [id, owner, source, taskClass, lane, title];
    const times = [Math.round(createdMs), Math.round(Math.max(createdMs, nowMs))];
    const { changes } = this.#sql.addTask.run(...values, ...times);
    this.#rowCount += changes;
    return changes > 0;
  }

  #insertEvent(owner: string, task: string, event: TaskEvent): boolean {
    const { changes } = this.#sql.addEvent.run(owner, task, ...eventValues(event));
    this.#counted(owner, task, changes);
    this.#touch(owner, task, event.atMs);
    return changes > 0;
  }

  #touch(owner: string, task: string, atMs: number): void {
    this.#sql.touch.run(Math.round(atMs), owner, task);
  }

  #counted(owner: string, task: string, changes: number): void {
    if (changes === 0) return;
    this.#rowCount += changes;
    this.#sql.count.run(changes, owner, task);
  }

  #roomIn(owner: string, task: string): number | null {
    const [row] = this.#sql.rowsOf.all(owner, task) as { row_count: number }[];
    return row === undefined ? null : ROWS_PER_TASK_MAX - row.row_count;
  }

  #task(owner: string, id: string): Task | null {
    const [row] = this.#sql.task.all(owner, id) as TaskRow[];
    return row === undefined ? null : taskOf(row);
  }

  #whole(task: Task): TaskRecord {
    const events = (this.#sql.events.all(task.owner, task.id) as TaskRow[]).map(eventOf);
    const requests = (this.#sql.requests.all(task.owner, task.id) as TaskRow[]).map(recordOf);
    return { task, events, requests };
  }

  /** Too old: now and then. Too many: at once, of the owner who has the most. */
  #prune(nowMs: number): void {
    const { ageMsMax, rowsMax } = this.#bounds;
    if (nowMs - this.#prunedMs >= PRUNE_EVERY_MS) {
      this.#prunedMs = nowMs;
      for (;;) {
        const old = this.#sql.older.all(nowMs - ageMsMax) as OldTask[];
        if (old.length === 0) break;
        this.#removed(old);
      }
    }
    if (this.#rowCount <= rowsMax) return;
    let excess = this.#rowCount - Math.floor(rowsMax * (1 - PRUNE_SHARE));
    while (excess > 0) {
      const [largest] = this.#sql.largest.all() as { owner: string }[];
      if (largest === undefined) return;
      const oldest = this.#sql.oldest.all(largest.owner) as OldTask[];
      const gone: OldTask[] = [];
      for (const task of oldest) {
        if (excess <= 0) break;
        excess -= task.row_count;
        gone.push(task);
      }
      this.#removed(gone);
    }
  }

  #removed(tasks: readonly OldTask[]): void {
    for (const { owner, id, row_count: rows } of tasks) {
      this.#sql.remove.run(owner, id);
      this.#rowCount -= rows;
    }
  }

  #together<T>(nowMs: number, run: () => T): T {
    const before = this.#rowCount;
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const value = run();
      this.#prune(nowMs);
      this.#database.exec('COMMIT');
      return value;
    } catch (error) {
      this.#rowCount = before;
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}

interface OldTask {
  readonly owner: string;
  readonly id: string;
  readonly row_count: number;
}

function prepare(database: Database) {
  const sql = (text: string) => database.prepare(text);
  const one = 'owner = ? AND task = ?';
  const places = (count: number) => Array.from({ length: count }, () => '?').join(', ');
  return {
    rowSum: sql('SELECT sum(row_count) AS total FROM tasks'),
    rowsOf: sql('SELECT row_count FROM tasks WHERE owner = ? AND id = ?'),
    task: sql('SELECT * FROM tasks WHERE owner = ? AND id = ?'),
    addTask: sql(
      `INSERT INTO tasks (id, owner, source, task_class, lane, title, created_ms, updated_ms, row_count)
       VALUES (${places(8)}, 1) ON CONFLICT DO NOTHING`,
    ),
    touch: sql('UPDATE tasks SET updated_ms = max(updated_ms, ?) WHERE owner = ? AND id = ?'),
    count: sql('UPDATE tasks SET row_count = row_count + ? WHERE owner = ? AND id = ?'),
    addEvent: sql(`INSERT INTO events VALUES (${places(14)}) ON CONFLICT DO NOTHING`),
    events: sql(`SELECT * FROM events WHERE ${one} ORDER BY at_ms, id`),
    addRequest: sql(
      `INSERT INTO requests VALUES (${places(15)}, NULL, NULL, NULL, NULL, NULL, NULL) ON CONFLICT DO NOTHING`,
    ),
    end: sql(
      `UPDATE requests SET duration_ms = ?, prompt_tokens = ?, cached_tokens = ?, output_tokens = ?, cost = ?, failed = ?
       WHERE ${one} AND id = ?`,
    ),
    phase: sql(`UPDATE requests SET phase = ? WHERE ${one} AND id = ?`),
    requests: sql(`SELECT * FROM requests WHERE ${one} ORDER BY at_ms, id`),
    pageUp: sql(
      `SELECT * FROM tasks WHERE owner = ? AND (created_ms > ? OR (created_ms = ? AND id > ?))
       ORDER BY created_ms, id LIMIT ?`,
    ),
    pageDown: sql(
      `SELECT * FROM tasks WHERE owner = ? AND (created_ms < ? OR (created_ms = ? AND id < ?))
       ORDER BY created_ms DESC, id DESC LIMIT ?`,
    ),
    allTasks: sql('SELECT * FROM tasks WHERE updated_ms >= ? ORDER BY created_ms, owner, id'),
    older: sql('SELECT owner, id, row_count FROM tasks WHERE updated_ms < ? ORDER BY updated_ms LIMIT 1000'),
    largest: sql('SELECT owner FROM tasks GROUP BY owner ORDER BY sum(row_count) DESC, owner LIMIT 1'),
    oldest: sql('SELECT owner, id, row_count FROM tasks WHERE owner = ? ORDER BY updated_ms, id LIMIT 16'),
    remove: sql('DELETE FROM tasks WHERE owner = ? AND id = ?'),
  };
}
