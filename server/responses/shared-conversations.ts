// Conversations that nodes share: every change is told, what another node has made of one is fetched before anybody goes on from
// it, and while a response is written in it no other node writes there. Owns what of a conversation the store does not have yet:
// where two nodes have changed it at the same time, or a store was gone, both changes go in. Before it: shared-past.ts; after it:
// conversation-store.ts and cluster/shared-records.ts.
import type { Clock, Timer } from '../../kernels/clock.ts';
import type { Found } from '../cluster/record-store.ts';
import type { SharedRecords } from '../cluster/shared-records.ts';
import type { ConversationChange, ConversationStore, KeptConversation } from './conversation-store.ts';

interface Shared {
  version: number; // that the store has; 0: none of ours
  readonly pending: ConversationChange[]; // since then; bounded, or they are told as one
}

interface ConversationRecord {
  readonly form: typeof FORM;
  readonly kept: KeptConversation;
}

const FORM = 1;
const LEASE_MS = 2000; // so long after the loss of a node what it wrote in stays locked
const RENEW_MS = 600;
const TRIES_MAX = 5; // until a lease has run out
const PENDING_MAX = 4096; // changes of one conversation

export class SharedConversations {
  readonly #records: SharedRecords;
  readonly #store: ConversationStore;
  readonly #clock: Pick<Clock, 'schedule'>;
  readonly #shared = new Map<string, Shared>(); // by id: those of #store
  readonly #leases = new Map<string, Timer>(); // by id: those that are being written

  constructor(records: SharedRecords, store: ConversationStore, clock: Pick<Clock, 'schedule'>) {
    this.#records = records;
    this.#store = store;
    this.#clock = clock;
    store.keepBy({
      changed: (owner, id, change) => this.#changed(owner, id, change),
      writing: (owner, id, isWriting) => {
        if (isWriting) this.#lease(owner, id);
        else this.#release(owner, id);
      },
      deleted: (owner, id) => records.delete(id, owner),
      dropped: (id) => this.#shared.delete(id),
    });
    records.onUp(() => {
      for (const { owner, id } of store.all) this.#tell(owner, id);
    });
  }

  /** Makes it what it is by now, wherever it was changed; then `done`, whatever came. */
  bring(id: string, owner: string, done: () => void): void {
    const here = this.#store.peek(id, owner);
    if (here?.writing === true) {
      done(); // by this node, so nobody else does
      return;
    }
    const version = here === null ? -1 : (this.#shared.get(id)?.version ?? 0);
    this.#records.find({ id, owner, version }, (found) => {
      this.#found(id, owner, found);
      done();
    });
  }

  /** `done` with whether no other node writes in it: those that are gone do not after a while. */
  whenFree(id: string, owner: string, done: (isFree: boolean) => void, tries = TRIES_MAX): void {
    this.bring(id, owner, () => {
      const isFree = this.#store.peek(id, owner) === null || this.#store.turn(id, owner).ok;
      if (isFree || tries === 1) done(isFree);
      else this.#clock.schedule(RENEW_MS, () => this.whenFree(id, owner, done, tries - 1));
    });
  }

  #found(id: string, owner: string, found: Found | null): void {
    if (found === null) return;
    if (found.kind === 'deleted') this.#store.forget(id);
    else if (found.kind === 'none')
      this.#tell(owner, id); // lost there: it is still here
    else if (found.kind === 'same') this.#store.lockElsewhere(id, found.lockedMs);
    else this.#adopt(id, owner, found);
  }

  /** What the store has, and what of ours it has not. */
  #adopt(id: string, owner: string, { version, bytes, lockedMs }: Extract<Found, { kind: 'record' }>): void {
    const shared = this.#sharedOf(id);
    if (version <= shared.version) return; // told meanwhile
    const there = keptOf(bytes);
    if (there === null) return;
    const kept = shared.pending.reduce((all, change) => change(all), there);
    shared.version = version;
    this.#store.adopt(owner, kept, lockedMs);
    if (shared.pending.length > 0) this.#tell(owner, id);
  }

  #changed(owner: string, id: string, change: ConversationChange): void {
    const { pending } = this.#sharedOf(id);
    pending.push(change);
    if (pending.length > PENDING_MAX) {
      const kept = this.#store.peek(id, owner)!.kept;
      pending.splice(0, pending.length, () => kept); // whoever comes last has it as here
    }
    this.#tell(owner, id);
  }

  #tell(owner: string, id: string): void {
    this.#records.tell(id, () => {
      const kept = this.#store.peek(id, owner)?.kept;
      if (kept === undefined) return null;
      const shared = this.#sharedOf(id);
      const version = shared.version + 1;
      const told = shared.pending.length;
      const record: ConversationRecord = { form: FORM, kept };
      return {
        ...{ owner, version, bytes: Buffer.from(JSON.stringify(record)), names: [] },
        done: (put) => {
          if (put === 'deleted') this.#store.forget(id);
          else if (put === 'stale') this.#catchUp(owner, id);
          else {
            shared.version = version;
            shared.pending.splice(0, told);
          }
        },
      };
    });
  }

  /** Another node was quicker: on top of what it has made of it. */
  #catchUp(owner: string, id: string): void {
    const version = this.#sharedOf(id).version;
    this.#records.find({ id, owner, version }, (found) => this.#found(id, owner, found));
  }

  #lease(owner: string, id: string): void {
    this.#records.lock(id, owner, { ms: LEASE_MS });
    this.#leases.set(
      id,
      this.#clock.schedule(RENEW_MS, () => this.#lease(owner, id)),
    );
  }

  #release(owner: string, id: string): void {
    this.#leases.get(id)?.cancel();
    this.#leases.delete(id);
    this.#records.lock(id, owner, { ms: 0 });
  }

  #sharedOf(id: string): Shared {
    let shared = this.#shared.get(id);
    if (shared === undefined) {
      shared = { version: 0, pending: [] };
      this.#shared.set(id, shared);
    }
    return shared;
  }
}

/** Null for another version's, or bytes that are none of ours. */
function keptOf(bytes: Uint8Array): KeptConversation | null {
  try {
    const record = JSON.parse(Buffer.from(bytes).toString()) as ConversationRecord;
    return record.form === FORM ? record.kept : null;
  } catch {
    return null; // cut or altered: as good as not there
  }
}
