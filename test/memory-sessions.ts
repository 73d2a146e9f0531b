// A store of sessions that nodes share, in memory: what Redis does for them (server/cluster/redis-sessions.ts), on a clock that is
// given. It can be gone, come back empty, be full, and keep what a node says to itself. For tests of what nodes do with it.
import type { Clock } from '../kernels/clock.ts';
import type {
  DrawnPiece,
  Saved,
  SessionStore,
  StoredSession,
  TakenSession,
} from '../server/cluster/redis-sessions.ts';
import { MemoryLink } from './memory-link.ts';

interface Kept {
  fence: number;
  readonly owner: string;
  number: number;
  readonly position: number;
  head: Uint8Array;
  columns: Buffer[];
  drawn: Buffer;
  untilMs: number;
}

export class MemorySessions extends MemoryLink implements SessionStore {
  full = false;
  sizeTold = 0; // bytes of all changes
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #kept = new Map<string, Kept>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    super();
    this.#clock = clock;
  }

  override clear(): void {
    this.#kept.clear();
  }

  /** As one node sees it: until it is cut off, as by kill -9. */
  view(): SessionsView {
    return new SessionsView(this);
  }

  async save(
    id: string,
    { fence, owner, keepMs, after, number, position, change }: StoredSession,
  ): Promise<Saved> {
    this.reach();
    if (this.full) throw new Error('OOM command not allowed');
    const there = this.#find(id);
    if ((there?.fence ?? 0) > fence) return 'stale';
    const lacks = ({ start }: { readonly start: number }, at: number) =>
      (there?.columns[at]?.length ?? 0) < start;
    if (after !== null && (there?.fence !== fence || there.number !== after || change.columns.some(lacks)))
      return 'lost';
    this.sizeTold += change.head.length;
    const columns = change.columns.map(({ start, bytes }, at) => {
      this.sizeTold += bytes.length;
      if (start === 0) return Buffer.from(bytes);
      const before = there!.columns[at]!;
      return Buffer.concat([before.subarray(0, start), bytes, before.subarray(start + bytes.length)]);
    });
    const drawn = Buffer.alloc(0);
    const untilMs = this.#clock.nowMs() + keepMs;
    this.#kept.set(id, {
      fence,
      owner,
      number,
      position,
      head: change.head.slice(),
      columns,
      drawn,
      untilMs,
    });
    return 'kept';
  }

  async draw(id: string, { fence, number, start, bytes }: DrawnPiece): Promise<void> {
    this.reach();
    if (this.full) throw new Error('OOM command not allowed');
    const there = this.#find(id);
    if (there?.fence !== fence || there.number !== number || there.drawn.length < start) return;
    this.sizeTold += bytes.length;
    there.drawn = Buffer.concat([there.drawn.subarray(0, start), bytes]);
  }

  async take(id: string, owner: string, position: number): Promise<TakenSession | 'behind' | null> {
    this.reach();
    const there = this.#find(id);
    if (there?.owner !== owner) return null;
    if (there.position < position) return 'behind';
    there.fence++;
    return { fence: there.fence, state: { head: there.head, columns: there.columns }, drawn: there.drawn };
  }

  async forget(id: string, fence: number): Promise<void> {
    this.reach();
    if (this.#find(id)?.fence === fence) this.#kept.delete(id);
  }

  #find(id: string): Kept | null {
    const kept = this.#kept.get(id);
    return kept === undefined || kept.untilMs <= this.#clock.nowMs() ? null : kept;
  }
}

/** Nothing of this node arrives once it is cut off, and it does not know. */
export class SessionsView implements SessionStore {
  isCut = false;
  readonly #store: MemorySessions;
  #arrival: Promise<void> | null = null; // of what is on its way

  constructor(store: MemorySessions) {
    this.#store = store;
  }

  /** What this node says from now on arrives once the answer is called. */
  delay(): () => void {
    let arrive = () => {};
    this.#arrival = new Promise((resolve) => {
      arrive = resolve;
    });
    return arrive;
  }

  async save(id: string, entry: StoredSession): Promise<Saved> {
    if (this.isCut) return 'kept';
    await this.#arrival;
    return this.#store.save(id, entry);
  }

  async draw(id: string, piece: DrawnPiece): Promise<void> {
    if (!this.isCut) await this.#store.draw(id, piece);
  }

  async take(id: string, owner: string, position: number): Promise<TakenSession | 'behind' | null> {
    return this.isCut ? null : this.#store.take(id, owner, position);
  }

  async forget(id: string, fence: number): Promise<void> {
    if (!this.isCut) await this.#store.forget(id, fence);
  }
}
