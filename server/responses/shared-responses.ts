// Stored responses that nodes share: a complete one is told, one that is not here is fetched, one that its owner has deleted
// anywhere is nowhere. One that is being written is told too where another node could say the same: while its node lives it holds
// a lease, after that whoever is asked goes on with it. Its version is the fence: two nodes never write one. Before it:
// shared-past.ts; after it: store.ts and cluster/shared-records.ts.
import type { Clock, Timer } from '../../kernels/clock.ts';
import type { SharedRecords } from '../cluster/shared-records.ts';
import { type ResponseRecord, readRecord, responseBytes, storedOf } from './response-record.ts';
import type { ResponseStore, StoredResponse } from './store.ts';

/** Who goes on with a response that another node had begun. */
export interface GoesOn {
  readonly identity: string; // as OpenResponse has it
  /** It is in the store when this returns. */
  start(id: string, owner: string, record: ResponseRecord): void;
}

export interface SharedResponsesParts {
  readonly records: SharedRecords;
  readonly store: ResponseStore;
  readonly clock: Pick<Clock, 'schedule'>;
  /** `done` once no other node writes in it, or this has taken too long. */
  readonly bringConversation: (id: string, owner: string, done: (isFree: boolean) => void) => void;
}

/** `taken`: it goes on here, whoever writes it; else only where nobody does any more. */
export interface WantedResponse {
  readonly id: string;
  readonly owner: string;
  readonly taken: boolean;
}

const LEASE_MS = 2000; // so long after the loss of its node a response is that node's
const RENEW_MS = 600;

export class SharedResponses {
  readonly #parts: SharedResponsesParts;
  readonly #versions = new Map<string, number>(); // by id: what the store has of those here, or will have
  readonly #leases = new Map<string, Timer>(); // by id: of those that are being written here
  #goesOn: GoesOn | null = null;

  constructor(parts: SharedResponsesParts) {
    this.#parts = parts;
    const { store, records } = parts;
    store.keepBy({
      opened: (stored) => {
        this.#tell(stored);
        this.#hold(stored.id, stored.owner);
      },
      settled: (stored) => {
        this.#release(stored.id);
        this.#tell(stored);
      },
      deleted: ({ id, owner }) => records.delete(id, owner),
      dropped: (id) => {
        this.#release(id);
        this.#versions.delete(id);
      },
    });
    records.onUp(() => {
      for (const stored of store.all) if (stored.isOver() || stored.open !== undefined) this.#tell(stored);
    });
  }

  goOnBy(goesOn: GoesOn): void {
    this.#goesOn = goesOn;
  }

  /** What it needs to go on elsewhere is another by now. */
  changed(id: string, owner: string): void {
    const stored = this.#parts.store.get(id, owner);
    if (stored?.open !== undefined && !stored.isOver()) this.#tell(stored);
  }

  /** It is not written here any more, and not complete: another node may go on at once. */
  leave(id: string, owner: string): void {
    const { records, store } = this.#parts;
    const stored = store.get(id, owner);
    if (stored?.open === undefined) return;
    store.forget(id);
    records.lock(id, owner, { ms: 0 });
  }

  /**
   * Makes it one of this node's if it is another's; then `done`, whatever came: with what is known of one that another node
   * writes, null for one that is here or nowhere.
   */
  bring(wanted: WantedResponse, done: (elsewhere: StoredResponse | null) => void): void {
    const { id, owner } = wanted;
    const { store, records } = this.#parts;
    const here = store.get(id, owner);
    if (here !== null && !here.isOver()) {
      done(null);
      return;
    }
    const version = here === null ? -1 : (this.#versions.get(id) ?? -1);
    records.find({ id, owner, version }, (found) => {
      const isStill = store.get(id, owner) === here; // asked twice at the same time, say
      const record = found?.kind === 'record' ? readRecord(found.bytes) : null;
      if (found?.kind === 'deleted') store.forget(id);
      else if (found?.kind === 'none' && here !== null) this.#tell(here);
      else if (found?.kind === 'record' && record !== null && isStill) {
        const isFree = wanted.taken || found.lockedMs === 0;
        if (record.open !== null) {
          this.#open(wanted, { record, version: found.version, isFree }, done);
          return;
        }
        this.#adopt(id, owner, record);
        this.#versions.set(id, found.version);
      }
      done(null);
    });
  }

  /** Likewise the response that has an item of this id. */
  bringItem(itemId: string, owner: string, done: () => void): void {
    this.#parts.records.named(itemId, owner, (id) => {
      if (id === null) done();
      else this.bring({ id, owner, taken: false }, () => done());
    });
  }

  /** Goes on with it here, where that is possible. */
  #open(
    { id, owner }: WantedResponse,
    found: { readonly record: ResponseRecord; readonly version: number; readonly isFree: boolean },
    done: (elsewhere: StoredResponse | null) => void,
  ): void {
    const { record, isFree } = found;
    const { records, store, bringConversation } = this.#parts;
    const goesOn = this.#goesOn;
    const { conversationId, identity } = record.open!;
    const elsewhere = storedOf(id, owner, record);
    if (!isFree || goesOn?.identity !== identity) {
      done(elsewhere);
      return;
    }
    const version = found.version + 1;
    const take = () =>
      records.put(id, { owner, version, bytes: responseBytes(record), names: [] }, (put) => {
        if (put !== 'kept') done(elsewhere);
        else {
          store.forget(id);
          this.#versions.set(id, version); // what is told of it from here on comes after
          goesOn.start(id, owner, record);
          done(null);
        }
      });
    if (conversationId === null) take();
    else {
      bringConversation(conversationId, owner, (isFree) => {
        if (isFree) take();
        else done(elsewhere);
      });
    }
  }

  #tell({ id, owner }: StoredResponse): void {
    const { records, store } = this.#parts;
    records.tell(id, () => {
      const stored = store.get(id, owner);
      if (stored === null) return null;
      const version = (this.#versions.get(id) ?? 0) + 1;
      const wasOpen = stored.open !== undefined;
      return {
        ...{ owner, version, bytes: responseBytes(storedRecord(stored)) },
        names: [...stored.input, ...stored.output()].map((item) => String(item['id'])),
        done: (put) => {
          if (put === 'kept') {
            this.#versions.set(id, version);
            if (this.#leases.has(id)) this.#lock(id, owner);
          } else if (put === 'deleted' || wasOpen) this.#lost(id, owner);
        },
      };
    });
  }

  /** Says again and again that it is written here; hears where it is not any more. */
  #hold(id: string, owner: string): void {
    const again = () => {
      this.#lock(id, owner);
      this.#hold(id, owner);
    };
    this.#leases.set(id, this.#parts.clock.schedule(RENEW_MS, again));
  }

  #lock(id: string, owner: string): void {
    this.#parts.records.lock(id, owner, {
      ms: LEASE_MS,
      version: () => this.#versions.get(id) ?? 0,
      onLost: () => this.#lost(id, owner),
    });
  }

  #release(id: string): void {
    this.#leases.get(id)?.cancel();
    this.#leases.delete(id);
  }

  /** Another node has it, or nobody any more. */
  #lost(id: string, owner: string): void {
    const { store } = this.#parts;
    const stored = store.get(id, owner);
    store.forget(id);
    stored?.cancel();
  }

  #adopt(id: string, owner: string, record: ResponseRecord): void {
    this.#parts.store.adopt(storedOf(id, owner, record));
  }
}

function storedRecord(stored: StoredResponse): ResponseRecord {
  const { input, history, response, output, log, open, isOver } = stored;
  const isOpen = !isOver() && open !== undefined;
  return {
    ...{ input, history, response: response(), output: output() },
    log: isOver() ? (log?.kept ?? null) : null,
    open: isOpen ? open() : null,
  };
}
