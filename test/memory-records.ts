// A store that nodes share, in memory: what Redis does for records, on a clock that is given. It can be gone, come back empty, and
// be full. For tests of what nodes do with it.
import type { Clock } from '../kernels/clock.ts';
import { createLog } from '../server/base/log.ts';
import type {
  Found,
  Put,
  RecordAsk,
  RecordLock,
  RecordStore,
  SharedRecord,
} from '../server/cluster/record-store.ts';
import { SharedRecords } from '../server/cluster/shared-records.ts';
import type { StoreLink, StoreWatcher } from '../server/cluster/store-link.ts';
import { MemoryLink } from './memory-link.ts';

interface Kept {
  owner: string;
  version: number | 'deleted';
  bytes: Uint8Array;
  names: readonly string[];
  holder: string | null;
  untilMs: number;
}

export class MemoryRecords extends MemoryLink implements RecordStore {
  readonly puts: Put[] = [];
  refusals = 0;
  full = false;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #kept = new Map<string, Kept>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    super();
    this.#clock = clock;
  }

  override clear(): void {
    this.#kept.clear();
  }

  /** As one of its nodes sees it. */
  viewOf(node: string, clock: Pick<Clock, 'schedule'>): NodeView {
    return new NodeView(this, { node, clock });
  }

  async find({ id, owner, version, holder }: RecordAsk): Promise<Found> {
    this.reach();
    const kept = this.#kept.get(id);
    if (kept?.owner !== owner) return { kind: 'none' };
    if (kept.version === 'deleted') return { kind: 'deleted' };
    const isOthers = kept.holder !== null && kept.holder !== holder;
    const lockedMs = isOthers ? Math.max(0, kept.untilMs - this.#clock.nowMs()) : 0;
    if (kept.version === version) return { kind: 'same', lockedMs };
    return { kind: 'record', version: kept.version, bytes: kept.bytes, lockedMs };
  }

  async put({ id, owner, version, bytes, names }: SharedRecord): Promise<Put> {
    this.reach();
    if (this.full) {
      this.refusals++;
      throw new Error('OOM command not allowed');
    }
    const there = this.#kept.get(id);
    const put = this.#verdict(there, owner, version);
    this.puts.push(put);
    if (put === 'kept') {
      const { holder = null, untilMs = 0 } = there ?? {};
      this.#kept.set(id, { owner, version, bytes: bytes.slice(), names, holder, untilMs });
    }
    return put;
  }

  async delete(id: string, owner: string): Promise<void> {
    this.reach();
    if ((this.#kept.get(id)?.owner ?? owner) !== owner) return;
    const gone = { bytes: new Uint8Array(), names: [], holder: null, untilMs: 0 };
    this.#kept.set(id, { owner, version: 'deleted', ...gone });
  }

  async lock(id: string, { owner, holder, ms, version }: RecordLock): Promise<boolean> {
    this.reach();
    const kept = this.#kept.get(id);
    if (kept?.owner !== owner) return true;
    if (version >= 0 && (kept.version === 'deleted' || kept.version > version)) return false;
    if (ms > 0) Object.assign(kept, { holder, untilMs: this.#clock.nowMs() + ms });
    else if (kept.holder === holder) kept.holder = null;
    return true;
  }

  async named(name: string, owner: string): Promise<string | null> {
    this.reach();
    const found = [...this.#kept].find(([, kept]) => kept.owner === owner && kept.names.includes(name));
    return found?.[0] ?? null;
  }

  #verdict(there: Kept | undefined, owner: string, version: number): Put {
    if (there === undefined) return 'kept';
    if (there.owner !== owner) return 'stale';
    if (there.version === 'deleted') return 'deleted';
    return there.version >= version ? 'stale' : 'kept';
  }
}

/** What one node has of a store: it can be cut off, as by kill -9. */
export class NodeView implements StoreLink {
  readonly records: SharedRecords;
  readonly logLines: string[] = [];
  readonly #store: MemoryRecords;
  #cut = false;

  constructor(
    store: MemoryRecords,
    { node, clock }: { readonly node: string; readonly clock: Pick<Clock, 'schedule'> },
  ) {
    this.#store = store;
    this.records = new SharedRecords({
      ...{ what: 'record', store, link: this, clock, holder: node, sizeMax: 2 ** 20 },
      log: createLog({ level: 'info', write: (line) => void this.logLines.push(line), epochMs: () => 0 }),
      ownerIdOf: (owner) => `owner ${owner}`,
    });
  }

  get up(): boolean {
    return this.#store.up && !this.#cut;
  }

  watch(watcher: StoreWatcher): void {
    this.#store.watch({
      onUp: () => {
        if (!this.#cut) watcher.onUp();
      },
      onDown: () => watcher.onDown(),
    });
  }

  cut(): void {
    this.#cut = true;
  }

  mend(): void {
    this.#cut = false;
  }
}
