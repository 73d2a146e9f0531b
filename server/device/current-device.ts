// The device that serves now, and its replacement by another one while sequences run: opens the new one, lets the engine
// move, closes the old one. One replacement at a time. Before it: admin.ts; after it: device.ts and engine/engine.ts.
import type { Backend, BackendLimits } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import { OrtError } from '../../kernels/onnx/ort-error.ts';
import { UnknownBackendError } from '../../kernels/registry.ts';
import { DoesNotFitError, WeightsPlaceError } from '../../kernels/sim/fit-error.ts';
import { UnknownShapeError } from '../../kernels/sim/shape-config.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { Log } from '../base/log.ts';
import { type Config, ConfigError } from '../config/config.ts';
import type { EngineBounds } from '../engine/engine.ts';
import type { OpenDevice } from './device.ts';

/** Which device; the rest of the config stays as the server was started with. */
export type DeviceChoice = Pick<Config, 'backend' | 'simModel' | 'simPrecision' | 'simWeights' | 'simText'>;

/** As a person asks for it: what is left out stays as it is. */
export type DeviceWish = Pick<DeviceChoice, 'backend'> & Partial<DeviceChoice>;

export interface DeviceFacts {
  readonly backend: string;
  readonly description: string;
}

export interface ReplacementReport extends DeviceFacts {
  readonly moved: number; // sequences that go on on the new device
  readonly failed: number; // sequences that are too long for it
  readonly elapsedMs: number;
}

interface CurrentDeviceParts {
  readonly first: Pick<OpenDevice, 'backend' | 'description'>;
  readonly choice: DeviceChoice; // of the first
  readonly open: ((choice: DeviceChoice) => Promise<OpenDevice>) | null; // null: it stays
  readonly archived: boolean; // blocks are kept for this device only
  readonly boundsFor: (backend: Backend) => EngineBounds;
  readonly clock: Clock;
  readonly log: Log;
}

/** The engine, as far as it can move. */
export interface MovingEngine {
  replaceBackend(
    next: Backend,
    bounds: EngineBounds,
    done: (report: { readonly moved: number; readonly failed: number }) => void,
  ): boolean;
}

const BUSY = fault('backend_busy', 'another replacement is under way', { retryAfterMs: 1000 });
const FIXED = fault(
  'backend_fixed',
  'KV blocks are kept on disk (--kv-disk-size) or shared (--cluster-kv-size), for the present device only',
);
const CLOSING = fault('draining', 'the server is shutting down');
const STAYS = fault('unsupported', 'this server was built around one device');

export class CurrentDevice {
  readonly #parts: CurrentDeviceParts;
  #device: Pick<OpenDevice, 'backend' | 'description'>;
  #choice: DeviceChoice;
  #replacing: Promise<unknown> | null = null;
  #closing = false;

  constructor(parts: CurrentDeviceParts) {
    this.#parts = parts;
    this.#device = parts.first;
    this.#choice = parts.choice;
  }

  get backend(): Backend {
    return this.#device.backend;
  }

  get name(): string {
    return this.backend.name;
  }

  get adapter(): string | undefined {
    return this.backend.adapter;
  }

  get limits(): BackendLimits {
    return this.backend.limits;
  }

  get facts(): DeviceFacts {
    return { backend: this.name, description: this.#device.description };
  }

  /** Resolves once the old device is closed; rejects with what nobody expects of opening a device. */
  async replace(engine: MovingEngine, wish: DeviceWish): Promise<Parsed<ReplacementReport>> {
    const { open, archived } = this.#parts;
    if (this.#closing) return refused(CLOSING);
    if (open === null) return refused(STAYS);
    if (archived) return refused(FIXED);
    if (this.#replacing !== null) return refused(BUSY);
    const replacing = this.#replace(engine, open, { ...this.#choice, ...wish });
    this.#replacing = replacing;
    try {
      return await replacing;
    } finally {
      this.#replacing = null;
    }
  }

  /** Waits for a replacement under way, then closes the device that serves. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#replacing?.catch(() => {}); // whoever asked for it hears of it
    await this.backend.close();
  }

  async #replace(
    engine: MovingEngine,
    open: (choice: DeviceChoice) => Promise<OpenDevice>,
    choice: DeviceChoice,
  ): Promise<Parsed<ReplacementReport>> {
    const { clock, log } = this.#parts;
    const startMs = clock.nowMs();
    const opened = await opening(open, choice);
    if (!opened.ok) return opened;
    const next = opened.value;
    const report = this.#closing ? null : await this.#move(engine, next.backend);
    if (report === null) {
      await next.backend.close();
      return refused(this.#closing ? CLOSING : BUSY);
    }
    const old = this.#device;
    this.#device = next;
    this.#choice = choice;
    await old.backend.close().catch((err: Error) => log.error('the old device did not close', { err }));
    const elapsedMs = clock.nowMs() - startMs;
    log.info('the device has been replaced', { from: old.backend.name, ...this.facts, ...report, elapsedMs });
    return { ok: true, value: { ...this.facts, ...report, elapsedMs } };
  }

  /** Null: the engine cannot move now. Closes the new device if it does not fit the engine's assertions. */
  async #move(engine: MovingEngine, next: Backend): Promise<{ moved: number; failed: number } | null> {
    try {
      return await new Promise((resolve) => {
        if (!engine.replaceBackend(next, this.#parts.boundsFor(next), resolve)) resolve(null);
      });
    } catch (error) {
      await next.close();
      throw error;
    }
  }
}

async function opening(
  open: (choice: DeviceChoice) => Promise<OpenDevice>,
  choice: DeviceChoice,
): Promise<Parsed<OpenDevice>> {
  try {
    return { ok: true, value: await open(choice) };
  } catch (error) {
    const param = fieldOf(error);
    if (param === null) throw error;
    return refused(fault('invalid_request', `${param}: ${(error as Error).message}`, { param }));
  }
}

/** What the caller can change about a device that cannot be opened; null: nothing. */
function fieldOf(error: unknown): string | null {
  if (error instanceof UnknownBackendError || error instanceof OrtError) return 'backend';
  if (error instanceof WeightsPlaceError) return 'sim_weights';
  if (error instanceof UnknownShapeError || error instanceof DoesNotFitError) return 'sim_model';
  return error instanceof ConfigError ? 'backend' : null; // this server's other settings do not suit the device
}

function refused(why: Fault): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: why };
}
