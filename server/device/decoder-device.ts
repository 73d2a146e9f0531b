// DecoderDevice: a model's device that comes and goes while its engine, sessions and answers stay. Loading opens it; unloading
// moves the engine to one that sleeps, which loses the KV and nothing else. Owns which of the two it is. Before it:
// compose.ts; after it: sleeping-backend.ts, device.ts and shelf/shelf.ts.
import assert from 'node:assert/strict';
import type { Backend, BackendLimits } from '../../kernels/backend.ts';
import type { BuildProgress } from '../../models/graph/graph-files.ts';
import type { EngineBounds } from '../engine/engine.ts';
import type { Resident, Shelf } from '../shelf/shelf.ts';
import type { MovingEngine } from './current-device.ts';
import type { OpenDevice } from './device.ts';
import { SleepingBackend } from './sleeping-backend.ts';

export interface DecoderDeviceParts {
  readonly name: string; // of the model
  readonly backendName: string;
  readonly limits: BackendLimits;
  readonly size: number; // bytes while it is loaded
  readonly keepAliveMs: number | null; // once nobody uses it; null: until memory is short
  readonly shelf: Pick<Shelf, 'use'>;
  readonly open: (onProgress: (progress: BuildProgress) => void) => Promise<OpenDevice>;
}

/** The engine, as far as it matters who works on it. */
export interface ResidentEngine extends MovingEngine {
  readonly load: { readonly waitingCount: number; readonly runningCount: number };
}

export class DecoderDevice {
  readonly resident: Resident;
  readonly #parts: DecoderDeviceParts;
  #backend: SleepingBackend;
  #engine: {
    readonly engine: ResidentEngine;
    readonly boundsFor: (backend: Backend) => EngineBounds;
  } | null = null;
  #description: string | null = null;

  constructor(parts: DecoderDeviceParts) {
    this.#parts = parts;
    this.#backend = this.#sleeping();
    this.resident = {
      name: parts.name,
      size: parts.size,
      keepAliveMs: parts.keepAliveMs,
      load: (tell) => this.#load(tell),
      unload: () => this.#unload(),
      isBusy: () => {
        const { waitingCount = 0, runningCount = 0 } = this.#engine?.engine.load ?? {};
        return waitingCount + runningCount > 0;
      },
    };
  }

  /** What an engine begins with. */
  get backend(): Backend {
    return this.#backend;
  }

  /** Of the open device, for people; null: none was opened yet. */
  get description(): string | null {
    return this.#description;
  }

  /** The engine over `backend`. Once. */
  attach(engine: ResidentEngine, boundsFor: (backend: Backend) => EngineBounds): void {
    this.#engine = { engine, boundsFor };
  }

  /** Once nobody asks any more. */
  async close(): Promise<void> {
    await this.#backend.close();
  }

  #sleeping(): SleepingBackend {
    const { shelf, limits, backendName } = this.#parts;
    return new SleepingBackend(backendName, limits, async () => {
      // The engine's sequences keep it loaded from here on: the lease is for the way.
      const used = await shelf.use(this.resident);
      if (!used.ok) return used.fault.message;
      used.value.release();
      return null;
    });
  }

  async #load(tell: (progress: string) => void): Promise<void> {
    const { backend, description } = await this.#parts.open(({ doneSize, totalSize }) =>
      tell(`converting ${Math.floor((100 * doneSize) / totalSize)} %`),
    );
    const { rowTokensMax } = this.#parts.limits;
    if (backend.limits.rowTokensMax < rowTokensMax) {
      await backend.close();
      const needed = `--prefill-chunk-tokens ${backend.limits.rowTokensMax}`;
      throw new Error(`${backend.name} computes no rows of ${rowTokensMax} tokens here: it needs ${needed}`);
    }
    this.#description = description;
    this.#backend.attach(backend);
  }

  async #unload(): Promise<void> {
    const left = this.#backend;
    const next = this.#sleeping();
    this.#backend = next;
    const attached = this.#engine;
    if (attached !== null) {
      await new Promise<void>((resolve) => {
        const { engine, boundsFor } = attached;
        const moves = engine.replaceBackend(next, boundsFor(next), () => resolve());
        assert(moves, 'the engine moves for nobody else');
      });
    }
    await left.close();
  }
}
