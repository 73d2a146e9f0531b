// StorePort: the way to the store of tasks, which answers later. Owns the calls that cross it, and the store in a thread of
// its own, so that no token waits for a disk. Before it: recorder.ts and routes.ts; after it: store-worker.ts.
import type { Worker } from 'node:worker_threads';
import { startThread } from '../../models/thread-entry.ts';
import { type DiffQuestion, type ProposedDiff, proposedDiff } from './diff-watch.ts';
import { OutcomesError } from './outcomes-error.ts';
import type { TaskEvent } from './task-record.ts';
import type { NewTask, Observation, TaskQuery, TaskStore, TaskStoreBounds } from './task-store.ts';
import { summariseTask } from './task-summary.ts';
import { taskObject } from './wire.ts';

export type StoreCall =
  | { readonly kind: 'create'; readonly task: NewTask; readonly nowMs: number }
  | {
      readonly kind: 'events';
      readonly owner: string;
      readonly task: string;
      readonly events: readonly TaskEvent[];
      readonly nowMs: number;
    }
  | { readonly kind: 'record'; readonly observations: readonly Observation[]; readonly nowMs: number }
  | { readonly kind: 'find'; readonly owner: string; readonly id: string }
  | { readonly kind: 'list'; readonly query: TaskQuery }
  | { readonly kind: 'diff'; readonly question: DiffQuestion }; // for the thread's sake: nothing of it is kept

export interface StoreValues {
  readonly create: ReturnType<TaskStore['create']>;
  readonly events: ReturnType<TaskStore['addEvents']>;
  readonly record: number; // observations that could not be kept
  readonly find: ReturnType<TaskStore['find']>;
  readonly list: { readonly tasks: readonly ReturnType<typeof taskObject>[]; readonly hasMore: boolean };
  readonly diff: ProposedDiff | null;
}

export type StoreAnswer<V> =
  | { readonly ok: true; readonly value: V; readonly rowCount: number }
  | { readonly ok: false; readonly message: string };

export interface StorePort {
  /** Calls are carried out in their order; `done` comes once, never in the caller's stack. */
  call<C extends StoreCall>(call: C, done: (answer: StoreAnswer<StoreValues[C['kind']]>) => void): void;
  /** After everything that was called before. */
  close(done: () => void): void;
}

/** What the thread does with a call. Failures of the database are answers. */
export function answerCall(store: TaskStore, call: StoreCall): StoreAnswer<StoreValues[StoreCall['kind']]> {
  try {
    return { ok: true, value: carriedOut(store, call), rowCount: store.rowCount };
  } catch (error) {
    return { ok: false, message: (error as Error).message };
  }
}

function carriedOut(store: TaskStore, call: StoreCall): StoreValues[StoreCall['kind']] {
  switch (call.kind) {
    case 'create':
      return store.create(call.task, call.nowMs);
    case 'events':
      return store.addEvents(call);
    case 'record':
      return store.record(call.observations, call.nowMs);
    case 'find':
      return store.find(call.owner, call.id);
    case 'list':
      return listed(store.list(call.query));
    case 'diff':
      return proposedDiff(call.question);
  }
}

/** Summed up here: a page of whole tasks would be megabytes on their way. */
function listed({ tasks, hasMore }: ReturnType<TaskStore['list']>): StoreValues['list'] {
  return { tasks: tasks.map((record) => taskObject(record, summariseTask(record))), hasMore };
}

export interface StoreSetup {
  readonly path: string;
  readonly bounds: TaskStoreBounds;
  readonly epochMs: number;
}

/** To the thread; null: write everything and close. */
export interface ToStore {
  readonly number: number;
  readonly call: StoreCall | null;
}

export type FromStore =
  | { readonly kind: 'opened'; readonly putAside: string | null; readonly rowCount: number }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'answer'; readonly number: number; readonly answer: StoreAnswer<unknown> };

export interface OpenedStore {
  readonly port: StorePort;
  readonly putAside: string | null; // a file that was broken
  readonly rowCount: number;
}

/** Rejects with OutcomesError where the file cannot be used. `onLost`: the thread died later; calls are refused then. */
export function openStoreThread(setup: StoreSetup, onLost: (message: string) => void): Promise<OpenedStore> {
  const worker = startThread('./store-worker', {
    from: import.meta.url,
    name: 'outcomes',
    workerData: setup,
  });
  return new Promise((resolve, reject) => {
    const port = new ThreadPort(worker, onLost);
    worker.once('message', (first: FromStore) => {
      if (first.kind === 'opened') resolve({ port, putAside: first.putAside, rowCount: first.rowCount });
      else reject(new OutcomesError(first.kind === 'refused' ? first.message : 'the store did not open'));
    });
    worker.once('error', (error) => reject(new OutcomesError(`the store did not open: ${String(error)}`)));
    worker.once('message', () => worker.unref()); // it keeps nobody who has no questions from leaving
  });
}

class ThreadPort implements StorePort {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (answer: StoreAnswer<never>) => void>(); // bounded by those who call
  readonly #onLost: (message: string) => void;
  #number = 0;
  #lost: string | null = null;
  #closing = false;

  constructor(worker: Worker, onLost: (message: string) => void) {
    this.#worker = worker;
    this.#onLost = onLost;
    worker.on('message', (message: FromStore) => {
      if (message.kind === 'answer') this.#settle(message.number, message.answer as StoreAnswer<never>);
    });
    worker.on('error', (error: Error) => this.#lose(error.message));
    worker.on('exit', () => this.#lose('the thread of the store has ended'));
  }

  call<C extends StoreCall>(call: C, done: (answer: StoreAnswer<StoreValues[C['kind']]>) => void): void {
    this.#send(call, done);
  }

  close(done: () => void): void {
    this.#closing = true;
    this.#send(null, done);
  }

  #send(call: StoreCall | null, done: (answer: StoreAnswer<never>) => void): void {
    const message = this.#lost;
    if (message !== null) {
      queueMicrotask(() => done({ ok: false, message }));
      return;
    }
    this.#worker.ref(); // somebody waits for the answer
    this.#waiting.set(++this.#number, done);
    this.#worker.postMessage({ number: this.#number, call } satisfies ToStore);
  }

  #settle(number: number, answer: StoreAnswer<never>): void {
    const done = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (this.#waiting.size === 0) this.#worker.unref();
    done?.(answer);
  }

  #lose(message: string): void {
    if (this.#lost !== null) return;
    this.#lost = message;
    for (const number of [...this.#waiting.keys()]) this.#settle(number, { ok: false, message });
    if (!this.#closing) this.#onLost(message);
  }
}
