// What the main thread and a worker say to each other: types only. The bulk of a step is in the StepFrame; a message
// says that it is there. Before it: replica.ts; after it: worker.ts.
import type { BackendLimits } from '../backend.ts';
import type { KvArrays, KvShape } from './kv-memory.ts';
import type { SessionHandle, SessionOptions } from './runtime.ts';
import type { StepFrame } from './step-frame.ts';

/** Everything a worker needs; sent once, before its first step. All arrays are shared memory. */
export interface WorkerSetup {
  readonly runtime: RuntimeSetup;
  readonly limits: BackendLimits;
  readonly kvShape: KvShape;
  readonly topCount: number; // K of the graph
  readonly frame: StepFrame;
  readonly blocks: KvArrays;
}

/** The C API works on shared seats with the process's one session; the binding can do neither. */
export type RuntimeSetup =
  | { readonly kind: 'c-api'; readonly session: SessionHandle; readonly seats: KvArrays }
  | { readonly kind: 'binding'; readonly options: SessionOptions };

/** Sampling parameters of one row that are no numbers, with the plan's index of the row. */
export interface RareSampling {
  readonly row: number;
  readonly logitBias: ReadonlyMap<number, number> | null;
  readonly stopTokenIds: readonly number[];
}

/**
 * What a test can make the worker do in the middle of a step: end its thread, never come back, refuse as ONNX Runtime
 * would, or fail outside of any call.
 */
export type Fault = 'exit' | 'hang' | 'throw' | 'uncaught';

export type WorkerTask =
  | { readonly kind: 'open'; readonly setup: WorkerSetup }
  | { readonly kind: 'step'; readonly rare: readonly RareSampling[] | null; readonly fault: Fault | null }
  | { readonly kind: 'close' };

export type WorkerAnswer =
  | { readonly kind: 'opened'; readonly version: string } // of ONNX Runtime
  | { readonly kind: 'stepped'; readonly deviceMs: number }
  | { readonly kind: 'failed'; readonly message: string } // this task only; the worker goes on
  | { readonly kind: 'not-open' } // a worker that took the place of a dead one between two steps
  | { readonly kind: 'closed' };
