// One connection that speaks the native protocol. Owns the greeting, the numbers that the client gave its sessions,
// and what happens when its peer is slow, wrong or gone; never sees the engine. Before it: app.ts mounts it at
// /v1/sparklane; after it: session-table.ts and session.ts. A closed socket closes its sessions.
import type { Clock, Timer } from '../../kernels/clock.ts';
import { ERRORS, type Fault, fault } from '../errors.ts';
import type { Session } from '../session.ts';
import type { SessionTable } from '../session-table.ts';
import type { SocketConnection, SocketEvents } from '../transport.ts';
import {
  type ClientMessage,
  type MessageOf,
  PROTOCOL_VERSION,
  type SamplingFields,
  type ServerHello,
  type ServerMessage,
} from './messages.ts';
import { decodeClientFrame, encodeServerMessage, type FrameLabels, labelsOf } from './protocol.ts';
import { contentOf, type QuestionBounds, questionOf } from './question.ts';
import { type FrameWriter, Reader, toUs } from './reader.ts';

/** What all native connections of a server share. */
export interface NativeWorld {
  readonly clock: Clock;
  readonly sessions: SessionTable;
  readonly hello: Omit<ServerHello, 'type' | 'version' | 'timeUs'>;
  readonly question: QuestionBounds;
  readonly bufferSizeMax: number; // unread bytes of one socket at which its answers wait
  /** Whose key this is (the name under which sessions and cached prefixes are kept); null: nobody's. */
  readonly ownerOf: (apiKey: string) => string | null;
}

export const SESSIONS_PER_CONNECTION_MAX = 64;

const MALFORMED_FRAMES_MAX = 8; // then the connection is closed: its peer speaks something else
const HELLO_TIMEOUT_MS = 10_000; // a socket that says nothing holds a connection for this long

/** `owner` is null where the upgrade carried no key and one is needed: the hello must bring it then. */
export function openNative(
  world: NativeWorld,
): (connection: SocketConnection, owner: string | null) => SocketEvents {
  return (connection, owner) => new NativeConnection(world, connection, owner);
}

/** One of the connection's sessions. */
interface Seat {
  readonly session: Session;
  readonly sampling: SamplingFields; // defaults that the client gave it
}

class NativeConnection implements SocketEvents, FrameWriter {
  readonly #world: NativeWorld;
  readonly #socket: SocketConnection;
  readonly #helloTimer: Timer;
  readonly #seats = new Map<number, Seat>(); // by the client's number for the session
  #owner: string | null;
  #phase: 'greeting' | 'open' | 'closed' = 'greeting';
  #behind = false; // the socket holds bytes that the peer has not read
  #malformedCount = 0;

  constructor(world: NativeWorld, socket: SocketConnection, owner: string | null) {
    this.#world = world;
    this.#socket = socket;
    this.#owner = owner;
    this.#helloTimer = world.clock.schedule(HELLO_TIMEOUT_MS, () => {
      this.#hangUp(fault('hello_expected', `no hello within ${HELLO_TIMEOUT_MS} ms`));
    });
  }

  get ready(): boolean {
    return !this.#behind && this.#phase === 'open';
  }

  onMessage(frame: Uint8Array, isBinary: boolean): void {
    if (this.#phase === 'closed') return;
    const decoded = isBinary ? decodeClientFrame(frame) : TEXT_FRAME;
    if (!decoded.ok) this.#onUnreadable(decoded.fault, decoded.labels);
    else if (this.#phase === 'open') this.#onRequest(decoded.message);
    else this.#onGreeting(decoded.message);
  }

  onWritable(): void {
    if (this.#phase !== 'open' || this.#socket.bufferedBytes >= this.#world.bufferSizeMax) return;
    this.#behind = false;
    for (const [label, seat] of [...this.#seats]) {
      seat.session.flush();
      if (!this.#behind) continue;
      this.#seats.delete(label); // to the end of the line: the others go first next time
      this.#seats.set(label, seat);
      return;
    }
  }

  onClose(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#helloTimer.cancel();
    for (const { session } of this.#seats.values()) this.#world.sessions.close(session);
    this.#seats.clear();
  }

  send(message: ServerMessage): void {
    this.sendFrame(encodeServerMessage(message));
  }

  sendFrame(frame: Uint8Array): void {
    if (this.#phase === 'closed') return;
    if (!this.#socket.send(frame)) this.#behind = true;
  }

  #onUnreadable(refused: Fault, labels: FrameLabels): void {
    if (refused.code === 'malformed_frame') this.#malformedCount++;
    if (this.#phase === 'greeting' || this.#malformedCount >= MALFORMED_FRAMES_MAX) this.#hangUp(refused);
    else this.#sendFault(refused, labels);
  }

  #onGreeting(message: ClientMessage): void {
    const refused =
      message.type === 'hello'
        ? this.#greet(message)
        : fault('hello_expected', `the first message is a hello, not ${message.type}`);
    if (refused !== null) this.#hangUp(refused);
  }

  #greet({ version, apiKey }: MessageOf<'hello'>): Fault | null {
    if (version.min > PROTOCOL_VERSION || version.max < PROTOCOL_VERSION) {
      const message = `this server speaks version ${PROTOCOL_VERSION}, the client ${version.min} to ${version.max}`;
      return fault('unsupported_version', message, { param: 'version' });
    }
    this.#owner ??= apiKey === undefined ? null : this.#world.ownerOf(apiKey);
    if (this.#owner === null) return fault('invalid_api_key', 'an API key is needed');
    this.#helloTimer.cancel();
    this.#phase = 'open';
    this.send({ type: 'hello', version: PROTOCOL_VERSION, timeUs: this.#nowUs(), ...this.#world.hello });
    return null;
  }

  #onRequest(message: ClientMessage): void {
    const refused = this.#answer(message);
    if (refused !== null) this.#sendFault(refused, labelsOf(message));
  }

  /** Does what the message asks, or says why not. */
  #answer(message: ClientMessage): Fault | null {
    switch (message.type) {
      case 'session.open':
        return this.#openSession(message);
      case 'session.append':
        return this.#append(message);
      case 'generate':
        return this.#generate(message);
      case 'cancel':
        return this.#cancel(message);
      case 'session.close':
        return this.#closeSession(message);
      case 'ping':
        return this.#pong(message);
      case 'hello':
        return fault('invalid_request', 'this connection was greeted before');
    }
  }

  #openSession(message: MessageOf<'session.open'>): Fault | null {
    const { session: label, sampling } = message;
    if (this.#seats.has(label)) {
      return fault('session_exists', `session ${label} is open on this connection`, { param: 'session' });
    }
    if (this.#seats.size >= SESSIONS_PER_CONNECTION_MAX) {
      return fault('session_limit', `${SESSIONS_PER_CONNECTION_MAX} sessions are open on this connection`);
    }
    const opened = this.#world.sessions.open(this.#owner!, new Reader(this, label), () => {
      this.#seats.delete(label);
      this.send({ type: 'session.closed', session: label, reason: 'expired' });
    });
    if (!opened.ok) return opened.fault;
    this.#seats.set(label, { session: opened.session, sampling: sampling ?? {} });
    this.send({ type: 'session.opened', ...labelsOf(message), session: label, id: opened.session.id });
    return null;
  }

  #append(message: MessageOf<'session.append'>): Fault | null {
    const seat = this.#seats.get(message.session);
    if (seat === undefined) return this.#unknown(message.session);
    this.#world.sessions.touch(seat.session);
    const content = contentOf(message);
    if (!content.ok) return content.fault;
    const appended = seat.session.append(content.content);
    if (!appended.ok) return appended.fault;
    const position = seat.session.tokenCount;
    const counts = { tokenCount: position - appended.start, position };
    this.send({ type: 'session.appended', ...labelsOf(message), session: message.session, ...counts });
    return null;
  }

  #generate(message: MessageOf<'generate'>): Fault | null {
    const seat = this.#seats.get(message.session);
    if (seat === undefined) return this.#unknown(message.session);
    this.#world.sessions.touch(seat.session);
    const asked = questionOf(message, seat.sampling, this.#world.question, this.#world.clock.nowMs());
    return asked.ok ? seat.session.generate(asked.question) : asked.fault;
  }

  #cancel({ session: label, generation, keep }: MessageOf<'cancel'>): Fault | null {
    const seat = this.#seats.get(label);
    if (seat === undefined) return this.#unknown(label);
    this.#world.sessions.touch(seat.session);
    // A cancel that meets the generation's end on the way is no mistake: the end says what happened.
    seat.session.cancel(generation, keep ?? true);
    return null;
  }

  #closeSession(message: MessageOf<'session.close'>): Fault | null {
    const { session: label } = message;
    const seat = this.#seats.get(label);
    if (seat === undefined) return this.#unknown(label);
    this.#seats.delete(label);
    this.#world.sessions.close(seat.session);
    this.send({ type: 'session.closed', ...labelsOf(message), session: label, reason: 'requested' });
    return null;
  }

  #pong({ nonce }: MessageOf<'ping'>): null {
    this.send({ type: 'pong', timeUs: this.#nowUs(), ...(nonce !== undefined && { nonce }) });
    return null;
  }

  #unknown(label: number): Fault {
    return fault('unknown_session', `session ${label} is not open on this connection`, { param: 'session' });
  }

  /** Says why and closes the socket. */
  #hangUp(refused: Fault): void {
    this.#sendFault(refused, {});
    this.#socket.close(ERRORS[refused.code].closeCode ?? 1002, refused.code);
    this.onClose(); // the transport calls it too, maybe much later
  }

  #sendFault({ code, message, param, retryAfterMs }: Fault, labels: FrameLabels): void {
    this.send({
      type: 'error',
      code,
      message,
      retryable: ERRORS[code].retryable,
      ...(retryAfterMs !== null && { retryAfterUs: toUs(retryAfterMs) }),
      ...(param !== null && { param }),
      ...labels,
    });
  }

  #nowUs(): number {
    return toUs(this.#world.clock.nowMs());
  }
}

const TEXT_FRAME = {
  ok: false,
  fault: fault('malformed_frame', 'messages are binary frames, this one is text'),
  labels: {},
} as const;
