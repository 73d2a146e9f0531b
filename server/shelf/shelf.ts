// Shelf: which models are in memory. Loads one when it is asked for, one at a time, in the order of the asking; unloads the
// one that was used least recently where memory is short, and whoever was idle for too long. Owns states, leases and their
// times; never knows what a model is. Before it: whoever answers with a model; after it: its Resident.
import type { Clock, Timer } from '../../kernels/clock.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { Log } from '../base/log.ts';

/** Something that takes memory while it is loaded. */
export interface Resident {
  readonly name: string; // for people
  readonly size: number; // bytes while it is loaded, as far as is known before
  readonly keepAliveMs?: number | null; // how long it stays once nobody uses it; without it as the shelf has it
  /** `onProgress`: what it is at, in a few words. Rejects with what is wrong. */
  readonly load: (onProgress: (progress: string) => void) => Promise<void>;
  /** Only while nobody uses it; never rejects. */
  readonly unload: () => Promise<void>;
  /** Work of its own is under way, beside that of leases. */
  readonly isBusy: () => boolean;
}

export type Residence =
  | { readonly kind: 'unloaded' }
  | { readonly kind: 'loading'; readonly progress: string }
  | { readonly kind: 'loaded'; readonly idleMs: number | null; readonly expiresMs: number | null } // null: never
  | { readonly kind: 'failed'; readonly reason: string };

export interface UseOptions {
  readonly keepAliveMs?: number | null; // how long it stays once nobody uses it; null: until memory is short
  readonly onProgress?: (progress: string) => void;
}

export interface Lease {
  readonly loadMs: number; // waited for it
  /** Idempotent. */
  release(): void;
}

export interface ShelfParts {
  readonly memoryMax: number; // bytes of all residents together
  readonly idleUnloadMs: number | null; // null: only where memory is short
  readonly clock: Clock;
  readonly log: Log;
}

interface Place {
  state: Residence['kind'];
  takesMemory: boolean; // loaded, or about to be, and not wholly unloaded
  progress: string;
  reason: string;
  retryMs: number; // a failed one is tried again from then on
  leaseCount: number;
  lastUsedMs: number;
  keepAliveMs: number | null;
  timer: Timer | null;
  loading: Promise<Fault | null> | null;
  readonly listeners: Set<(progress: string) => void>;
}

const RETRY_MS = 10_000; // a model that cannot be loaded is not tried for every request
const BUSY_MS = 1000; // one with work of its own is looked at again after this

export class Shelf {
  readonly #parts: ShelfParts;
  readonly #places = new Map<Resident, Place>();
  readonly #freed = new Set<() => void>(); // loads that wait for memory
  #lastLoad: Promise<unknown> = Promise.resolve(); // loads come one after another
  #isClosing = false;

  constructor(parts: ShelfParts) {
    this.#parts = parts;
  }

  stateOf(resident: Resident): Residence {
    const { state, progress, reason, leaseCount, lastUsedMs, keepAliveMs } = this.#placeOf(resident);
    if (state === 'loading') return { kind: state, progress };
    if (state === 'failed') return { kind: state, reason };
    if (state === 'unloaded') return { kind: state };
    if (leaseCount > 0 || resident.isBusy()) return { kind: state, idleMs: null, expiresMs: keepAliveMs };
    const idleMs = this.#parts.clock.nowMs() - lastUsedMs;
    return {
      kind: state,
      idleMs,
      expiresMs: keepAliveMs === null ? null : Math.max(0, keepAliveMs - idleMs),
    };
  }

  /** Bytes of what is loaded or being loaded. */
  get usedSize(): number {
    let size = 0;
    for (const [resident, { takesMemory }] of this.#places) if (takesMemory) size += resident.size;
    return size;
  }

  /** In memory from when it resolves until the lease is released. */
  async use(resident: Resident, { keepAliveMs, onProgress }: UseOptions = {}): Promise<Parsed<Lease>> {
    const place = this.#placeOf(resident);
    const startMs = this.#parts.clock.nowMs();
    if (keepAliveMs !== undefined) place.keepAliveMs = keepAliveMs;
    place.leaseCount++; // from here on it is not unloaded
    place.timer?.cancel();
    if (onProgress !== undefined) place.listeners.add(onProgress);
    const refused = place.state === 'loaded' ? null : await this.#load(resident, place);
    if (onProgress !== undefined) place.listeners.delete(onProgress);
    if (refused !== null) {
      this.#release(resident, place);
      return { ok: false, fault: refused };
    }
    let isHeld = true;
    const release = () => {
      if (isHeld) this.#release(resident, place);
      isHeld = false;
    };
    return { ok: true, value: { loadMs: this.#parts.clock.nowMs() - startMs, release } };
  }

  /** False: somebody uses it. */
  async unload(resident: Resident): Promise<boolean> {
    const place = this.#placeOf(resident);
    if (place.state === 'unloaded' || place.state === 'failed') {
      place.state = 'unloaded';
      return true;
    }
    if (place.state === 'loading' || place.leaseCount > 0 || resident.isBusy()) return false;
    await this.#unload(resident, place, 'it was asked for');
    return true;
  }

  /** Nothing is loaded or unloaded any more; what is loaded its owner closes. */
  close(): void {
    this.#isClosing = true;
    for (const { timer } of this.#places.values()) timer?.cancel();
    for (const wake of [...this.#freed]) wake();
  }

  #placeOf(resident: Resident): Place {
    const known = this.#places.get(resident);
    if (known !== undefined) return known;
    const { keepAliveMs = this.#parts.idleUnloadMs } = resident;
    const place: Place = {
      ...{
        state: 'unloaded',
        takesMemory: false,
        progress: '',
        reason: '',
        retryMs: 0,
        leaseCount: 0,
        lastUsedMs: 0,
        keepAliveMs,
      },
      ...{ timer: null, loading: null, listeners: new Set() },
    };
    this.#places.set(resident, place);
    return place;
  }

  /** Null: it is loaded. */
  async #load(resident: Resident, place: Place): Promise<Fault | null> {
    if (place.state === 'failed' && this.#parts.clock.nowMs() < place.retryMs)
      return unloadable(resident, place.reason);
    if (place.loading === null) {
      const before = this.#lastLoad;
      place.loading = before.then(() => this.#loadNow(resident, place));
      this.#lastLoad = place.loading;
      place.state = 'loading';
      place.progress = 'waiting for another model';
    }
    return await place.loading;
  }

  async #loadNow(resident: Resident, place: Place): Promise<Fault | null> {
    const { clock, log } = this.#parts;
    const startMs = clock.nowMs();
    const tell = (progress: string) => {
      place.progress = progress;
      for (const listener of place.listeners) listener(progress);
    };
    tell('loading');
    place.takesMemory = true;
    try {
      const refused = await this.#makeRoom(resident, tell);
      if (refused !== null) {
        place.state = 'unloaded';
        place.takesMemory = false;
        return refused;
      }
      await resident.load(tell);
      place.state = 'loaded';
      place.lastUsedMs = clock.nowMs();
      log.info('a model is loaded', { model: resident.name, elapsedMs: Math.round(clock.nowMs() - startMs) });
      return null;
    } catch (error) {
      place.state = 'failed';
      place.takesMemory = false;
      place.reason = (error as Error).message;
      place.retryMs = clock.nowMs() + RETRY_MS;
      log.error('a model cannot be loaded', { model: resident.name, reason: place.reason });
      return unloadable(resident, place.reason);
    } finally {
      place.loading = null;
    }
  }

  /** Unloads until the resident fits; waits while all others are in use. */
  async #makeRoom(resident: Resident, tell: (progress: string) => void): Promise<Fault | null> {
    const { memoryMax } = this.#parts;
    if (resident.size > memoryMax) return tooLarge(resident, memoryMax);
    while (this.usedSize > memoryMax) {
      if (this.#isClosing) return fault('shutdown', 'the server is shutting down');
      const idle = this.#leastRecent(resident);
      if (idle !== null) await this.#unload(...idle, `memory is needed for ${resident.name}`);
      else {
        tell('waiting for memory that other models use');
        await this.#whenFreed();
      }
    }
    return null;
  }

  #leastRecent(except: Resident): [Resident, Place] | null {
    let least: [Resident, Place] | null = null;
    for (const [resident, place] of this.#places) {
      if (resident === except || place.state !== 'loaded' || place.leaseCount > 0 || resident.isBusy())
        continue;
      if (least === null || place.lastUsedMs < least[1].lastUsedMs) least = [resident, place];
    }
    return least;
  }

  /** Somebody may have left: at a release, or after a while, because work without a lease does not tell. */
  #whenFreed(): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#freed.delete(wake);
        resolve();
      };
      const timer = this.#parts.clock.schedule(BUSY_MS, wake);
      this.#freed.add(wake);
    });
  }

  #release(resident: Resident, place: Place): void {
    place.leaseCount--;
    place.lastUsedMs = this.#parts.clock.nowMs();
    for (const wake of [...this.#freed]) wake();
    if (place.leaseCount === 0 && place.state === 'loaded') this.#watch(resident, place, place.keepAliveMs);
  }

  #watch(resident: Resident, place: Place, delayMs: number | null): void {
    place.timer?.cancel();
    if (delayMs === null || this.#isClosing) return;
    place.timer = this.#parts.clock.schedule(delayMs, () => {
      if (place.leaseCount > 0 || place.state !== 'loaded') return;
      if (resident.isBusy()) this.#watch(resident, place, Math.max(BUSY_MS, delayMs));
      else void this.#unload(resident, place, 'it was idle');
    });
  }

  async #unload(resident: Resident, place: Place, reason: string): Promise<void> {
    place.timer?.cancel();
    place.state = 'loading'; // whoever asks for it now waits, and loads it again
    place.progress = 'being unloaded';
    const unloading = resident.unload().then(() => {
      place.state = 'unloaded';
      place.takesMemory = false;
      for (const wake of [...this.#freed]) wake();
    });
    const again = unloading.then(() => {
      place.loading = null;
      return place.leaseCount > 0 ? this.#load(resident, place) : null;
    });
    place.loading = again;
    await unloading;
    this.#parts.log.info('a model is unloaded', { model: resident.name, reason });
  }
}

function unloadable({ name }: Resident, reason: string): Fault {
  return fault('model_not_loaded', `the model ${JSON.stringify(name)} cannot be loaded: ${reason}`);
}

function tooLarge({ name, size }: Resident, memoryMax: number): Fault {
  const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  return fault(
    'model_not_loaded',
    `the model ${JSON.stringify(name)} takes ${mib(size)}, all models together may take ${mib(memoryMax)} (--models-memory-max)`,
  );
}
