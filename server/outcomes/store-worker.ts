// Worker-thread entry: opens the file of tasks and carries out calls in their order until told to close. Errors of a call
// are an answer; only a fault ends the thread. Before it: store-port.ts; after it: task-store.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { openDatabase } from './database.ts';
import { answerCall, type FromStore, type StoreSetup, type ToStore } from './store-port.ts';
import { TaskStore } from './task-store.ts';

const port = parentPort!;
const say = (message: FromStore) => port.postMessage(message);

function open({ path, bounds, epochMs }: StoreSetup): void {
  const { database, putAside } = openDatabase(path, epochMs);
  const store = new TaskStore(database, bounds);
  store.prune(epochMs); // it may have lain for long, or have had other bounds
  port.on('message', ({ number, call }: ToStore) => {
    if (call === null) {
      store.close();
      say({ kind: 'answer', number, answer: { ok: true, value: null, rowCount: 0 } });
      port.close();
    } else say({ kind: 'answer', number, answer: answerCall(store, call) });
  });
  say({ kind: 'opened', putAside, rowCount: store.rowCount });
}

try {
  open(workerData as StoreSetup);
} catch (error) {
  say({ kind: 'refused', message: (error as Error).message });
  port.close();
}
