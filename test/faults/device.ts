// A device that fails in a running server, told so through --device-faults: a worker that ends, hangs, throws, fails
// outside of any call, or finds no number among the logits.
import { expect } from 'vitest';
import { type DeviceFault, deviceFaults } from '../../kernels/backend.ts';
import { ADMIN, type Arena, until } from './arena.ts';
import type { Family, Fault } from './fault.ts';

const PROMISES: Readonly<
  Record<DeviceFault, { readonly does: string; readonly code: string; readonly promise: string }>
> = {
  exit: {
    does: 'a worker thread ends in mid-step, five times',
    code: 'worker_died',
    promise:
      'answers that had a row in that step fail with `worker_died`; the others go on, also in its seats',
  },
  uncaught: {
    does: 'a worker fails outside of any call, five times',
    code: 'worker_died',
    promise: 'likewise',
  },
  throw: {
    does: 'the runtime refuses a step, five times',
    code: 'step_failed',
    promise: 'answers that had a row in that step fail with `step_failed`; the worker goes on',
  },
  hang: {
    does: 'a worker never comes back, twice',
    code: 'worker_hung',
    promise:
      'after `--step-timeout-ms` (here 2 s) it is replaced: its rows fail with `worker_hung`, other seats are computed again, other replicas never stop',
  },
  nan: {
    does: 'a row finds no number among its logits, five times',
    code: 'sampling_failed',
    promise: 'that answer alone fails, with `sampling_failed`; the other rows of the step go on',
  },
};

const TIMES: Readonly<Record<DeviceFault, number>> = { exit: 5, uncaught: 5, throw: 5, hang: 2, nan: 5 };

export const device: Family = {
  name: 'A worker that dies, hangs, draws no number',
  // KV that a fault takes is computed anew, in a chunk: what an earlier answer left must not tell in the next turn.
  flags: { replicas: 2, threads: 2, slots: 8, stepTimeoutMs: 2000, deviceFaults: 'on', invariance: 'full' },
  faults: deviceFaults.map(
    (kind): Fault => ({
      id: `device/${kind}`,
      does: PROMISES[kind].does,
      promise: PROMISES[kind].promise,
      casualties: 'typed',
      pace: kind === 'hang' ? 'slow' : 'quick',
      inject: (arena) => failing(arena, kind),
    }),
  ),
};

async function failing(arena: Arena, kind: DeviceFault): Promise<number> {
  const failures = `sparklane_sequences_total{reason="failed"}`;
  for (let i = 0; i < TIMES[kind]; i++) {
    const before = (await arena.metric(failures)) || 0; // not there before the first
    const told = await arena.post('/admin/fault', { fault: kind, replica: i % 2 }, {}, ADMIN);
    expect(told.status, told.text).toBe(200);
    // Somebody of ours may be hit, or of the background; either way it is told by its code.
    const ours = await arena.post('/v1/completions', { prompt: 'const a', max_tokens: 8, ignore_eos: true });
    if (ours.status !== 200) expect([ours.status, ours.json.error.code]).toEqual([500, PROMISES[kind].code]);
    await until(async () => (await arena.metric(failures)) > before);
  }
  const after = await arena.post('/v1/completions', { prompt: 'const a', max_tokens: 2 });
  expect([200, 500]).toContain(after.status);
  return TIMES[kind];
}
