// Stored responses that nodes share: a complete one is told, one that is not here is fetched, one that its owner has deleted
// anywhere is nowhere. Owns their form as bytes. Before it: shared-past.ts; after it: store.ts and cluster/shared-records.ts.
import type { SharedRecords } from '../cluster/shared-records.ts';
import { EventLog, type KeptEvents } from './event-log.ts';
import type { Item } from './items.ts';
import type { ResponseObject } from './response-object.ts';
import type { ResponseStore, StoredResponse } from './store.ts';

interface ResponseRecord {
  readonly form: typeof FORM;
  readonly input: readonly Item[];
  readonly history: readonly Item[];
  readonly response: ResponseObject;
  readonly output: readonly Item[];
  readonly log: KeptEvents | null;
}

const FORM = 1; // of these bytes: another one is another version's
const COMPLETE = 2; // version of a complete one: it changes no more

export class SharedResponses {
  readonly #records: SharedRecords;
  readonly #store: ResponseStore;

  constructor(records: SharedRecords, store: ResponseStore) {
    this.#records = records;
    this.#store = store;
    store.keepBy({
      settled: (stored) => this.#tell(stored),
      deleted: ({ id, owner }) => records.delete(id, owner),
    });
    records.onUp(() => {
      for (const stored of store.all) if (stored.isOver()) this.#tell(stored);
    });
  }

  /** Makes it one of this node's if it is another's; then `done`, whatever came. */
  bring(id: string, owner: string, done: () => void): void {
    const here = this.#store.get(id, owner);
    if (here !== null && !here.isOver()) {
      done();
      return;
    }
    this.#records.find({ id, owner, version: here === null ? -1 : COMPLETE }, (found) => {
      if (found?.kind === 'deleted') this.#store.forget(id);
      else if (found?.kind === 'record' && this.#store.get(id, owner) === null)
        this.#adopt(id, owner, found.bytes);
      else if (found?.kind === 'none' && here !== null) this.#tell(here);
      done();
    });
  }

  /** Likewise the response that has an item of this id. */
  bringItem(itemId: string, owner: string, done: () => void): void {
    this.#records.named(itemId, owner, (id) => {
      if (id === null) done();
      else this.bring(id, owner, done);
    });
  }

  #tell({ id, owner }: StoredResponse): void {
    const store = this.#store;
    this.#records.tell(id, () => {
      const stored = store.get(id, owner);
      if (stored === null) return null;
      return {
        ...{ owner, version: COMPLETE, bytes: bytesOf(stored) },
        names: [...stored.input, ...stored.output()].map((item) => String(item['id'])),
        done: (put) => {
          if (put === 'deleted') store.forget(id);
        },
      };
    });
  }

  #adopt(id: string, owner: string, bytes: Uint8Array): void {
    const record = recordOf(bytes);
    if (record === null) return;
    const { input, history, response, output, log } = record;
    this.#store.adopt({
      ...{ id, owner, input, history },
      response: () => response,
      output: () => output,
      isOver: () => true,
      cancel: () => {},
      ...(log !== null && { log: EventLog.of(log) }),
    });
  }
}

function bytesOf({ input, history, response, output, log }: StoredResponse): Uint8Array {
  const record: ResponseRecord = {
    ...{ form: FORM, input, history },
    ...{ response: response(), output: output(), log: log?.kept ?? null },
  };
  return Buffer.from(JSON.stringify(record));
}

/** Null for another version's, or bytes that are none of ours. */
function recordOf(bytes: Uint8Array): ResponseRecord | null {
  try {
    const record = JSON.parse(Buffer.from(bytes).toString()) as ResponseRecord;
    return record.form === FORM ? record : null;
  } catch {
    return null; // cut or altered: as good as not there
  }
}
