// Worker-thread entry: one Piscina task in, one answer out. Opens the device once, then carries out steps. Errors of
// a step are an answer; only a fault ends the thread. Before it: replica.ts; after it: device.ts.
// The only file of ours with module state (the thread's one device) and, with replica.ts's watch on it, one of the
// few that read the time: a worker cannot be handed the main thread's clock.
import assert from 'node:assert/strict';
import { Device } from './device.ts';
import { allocateSeats } from './kv-memory.ts';
import type { Fault, WorkerAnswer, WorkerSetup, WorkerTask } from './messages.ts';
import { attachSession, OrtError, openBindingSession } from './ort.ts';
import type { Session } from './runtime.ts';

interface OpenDevice {
  readonly session: Session;
  readonly device: Device;
}

let open: OpenDevice | null = null;

/** The answer, or a promise of it where opening needs one. Rejects only if the setup cannot be opened at all. */
export default function answer(task: WorkerTask): WorkerAnswer | Promise<WorkerAnswer> {
  switch (task.kind) {
    case 'open':
      return openDevice(task.setup);
    case 'step':
      return step(task);
    case 'close':
      return closeDevice();
  }
}

function step({ rare, fault }: Extract<WorkerTask, { kind: 'step' }>): WorkerAnswer | Promise<WorkerAnswer> {
  if (open === null) return { kind: 'not-open' };
  if (fault === 'uncaught') return failUncaught();
  const startMs = performance.now();
  try {
    open.device.step(rare, fault === null ? nothing : () => act(fault));
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
  return { kind: 'stepped', deviceMs: performance.now() - startMs };
}

async function openDevice(setup: WorkerSetup): Promise<WorkerAnswer> {
  assert(open === null, 'a worker is opened once');
  const { runtime } = setup;
  const session =
    runtime.kind === 'c-api' ? attachSession(runtime.session) : await openBindingSession(runtime.options);
  const seats = runtime.kind === 'c-api' ? runtime.seats : allocateSeats(setup.kvShape, 'private');
  open = { session, device: new Device(session, seats, setup) };
  return { kind: 'opened', version: session.version };
}

function closeDevice(): WorkerAnswer {
  open?.device.release();
  open?.session.release();
  open = null;
  return { kind: 'closed' };
}

function nothing(): void {}

function act(fault: Fault): void {
  switch (fault) {
    case 'exit':
      process.exit(1);
      break;
    case 'hang':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      return;
    default:
      throw new OrtError('fail', 'injected by a test');
  }
}

function failUncaught(): Promise<never> {
  queueMicrotask(() => {
    throw new Error('injected by a test');
  });
  return new Promise(() => undefined);
}
