// All sessions of the server: who owns them, who listens to them, how many there may be, when an unused one goes. Owns
// ids, counts and the idle timer; never looks into a conversation. A session outlives its listener: until its idle time
// is over, or room is needed for another. Before it: native/session-desk.ts; after it: session.ts.

import type { Timer } from '../../kernels/clock.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { ReadPoint, SessionReader } from './answer-line.ts';
import { Session, type SessionParts, type SessionStart } from './session.ts';
import { askedAgain, type KeptSession } from './session-state.ts';

export interface SessionTableBounds {
  readonly sessionCountMax: number; // of all owners
  readonly sessionCountPerKeyMax: number;
  readonly sessionIdleTimeoutMs: number; // since its last message or the end of its last answer
}

export type OpenOutcome =
  | { readonly ok: true; readonly session: Session }
  | { readonly ok: false; readonly fault: Fault };

/** Whoever listens to a session: one at a time. Nothing of the session is told to it after any of these. */
export interface SessionHolder {
  readonly reader: SessionReader;
  onExpired(): void; // the idle time has closed the session
  onTaken(): void; // a newer holder has it
  onDropped(): void; // its owner has closed it from elsewhere
}

interface Entry {
  readonly session: Session;
  holder: SessionHolder | null; // null: nobody listens
}

export class SessionTable {
  readonly #parts: SessionParts;
  readonly #bounds: SessionTableBounds;
  readonly #freshId: () => string;
  readonly #entries = new Map<string, Entry>(); // by session id
  readonly #countByOwner = new Map<string, number>();
  #timer: Timer | null = null;

  /** `freshId`: an id nobody can guess and that never repeats. It gets a prefix: one that began with a dash would be a
   * flag on the command line. */
  constructor(parts: SessionParts, bounds: SessionTableBounds, freshId: () => string) {
    this.#parts = parts;
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

  /** Everybody's. */
  get all(): Iterable<Session> {
    return [...this.#entries.values()].map(({ session }) => session);
  }

  /** All sessions of an owner, in the order they were opened. */
  list(owner: string): readonly Session[] {
    return [...this.#entries.values()]
      .filter(({ session }) => session.owner === owner)
      .map(({ session }) => session);
  }

  /** At a bound, the session that nobody has listened to for longest makes room. */
  open(owner: string, holder: SessionHolder, start: SessionStart = {}): OpenOutcome {
    const refused = this.#makeRoom(owner);
    if (refused !== null) return { ok: false, fault: refused };
    const session = new Session(`sess_${this.#freshId()}`, owner, this.#parts, holder.reader, start);
    this.#entries.set(session.id, { session, holder });
    this.#countByOwner.set(owner, this.countOf(owner) + 1);
    this.#schedule();
    return { ok: true, session };
  }

  /**
   * A session from elsewhere, which nobody listens to yet. A fault (no room, or its question is refused here) leaves nothing.
   * `reader` hears its answer meanwhile; `drawn` of it is known.
   */
  adopt(
    { id, owner }: Pick<KeptSession, 'id' | 'owner'>,
    { state, drawn }: Required<Pick<SessionStart, 'state' | 'drawn'>>,
    reader: SessionReader,
  ): Fault | null {
    const refused = this.#makeRoom(owner);
    if (refused !== null) return refused;
    const session = new Session(id, owner, this.#parts, reader, { state, drawn });
    const failed =
      state.question === null
        ? null
        : session.generate(askedAgain(state.question, this.#parts.clock.nowMs(), drawn));
    if (failed !== null) {
      session.close();
      return failed;
    }
    this.#entries.set(id, { session, holder: null });
    this.#countByOwner.set(owner, this.countOf(owner) + 1);
    this.#schedule();
    return null;
  }

  /** What adopt() was for has happened: unless somebody listens by now, nobody does. */
  settle(id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.holder === null) entry.session.detach();
  }

  /** Another server has it: its holder is told, nothing else. */
  yield(session: Session): void {
    const holder = this.#entries.get(session.id)?.holder;
    this.#forget(session);
    holder?.onTaken();
  }

  /** The session goes on with another holder, from where that one says; the one before is told that it was taken. */
  resume(id: string, owner: string, holder: SessionHolder, from: ReadPoint | null): OpenOutcome {
    const entry = this.#entries.get(id);
    if (entry?.session.owner !== owner) {
      const message = `session ${JSON.stringify(id)} is not one of this key's, or has expired`;
      return { ok: false, fault: fault('unknown_session', message, { param: 'id' }) };
    }
    const refused = entry.session.attach(holder.reader, from);
    if (refused !== null) return { ok: false, fault: refused };
    const before = entry.holder;
    entry.holder = holder;
    this.touch(entry.session);
    before?.onTaken();
    return { ok: true, session: entry.session };
  }

  /** The holder is gone; the session lives on. Harmless if another has it by now. */
  release(session: Session, holder: SessionHolder): void {
    const entry = this.#entries.get(session.id);
    if (entry?.holder !== holder) return;
    entry.holder = null;
    session.detach();
  }

  /** A message for the session came: its idle time starts anew. */
  touch(session: Session): void {
    session.lastUsedMs = this.#parts.clock.nowMs();
  }

  /** The owner ends a session that somebody may be listening to. */
  drop(session: Session): void {
    const holder = this.#entries.get(session.id)?.holder;
    this.close(session);
    holder?.onDropped();
  }

  /** Ends the session's work and forgets it. Idempotent. */
  close(session: Session): void {
    if (this.#entries.has(session.id)) this.#parts.keeper?.ended(session);
    this.#forget(session);
  }

  #forget(session: Session): void {
    session.close();
    if (!this.#entries.delete(session.id)) return;
    const count = this.countOf(session.owner) - 1;
    if (count > 0) this.#countByOwner.set(session.owner, count);
    else this.#countByOwner.delete(session.owner);
    if (this.#entries.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The server is going: nobody can come back to any of them here. */
  closeAll(): void {
    for (const { session } of [...this.#entries.values()]) this.#forget(session);
  }

  /** One timer for all, at the earliest moment at which any of them can expire. */
  #schedule(): void {
    if (this.#timer !== null || this.#entries.size === 0) return;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const { session } of this.#entries.values())
      earliestMs = Math.min(earliestMs, this.#expiryMs(session));
    this.#timer = this.#parts.clock.schedule(earliestMs - this.#parts.clock.nowMs(), () => {
      this.#timer = null;
      this.#expire();
      this.#schedule();
    });
  }

  #expire(): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const { session, holder } of [...this.#entries.values()]) {
      if (this.#expiryMs(session) > nowMs) continue;
      this.close(session);
      holder?.onExpired();
    }
  }

  #makeRoom(owner: string): Fault | null {
    const { sessionCountMax, sessionCountPerKeyMax } = this.#bounds;
    if (this.countOf(owner) >= sessionCountPerKeyMax && !this.#closeAbandoned(owner)) {
      return fault('session_limit', `this key has ${sessionCountPerKeyMax} sessions, its bound`);
    }
    if (
      this.#entries.size >= sessionCountMax &&
      !this.#closeAbandoned(owner) &&
      !this.#closeAbandoned(null)
    ) {
      return fault('session_limit', `the server has ${sessionCountMax} sessions, its bound`);
    }
    return null;
  }

  /** Closes the session without listener and work that was used longest ago; `owner` null: anybody's. */
  #closeAbandoned(owner: string | null): boolean {
    let oldest: Session | null = null;
    for (const { session, holder } of this.#entries.values()) {
      if (holder !== null || session.busy || (owner !== null && session.owner !== owner)) continue;
      if (oldest === null || session.lastUsedMs < oldest.lastUsedMs) oldest = session;
    }
    if (oldest !== null) this.close(oldest);
    return oldest !== null;
  }

  /** A busy session counts as used now. */
  #expiryMs(session: Session): number {
    const usedMs = session.busy ? this.#parts.clock.nowMs() : session.lastUsedMs;
    return usedMs + this.#bounds.sessionIdleTimeoutMs;
  }
}
