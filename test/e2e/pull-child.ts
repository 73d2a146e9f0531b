// A puller in a process of its own, to be killed: pull-child.ts ENDPOINT CACHE NAME.
import { hostname } from 'node:os';
import { WallClock } from '../../kernels/clock.ts';
import { pullModel } from '../../server/hub/pull.ts';
import { systemDisk } from '../../server/hub/pull-disk.ts';
import { parseReference } from '../../server/hub/reference.ts';
import { undiciFetch } from '../../server/hub/undici-fetch.ts';

const [endpoint, cacheDirectory, name] = process.argv.slice(2);
const connection = undiciFetch({});
await pullModel(parseReference(name!)!, {
  settings: { endpoint: endpoint!, cacheDirectory: cacheDirectory!, token: null, offline: false },
  fetch: connection.fetch,
  clock: new WallClock(),
  epochMs: Date.now,
  note: (text) => console.error(text),
  signal: new AbortController().signal,
  disk: systemDisk,
  self: { pid: process.pid, host: hostname(), token: String(process.pid) },
  isAlive: (pid) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  },
  checkSettings: () => {},
  checkArchitecture: () => {},
  progress: { onPlan: () => {}, onSize: () => {} },
});
await connection.close();
