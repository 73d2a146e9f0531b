// The sessions of one native connection: opens, resumes, forks and closes them, and carries each message to the right
// one. Owns the numbers that the client gave them; a closed socket leaves them behind for another one. Before it:
// connection.ts; after it: sessions/session-table.ts and sessions/session.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { ClientMessage, MessageOf, SessionClosed, SessionSummary } from '../client/messages.ts';
import { labelsOf } from '../client/protocol.ts';
import type { Session, SessionStart } from '../sessions/session.ts';
import type { SessionSampling } from '../sessions/session-state.ts';
import type { OpenOutcome, SessionHolder } from '../sessions/session-table.ts';
import type { NativeService } from './native-service.ts';
import { contentOf, questionOf, replacementOf } from './question.ts';
import { type FrameWriter, Reader, toUs } from './reader.ts';

export const SESSIONS_PER_CONNECTION_MAX = 64;

const SHOWN_TOKENS = 1024; // of a session's end, unless the client says otherwise

/** A message about sessions. */
export type DeskMessage = Exclude<ClientMessage, { type: 'hello' | 'ping' }>;

interface Seat {
  readonly session: Session;
  readonly holder: SessionHolder;
}

export class SessionDesk {
  readonly #service: NativeService;
  readonly #writer: FrameWriter;
  readonly #owner: string;
  readonly #seats = new Map<number, Seat>(); // by the client's number for the session

  constructor(service: NativeService, writer: FrameWriter, owner: string) {
    this.#service = service;
    this.#writer = writer;
    this.#owner = owner;
  }

  /** Does what the message asks, or says why not. */
  answer(message: DeskMessage): Fault | null {
    switch (message.type) {
      case 'session.open':
        return this.#open(message);
      case 'session.resume':
        return this.#resume(message);
      case 'session.fork':
        return this.#fork(message);
      case 'sessions.list':
        return this.#list(message);
      case 'sessions.show':
        return this.#show(message);
      case 'sessions.drop':
        return this.#drop(message);
    }
    const seat = this.#seats.get(message.session);
    if (seat === undefined) return unknownFault(message.session);
    this.#service.sessions.touch(seat.session);
    switch (message.type) {
      case 'session.append':
        return this.#append(seat.session, message);
      case 'session.edit':
        return this.#edit(seat.session, message);
      case 'generate':
        return this.#generate(seat.session, message);
      case 'steer':
        return this.#steer(seat.session, message);
      case 'cancel':
        // A cancel that meets the generation's end on the way is no mistake: the end says what happened.
        seat.session.cancel(message.generation, message.keep ?? true);
        return null;
      case 'session.close':
        return this.#close(seat.session, message);
    }
  }

  /** The socket takes more; stops when it is full again, so that nobody always goes first. */
  flush(): void {
    for (const [label, seat] of [...this.#seats]) {
      seat.session.flush();
      if (this.#writer.ready) continue;
      this.#seats.delete(label); // to the end of the line: the others go first next time
      this.#seats.set(label, seat);
      return;
    }
  }

  /** The socket is gone: its sessions wait for another. */
  leave(): void {
    for (const { session, holder } of this.#seats.values()) this.#service.sessions.release(session, holder);
    this.#seats.clear();
  }

  #open(message: MessageOf<'session.open'>): Fault | null {
    const { session: label, sampling } = message;
    const start = sampling === undefined ? {} : { sampling };
    const opened = this.#seat(label, (holder) => this.#service.sessions.open(this.#owner, holder, start));
    if (!opened.ok) return opened.fault;
    this.#writer.send({
      type: 'session.opened',
      ...labelsOf(message),
      session: label,
      id: opened.session.id,
    });
    return null;
  }

  #resume(message: MessageOf<'session.resume'>): Fault | null {
    const { session: label, id, generation, index } = message;
    if (index !== undefined && generation === undefined) {
      return fault('invalid_request', 'index goes with generation', { param: 'index' });
    }
    const from = generation === undefined ? null : { generation, index: index ?? 0 };
    const resumed = this.#seat(label, (holder) =>
      this.#service.sessions.resume(id, this.#owner, holder, from),
    );
    if (!resumed.ok) return resumed.fault;
    const { session } = resumed;
    const { answer, tokenCount: position } = session;
    this.#writer.send({
      type: 'session.resumed',
      ...labelsOf({ ...message, generation: undefined }),
      session: label,
      id,
      position,
      generation: answer?.generation ?? null,
      nextIndex: answer?.nextIndex ?? 0,
      running: answer?.running ?? false,
    });
    session.flush();
    return null;
  }

  #fork(message: MessageOf<'session.fork'>): Fault | null {
    const { session: label, of, count } = message;
    const source = this.#seats.get(of);
    if (source === undefined) return unknownFault(of, 'of');
    const { session } = source;
    const forked = session.fork(count ?? null);
    if (!forked.ok) return forked.fault;
    const start: SessionStart = { sampling: session.sampling, transcript: forked.transcript };
    const opened = this.#seat(label, (holder) => this.#service.sessions.open(this.#owner, holder, start));
    if (!opened.ok) return opened.fault;
    const { id, tokenCount: position } = opened.session;
    this.#writer.send({ type: 'session.forked', ...labelsOf(message), session: label, id, position });
    return null;
  }

  #append(session: Session, message: MessageOf<'session.append'>): Fault | null {
    const content = contentOf(message);
    if (!content.ok) return content.fault;
    const appended = session.append(content.content);
    if (!appended.ok) return appended.fault;
    const position = session.tokenCount;
    const counts = { tokenCount: position - appended.start, position };
    this.#writer.send({
      type: 'session.appended',
      ...labelsOf(message),
      session: message.session,
      ...counts,
    });
    return null;
  }

  #edit(session: Session, message: MessageOf<'session.edit'>): Fault | null {
    const asked = replacementOf(message, this.#service.question);
    if (!asked.ok) return asked.fault;
    const edited = session.edit(message, asked.replacement);
    if (!edited.ok) return edited.fault;
    const { start } = edited;
    const position = session.tokenCount;
    const counts = { start, tokenCount: position - start, position };
    this.#writer.send({ type: 'session.edited', ...labelsOf(message), session: message.session, ...counts });
    return null;
  }

  #generate(session: Session, message: MessageOf<'generate'>): Fault | null {
    const asked = this.#questionOf(message, session.sampling);
    return asked.ok ? session.generate(asked.question) : asked.fault;
  }

  #steer(session: Session, message: MessageOf<'steer'>): Fault | null {
    const content = contentOf(message);
    if (!content.ok) return content.fault;
    const asked = this.#questionOf(message, session.sampling);
    if (!asked.ok) return asked.fault;
    const { running, keep } = message;
    return session.steer(running, keep ?? true, { content: content.content, question: asked.question });
  }

  #questionOf(message: MessageOf<'generate'> | MessageOf<'steer'>, sampling: SessionSampling) {
    return questionOf(message, sampling, this.#service.question, this.#service.clock.nowMs());
  }

  #close(session: Session, message: MessageOf<'session.close'>): null {
    this.#seats.delete(message.session);
    this.#service.sessions.close(session);
    this.#sayClosed(message.session, 'requested', labelsOf(message));
    return null;
  }

  #list({ request }: MessageOf<'sessions.list'>): null {
    const sessions = this.#service.sessions.list(this.#owner).map((session) => this.#summary(session));
    this.#writer.send({ type: 'sessions.listed', ...(request !== undefined && { request }), sessions });
    return null;
  }

  #show({ request, id, tokenCount }: MessageOf<'sessions.show'>): Fault | null {
    const session = this.#service.sessions.find(id, this.#owner);
    if (session === null) return strangerFault(id);
    this.#writer.send({
      type: 'sessions.shown',
      ...(request !== undefined && { request }),
      summary: this.#summary(session),
      text: session.tail(tokenCount ?? SHOWN_TOKENS),
    });
    return null;
  }

  #drop({ request, id }: MessageOf<'sessions.drop'>): Fault | null {
    const session = this.#service.sessions.find(id, this.#owner);
    if (session === null) return strangerFault(id);
    this.#service.sessions.drop(session);
    this.#writer.send({ type: 'sessions.dropped', ...(request !== undefined && { request }), id });
    return null;
  }

  #summary(session: Session): SessionSummary {
    const { id, tokenCount: position, attached, answer, openedMs, lastUsedMs } = session;
    const nowMs = this.#service.clock.nowMs();
    return {
      id,
      position,
      attached,
      generation: answer?.generation ?? null,
      running: answer?.running ?? false,
      ageUs: toUs(nowMs - openedMs),
      idleUs: toUs(nowMs - lastUsedMs),
    };
  }

  /** Gives the number to a session that `enter` opens or resumes with a holder of this connection. */
  #seat(label: number, enter: (holder: SessionHolder) => OpenOutcome): OpenOutcome {
    if (this.#seats.has(label)) {
      const message = `session ${label} is open on this connection`;
      return { ok: false, fault: fault('session_exists', message, { param: 'session' }) };
    }
    if (this.#seats.size >= SESSIONS_PER_CONNECTION_MAX) {
      const message = `${SESSIONS_PER_CONNECTION_MAX} sessions are open on this connection`;
      return { ok: false, fault: fault('session_limit', message) };
    }
    const holder: SessionHolder = {
      reader: new Reader(this.#writer, label),
      onExpired: () => this.#lose(label, holder, 'expired'),
      onDropped: () => this.#lose(label, holder, 'dropped'),
      onTaken: () => this.#lose(label, holder, 'taken'),
    };
    const entered = enter(holder);
    if (entered.ok) this.#seats.set(label, { session: entered.session, holder });
    return entered;
  }

  #lose(label: number, holder: SessionHolder, why: 'expired' | 'dropped' | 'taken'): void {
    if (this.#seats.get(label)?.holder === holder) this.#seats.delete(label);
    if (why === 'taken') this.#writer.send({ type: 'session.taken', session: label });
    else this.#sayClosed(label, why, {});
  }

  #sayClosed(session: number, reason: SessionClosed['reason'], labels: { readonly request?: number }): void {
    this.#writer.send({ type: 'session.closed', ...labels, session, reason });
  }
}

function unknownFault(label: number, param = 'session'): Fault {
  return fault('unknown_session', `session ${label} is not open on this connection`, { param });
}

function strangerFault(id: string): Fault {
  return fault('unknown_session', `no session of this key has the id ${JSON.stringify(id)}`, { param: 'id' });
}
