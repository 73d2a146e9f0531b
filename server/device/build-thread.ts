// A thread that converts one model into the cache and ends, so that whoever is served meanwhile notices nothing. Before it:
// device.ts; after it: build-worker.ts.
import type { BuildProgress } from '../../models/graph/graph-files.ts';
import { startThread } from '../../models/thread-entry.ts';
import type { Config } from '../config/config.ts';

export interface BuildTask {
  readonly config: Config;
  readonly memorySize: number; // bytes
}

export type BuildNews =
  | { readonly kind: 'progress'; readonly progress: BuildProgress }
  | { readonly kind: 'built' }
  | { readonly kind: 'failed'; readonly message: string };

/** Rejects with what is wrong with the model. */
export function buildApart(task: BuildTask, onProgress: (progress: BuildProgress) => void): Promise<void> {
  const worker = startThread('./build-worker', { from: import.meta.url, name: 'build', workerData: task });
  return new Promise((resolve, reject) => {
    worker.on('message', (news: BuildNews) => {
      if (news.kind === 'progress') onProgress(news.progress);
      else if (news.kind === 'built') resolve();
      else reject(new Error(news.message));
    });
    worker.on('error', reject);
    worker.on('exit', () => reject(new Error('the thread that converts has ended')));
  });
}
