// What the main thread and a worker say to each other. The bulk of a step is in the StepFrame; messages carry what
// is no number. Before it: worker-link.ts; after it: worker.ts.
import type { MessagePort } from 'node:worker_threads';
import { type BackendLimits, deviceFaults } from '../backend.ts';
import type { DeviceSeatMemory } from './device-seats.ts';
import type { KvArrays, KvShape } from './kv-memory.ts';
import type { SessionHandle, SessionOptions } from './runtime.ts';
import type { StepFrame } from './step-frame.ts';

/** How the tokens of a drafted row are computed: as if each came alone, or together, which is faster and rounds otherwise. */
export type GuessRounding = 'alone' | 'together';

/** Everything a worker needs; sent once, before its first step. All arrays but the scales are shared memory. */
export interface WorkerSetup {
  readonly runtime: RuntimeSetup;
  readonly limits: BackendLimits;
  readonly kvShape: KvShape;
  readonly topCount: number; // K of the graph
  readonly tellIntervalMs: number; // between two messages about rounds, at least
  readonly guesses: GuessRounding;
  readonly frame: StepFrame;
  readonly blocks: KvArrays;
}

/** The C API works on shared seats with the process's one session; the binding can do neither. */
export type RuntimeSetup =
  | DeviceSetup
  | { readonly kind: 'c-api'; readonly session: SessionHandle; readonly seats: KvArrays }
  | { readonly kind: 'binding'; readonly options: SessionOptions };

/** Sessions and seats of a device, all of them the main thread's. */
export interface DeviceSetup {
  readonly kind: 'device';
  readonly session: SessionHandle;
  readonly slice: SessionHandle; // of kv-graphs.ts, as the next
  readonly scatter: SessionHandle;
  readonly memory: DeviceSeatMemory;
}

/** Sampling parameters of one row that are no numbers, with the plan's index of the row. */
export interface RareSampling {
  readonly row: number;
  readonly logitBias: ReadonlyMap<number, number> | null;
  readonly stopTokenIds: readonly number[];
}

/** To the worker: what a step has of them. */
export interface RareMessage {
  readonly step: number; // the frame's: one that is left over from another step is thrown away
  readonly rows: readonly RareSampling[];
}

/** In the frame's order. */
export const faults = ['none', ...deviceFaults] as const;
export type WorkerFault = (typeof faults)[number];

/** The one task of a worker's life: serve steps until told to close. Rejects if the device cannot be opened. */
export interface WorkerTask {
  readonly setup: WorkerSetup;
  readonly port: MessagePort; // to the worker: RareMessage; back: WorkerAnswer
}

export type WorkerAnswer =
  | { readonly kind: 'opened'; readonly version: string } // of ONNX Runtime
  | { readonly kind: 'rounds'; readonly count: number } // so many are done by now, others follow
  | { readonly kind: 'stepped'; readonly count: number } // the last round is done; the rest is in the frame
  | { readonly kind: 'failed'; readonly message: string }; // this step only; the worker goes on
