// Worker thread of ort.test.ts: attaches to the session of the thread that started it and runs it once.
import { parentPort, workerData } from 'node:worker_threads';
import { attachSession } from '../../../../kernels/onnx/ort.ts';
import type { SessionHandle } from '../../../../kernels/onnx/runtime.ts';

const { handle, memory } = workerData as { handle: SessionHandle; memory: SharedArrayBuffer };
const tensor = (name: string, index: number) => ({
  name,
  data: new Float32Array(memory, index * 12, 3),
  shape: [1, 3],
});
const session = attachSession(handle);
session.bind([tensor('a', 0), tensor('b', 1)], [tensor('sum', 2), tensor('product', 3)]).run();
session.release();
parentPort?.postMessage('done');
