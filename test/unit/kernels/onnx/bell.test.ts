import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { ring, waitForRing } from '../../../../kernels/onnx/bell.ts';

// Wakes a sleeper, `lateCount` times, without a ring: as one that counted before the sleeper looked and is only now done. Then rings.
const ringer = `
const { workerData: { counts, lateCount } } = require('node:worker_threads');
for (let woken = 0; woken < lateCount; ) woken += Atomics.notify(counts, 1);
Atomics.add(counts, 1, 1);
Atomics.notify(counts, 1);
`;

test('a sleeper that is woken late, for a ring that it has answered already, sleeps on until the next one', async () => {
  const counts = new Int32Array(new SharedArrayBuffer(8));
  ring(counts, 1);
  const first = waitForRing(counts, 1, 0); // counted before: at once
  const worker = new Worker(ringer, { eval: true, workerData: { counts, lateCount: 3 } });
  const second = waitForRing(counts, 1, first);
  expect([first, second]).toEqual([1, 2]);
  await worker.terminate();
});
