// Worker-thread entry: opens the device, then carries out steps until told to close. Sleeps (bell.ts) between
// steps, so nothing asynchronous runs in this thread. Errors of a step are an answer; only a fault ends the thread.
// Before it: worker-link.ts; after it: device.ts. Reads the time and, for a test's fault, ends its thread: a worker
// cannot be handed the main thread's clock.
import { receiveMessageOnPort } from 'node:worker_threads';
import { waitForRing } from './bell.ts';
import { Device } from './device.ts';
import { DeviceSeats } from './device-seats.ts';
import { allocateSeats } from './kv-memory.ts';
import {
  faults,
  type RareMessage,
  type RareSampling,
  type WorkerAnswer,
  type WorkerFault,
  type WorkerSetup,
  type WorkerTask,
} from './messages.ts';
import { attachSession, OrtError, openBindingSession } from './ort.ts';
import type { Traffic } from './runtime.ts';
import { HostSeats, type Seats } from './seats.ts';
import { carriedWords, controlWords, type StepFrame } from './step-frame.ts';

/** Resolves when the main thread closes it; rejects only if the device cannot be opened. */
export default async function serve({ setup, port }: WorkerTask): Promise<void> {
  const { runtime, frame } = setup;
  const { control } = frame;
  const traffic = { toDevice: 0, fromDevice: 0 };
  const session =
    runtime.kind === 'binding'
      ? await openBindingSession(runtime.options)
      : attachSession(runtime.session, traffic);
  const seats = seatsOf(setup, traffic);
  const device = new Device(session, seats, setup);
  const say = (answer: WorkerAnswer) => port.postMessage(answer);
  // A worker that takes a dead one's place finds the steps already counted.
  let seenCount = Atomics.load(control, controlWords.stepCount);
  say({ kind: 'opened', version: session.version });
  for (;;) {
    seenCount = waitForRing(control, controlWords.stepCount, seenCount);
    if (control[controlWords.isClosing] === 1) break;
    const times = { startMs: performance.now(), toldMs: 0 }; // the first round is told at once
    const fault = faults[control[controlWords.fault]!]!;
    try {
      if (fault === 'uncaught') await failUncaught();
      const last = device.step(
        control[controlWords.hasRare] === 1 ? receiveRare(port, control[controlWords.step]!) : null,
        fault === 'none' ? nothing : () => act(fault, device),
        (round) => {
          takeTime(frame, round, times);
          if (times.startMs < times.toldMs + setup.tellIntervalMs) return; // waking its reader costs as much as a token
          times.toldMs = times.startMs;
          say({ kind: 'rounds', count: round + 1 });
        },
      );
      takeTime(frame, last, times);
      takeTraffic(frame, traffic);
      say({ kind: 'stepped', count: last + 1 });
    } catch (error) {
      say({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    }
  }
  device.release();
  session.release();
}

function seatsOf({ runtime, kvShape: shape, blocks }: WorkerSetup, traffic: Traffic): Seats {
  if (runtime.kind !== 'device') {
    const seats = runtime.kind === 'c-api' ? runtime.seats : allocateSeats(shape, 'private');
    return new HostSeats({ shape, seats, blocks });
  }
  const slice = attachSession(runtime.slice, traffic);
  const scatter = attachSession(runtime.scatter, traffic);
  return new DeviceSeats({ shape, memory: runtime.memory, blocks, slice, scatter });
}

/** What round `round` took, up to now. */
function takeTime({ deviceMs }: StepFrame, round: number, times: { startMs: number }): void {
  const nowMs = performance.now();
  deviceMs[round] = nowMs - times.startMs;
  times.startMs = nowMs;
}

function takeTraffic({ carried }: StepFrame, traffic: Traffic): void {
  carried[carriedWords.toDevice]! += traffic.toDevice;
  carried[carriedWords.fromDevice]! += traffic.fromDevice;
  traffic.toDevice = 0;
  traffic.fromDevice = 0;
}

/** It was sent before the step was counted. */
function receiveRare(port: WorkerTask['port'], step: number): readonly RareSampling[] {
  for (;;) {
    const { message } = receiveMessageOnPort(port)! as { message: RareMessage };
    if (message.step === step) return message.rows;
  }
}

function nothing(): void {}

function act(fault: WorkerFault, device: Device): void {
  switch (fault) {
    case 'exit':
      process.exit(1);
      break;
    case 'hang':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      break;
    case 'throw':
      throw new OrtError('fail', 'injected by a test');
    case 'nan':
      device.spoil();
      break;
    default:
  }
}

function failUncaught(): Promise<never> {
  queueMicrotask(() => {
    throw new Error('injected by a test');
  });
  return new Promise(() => undefined);
}
