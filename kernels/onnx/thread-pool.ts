// A Piscina pool of one thread, which tells when it dies. Owns how a thread of ours starts, from source and from dist.
// Used by worker-link.ts and embedder.ts.
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SHARE_ENV } from 'node:worker_threads';
import { FixedQueue, Piscina } from 'piscina';

/** `entry`: the name of a file beside this one, without its extension, whose default export does the tasks. */
export function threadPool(
  entry: string,
  { workerData, queueMax }: { readonly workerData: unknown; readonly queueMax: number },
): Piscina {
  return new Piscina({
    ...workerEntry(entry),
    name: 'default', // of the export
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    maxQueue: queueMax,
    concurrentTasksPerWorker: 1,
    atomics: 'disabled', // steps do not come as tasks
    resourceLimits: {},
    argv: [],
    env: SHARE_ENV,
    workerData,
    taskQueue: new FixedQueue(),
    niceIncrement: 0,
    trackUnmanagedFds: true,
    closeTimeout: 0, // destroyed, never closed
    recordTiming: false,
    stricterFIFO: true,
    workerHistogram: false,
  });
}

/** In the same form: TypeScript through tsx when run from source, JavaScript from dist. */
function workerEntry(name: string): { filename: string; execArgv: string[] } {
  const extension = extname(fileURLToPath(import.meta.url));
  const filename = new URL(`./${name}${extension}`, import.meta.url).href;
  if (extension !== '.ts') return { filename, execArgv: [] };
  const tsx = createRequire(import.meta.url).resolve('tsx'); // by address: the working directory may be elsewhere
  return { filename, execArgv: ['--import', pathToFileURL(tsx).href] };
}
