// All sessions of the server: who owns them, how many there may be, when an unused one goes. Owns ids, counts and
// the idle timer; never looks into a conversation. Before it: native/connection.ts; after it: session.ts.
import type { Timer } from '../kernels/clock.ts';
import { type Fault, fault } from './errors.ts';
import { Session, type SessionReader, type SessionWorld } from './session.ts';

export interface SessionTableBounds {
  readonly sessionCountMax: number; // of all owners
  readonly sessionCountPerKeyMax: number;
  readonly sessionIdleTimeoutMs: number; // since its last message or the end of its last answer
}

export type OpenOutcome =
  | { readonly ok: true; readonly session: Session }
  | { readonly ok: false; readonly fault: Fault };

interface Entry {
  readonly session: Session;
  readonly onExpired: () => void;
}

export class SessionTable {
  readonly #world: SessionWorld;
  readonly #bounds: SessionTableBounds;
  readonly #freshId: () => string;
  readonly #entries = new Map<string, Entry>(); // by session id
  readonly #countByOwner = new Map<string, number>();
  #timer: Timer | null = null;

  /** `freshId`: an id nobody can guess and that never repeats. */
  constructor(world: SessionWorld, bounds: SessionTableBounds, freshId: () => string) {
    this.#world = world;
    this.#bounds = bounds;
    this.#freshId = freshId;
  }

  get count(): number {
    return this.#entries.size;
  }

  countOf(owner: string): number {
    return this.#countByOwner.get(owner) ?? 0;
  }

  /** Null also for a session of somebody else. */
  find(id: string, owner: string): Session | null {
    const session = this.#entries.get(id)?.session;
    return session?.owner === owner ? session : null;
  }

  /** `onExpired` is called after the idle time has closed the session. */
  open(owner: string, reader: SessionReader, onExpired: () => void): OpenOutcome {
    const { sessionCountMax, sessionCountPerKeyMax } = this.#bounds;
    if (this.#entries.size >= sessionCountMax) {
      return {
        ok: false,
        fault: fault('session_limit', `the server has ${sessionCountMax} sessions, its bound`),
      };
    }
    if (this.countOf(owner) >= sessionCountPerKeyMax) {
      const message = `this key has ${sessionCountPerKeyMax} sessions, its bound`;
      return { ok: false, fault: fault('session_limit', message) };
    }
    const session = new Session(this.#freshId(), owner, this.#world, reader);
    this.#entries.set(session.id, { session, onExpired });
    this.#countByOwner.set(owner, this.countOf(owner) + 1);
    this.#schedule();
    return { ok: true, session };
  }

  /** A message for the session came: its idle time starts anew. */
  touch(session: Session): void {
    session.lastUsedMs = this.#world.clock.nowMs();
  }

  /** Ends the session's work and forgets it. Idempotent. */
  close(session: Session): void {
    session.close();
    if (!this.#entries.delete(session.id)) return;
    const count = this.countOf(session.owner) - 1;
    if (count > 0) this.#countByOwner.set(session.owner, count);
    else this.#countByOwner.delete(session.owner);
    if (this.#entries.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** One timer for all, at the earliest moment at which any of them can expire. */
  #schedule(): void {
    if (this.#timer !== null || this.#entries.size === 0) return;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const { session } of this.#entries.values())
      earliestMs = Math.min(earliestMs, this.#expiryMs(session));
    this.#timer = this.#world.clock.schedule(earliestMs - this.#world.clock.nowMs(), () => {
      this.#timer = null;
      this.#expire();
      this.#schedule();
    });
  }

  #expire(): void {
    const nowMs = this.#world.clock.nowMs();
    for (const { session, onExpired } of [...this.#entries.values()]) {
      if (this.#expiryMs(session) > nowMs) continue;
      this.close(session);
      onExpired();
    }
  }

  /** A busy session counts as used now. */
  #expiryMs(session: Session): number {
    const usedMs = session.busy ? this.#world.clock.nowMs() : session.lastUsedMs;
    return usedMs + this.#bounds.sessionIdleTimeoutMs;
  }
}
