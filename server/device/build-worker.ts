// Worker-thread entry: converts a model into the cache, tells how far it is, and ends. Before it: build-thread.ts; after it:
// device.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { adapterChoice } from '../../models/checkpoint/lora.ts';
import { loadModel } from '../../models/model.ts';
import type { BuildNews, BuildTask } from './build-thread.ts';
import { graphFor } from './device.ts';

const { config, memorySize } = workerData as BuildTask;
const say = (news: BuildNews) => parentPort!.postMessage(news);

try {
  const model = loadModel(config.model, null, config.lora.map(adapterChoice));
  await graphFor(config, model, {
    memorySize,
    onProgress: (progress) => say({ kind: 'progress', progress }),
  });
  say({ kind: 'built' });
} catch (error) {
  say({ kind: 'failed', message: (error as Error).message });
}
