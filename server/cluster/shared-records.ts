// Records that nodes share, as a node sees them: it tells what it has changed, in order and one at a time for each record, and
// asks for what it has not. Owns what could not be told yet, and that an outage or a full store costs nobody anything: the node
// goes on alone, and tells it later. Knows no form of a record. Before it: responses/; after it: record-store.ts.
import type { Clock, Timer } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import type { Found, Put, RecordStore } from './record-store.ts';
import type { StoreLink } from './store-link.ts';

export interface SharedRecordsOptions {
  readonly what: string; // one of them is, for the log
  readonly store: RecordStore;
  readonly link: StoreLink;
  readonly clock: Pick<Clock, 'schedule'>;
  readonly log: Log;
  readonly ownerIdOf: (owner: string) => string; // the same on every node
  readonly holder: string; // this node, among those who lock
  readonly sizeMax: number; // bytes of one record
}

/** A record as it is when it can be told. */
export interface Telling {
  readonly owner: string;
  readonly version: number;
  readonly bytes: Uint8Array;
  readonly names: readonly string[];
  done(put: Put): void;
}

/** Null: there is nothing to tell by now. */
type Tell = () => Telling | null;

const IN_FLIGHT_SIZE_MAX = 64 * 2 ** 20; // bytes on their way to the store; beyond, what changes is told later
const RETRY_MS = 2000; // after a store that is there has refused a change: it is full, say
const MADE_JUST_NOW_MS = 50; // what another node has told its client may still be on its way
const DELETED_MAX = 4096; // latest ones, told again to a store that comes back empty
const NAME = /^[A-Za-z0-9_.:-]{1,128}$/;

export class SharedRecords {
  readonly #options: SharedRecordsOptions;
  readonly #untold = new Map<string, Tell>(); // bounded by what its node keeps
  readonly #busy = new Set<string>(); // being told: by id
  readonly #deleted = new Map<string, string>(); // id → owner, oldest first
  readonly #watchers: (() => void)[] = []; // one or two
  #inFlightSize = 0;
  #retry: Timer | null = null;

  constructor(options: SharedRecordsOptions) {
    this.#options = options;
    options.link.watch({ onUp: () => this.#onUp(), onDown: () => {} });
  }

  get up(): boolean {
    return this.#options.link.up;
  }

  /** Whenever the store is there, it may be empty. */
  onUp(retell: () => void): void {
    this.#watchers.push(retell);
    if (this.up) retell();
  }

  /** `version`: what the node has, −1 for nothing. Null where the store cannot be asked. */
  find({ id, owner, version }: Wanted, done: (found: Found | null) => void): void {
    this.#find({ id, owner, version }, (found) => {
      if (found?.kind !== 'none' || version >= 0) done(found);
      else this.#options.clock.schedule(MADE_JUST_NOW_MS, () => this.#find({ id, owner, version }, done));
    });
  }

  /** The id of the record that has this name; null also where the store cannot be asked. */
  named(name: string, owner: string, done: (id: string | null) => void): void {
    if (!this.up || !NAME.test(name)) {
      done(null);
      return;
    }
    this.#options.store.named(name, this.#options.ownerIdOf(owner)).then(done, (error: Error) => {
      this.#note('find', error);
      done(null);
    });
  }

  /** Now if possible; of several changes that wait only what they have come to. */
  tell(id: string, tell: Tell): void {
    this.#untold.set(id, tell);
    this.#tellNext(id);
  }

  delete(id: string, owner: string): void {
    this.#untold.delete(id);
    this.#deleted.set(id, owner);
    if (this.#deleted.size > DELETED_MAX) this.#deleted.delete([...this.#deleted.keys()][0]!);
    if (this.up) this.#delete(id, owner);
  }

  /** Others do not write in it for `ms`, 0 for no longer. */
  lock(id: string, owner: string, { ms, version, onLost }: Lock): void {
    // A version that is on its way is not known to be there yet; it is said again soon.
    if (!this.up || (version !== undefined && this.#busy.has(id))) return;
    const { store, ownerIdOf, holder } = this.#options;
    store.lock(id, { owner: ownerIdOf(owner), holder, ms, version: version?.() ?? -1 }).then(
      (isHeld) => {
        if (!isHeld) onLost?.();
      },
      (error: Error) => this.#note('lock', error),
    );
  }

  /** At once, past what waits to be told of it; null where the store cannot be asked. */
  put(id: string, record: Omit<Telling, 'done'>, done: (put: Put | null) => void): void {
    const { store, ownerIdOf } = this.#options;
    if (!this.up) done(null);
    else {
      store.put({ id, ...record, owner: ownerIdOf(record.owner) }).then(done, (error: Error) => {
        this.#note('put', error);
        done(null);
      });
    }
  }

  close(): void {
    this.#retry?.cancel();
  }

  #find({ id, owner, version }: Wanted, done: (found: Found | null) => void): void {
    if (!this.up) {
      done(null);
      return;
    }
    const { store, ownerIdOf, holder } = this.#options;
    store.find({ id, owner: ownerIdOf(owner), version, holder }).then(done, (error: Error) => {
      this.#note('find', error);
      done(null);
    });
  }

  #tellNext(id: string): void {
    if (!this.up || this.#busy.has(id) || this.#inFlightSize > IN_FLIGHT_SIZE_MAX) return;
    const telling = this.#untold.get(id)?.() ?? null;
    this.#untold.delete(id);
    if (telling !== null) void this.#put(id, telling);
  }

  async #put(id: string, telling: Telling): Promise<void> {
    const { store, ownerIdOf, what, sizeMax, log } = this.#options;
    const { bytes, version, done } = telling;
    if (bytes.length > sizeMax) {
      log.warn(`a ${what} is too large to be shared`, { id, size: bytes.length, sizeMax });
      return;
    }
    const names = telling.names.filter((name) => NAME.test(name));
    this.#busy.add(id);
    this.#inFlightSize += bytes.length;
    const put = await store
      .put({ id, owner: ownerIdOf(telling.owner), version, bytes, names })
      .catch((error: Error) => {
        this.#note('put', error);
        return null;
      });
    this.#busy.delete(id);
    this.#inFlightSize -= bytes.length;
    if (put !== null) done(put);
    else {
      if (!this.#untold.has(id)) this.#untold.set(id, () => telling);
      this.#retryLater();
    }
    if (put !== null && this.#untold.size > 0) this.#tellUntold();
  }

  #delete(id: string, owner: string): void {
    const { store, ownerIdOf } = this.#options;
    store.delete(id, ownerIdOf(owner)).catch((error: Error) => this.#note('delete', error));
  }

  #retryLater(): void {
    this.#retry ??= this.#options.clock.schedule(RETRY_MS, () => {
      this.#retry = null;
      this.#tellUntold();
    });
  }

  /** At once again would be refused again, as fast as the store can say so. */
  #tellUntold(): void {
    if (this.#retry !== null) return;
    for (const id of [...this.#untold.keys()]) this.#tellNext(id);
  }

  #onUp(): void {
    for (const [id, owner] of this.#deleted) this.#delete(id, owner);
    for (const retell of this.#watchers) retell();
    for (const id of [...this.#untold.keys()]) this.#tellNext(id);
  }

  #note(what: string, { message }: Error): void {
    if (!this.up) return;
    const { log, what: kind } = this.#options;
    log.warn('the nodes’ store did not answer', { what: `${what} a ${kind}`, reason: message });
  }
}

interface Lock {
  readonly ms: number;
  readonly version?: () => number; // that this node has, where another one may have taken the record
  readonly onLost?: () => void; // it has
}

interface Wanted {
  readonly id: string;
  readonly owner: string;
  readonly version: number;
}
