// A Piscina pool of one thread: the thread, the queue in front of it and the way an answer comes back. Owns no state of
// ours. Before it: replica.ts; after it: worker.ts.
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SHARE_ENV } from 'node:worker_threads';
import { FixedQueue, Piscina } from 'piscina';
import type { WorkerAnswer, WorkerTask } from './messages.ts';

export type WorkerPool = Piscina<WorkerTask, WorkerAnswer>;

/** Starts the thread. Never pass a task a signal: an aborted task ends the thread. */
export function createWorkerPool(closeTimeoutMs: number): WorkerPool {
  return new Piscina<WorkerTask, WorkerAnswer>({
    ...workerEntry(),
    name: 'default', // of the export
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    maxQueue: 1, // a replica has one step in flight
    concurrentTasksPerWorker: 1,
    atomics: 'sync', // 18 µs a round trip against 100 in the other modes; the thread sleeps between steps
    resourceLimits: {},
    argv: [],
    env: SHARE_ENV,
    workerData: null,
    taskQueue: new FixedQueue(),
    niceIncrement: 0,
    trackUnmanagedFds: true,
    closeTimeout: closeTimeoutMs,
    recordTiming: false,
    stricterFIFO: true,
    workerHistogram: false,
  });
}

/** worker.ts beside this file, in the same form: TypeScript through tsx when run from source, JavaScript from dist. */
function workerEntry(): { filename: string; execArgv: string[] } {
  const extension = extname(fileURLToPath(import.meta.url));
  const filename = new URL(`./worker${extension}`, import.meta.url).href;
  if (extension !== '.ts') return { filename, execArgv: [] };
  const tsx = createRequire(import.meta.url).resolve('tsx'); // by address: the working directory may be elsewhere
  return { filename, execArgv: ['--import', pathToFileURL(tsx).href] };
}
