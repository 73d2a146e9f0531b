// One connection that speaks the native protocol. Owns the greeting, and what happens when its peer is slow, wrong or
// gone; never sees the engine. Before it: app.ts mounts it at /v1/sparklane; after it: session-desk.ts, which has its
// sessions.
import type { Timer } from '../../kernels/clock.ts';
import { ERRORS, type Fault, fault } from '../base/errors.ts';
import type { ClientMessage, MessageOf, ServerMessage } from '../client/messages.ts';
import {
  decodeClientFrame,
  encodeServerMessage,
  type FrameLabels,
  labelsOf,
  PROTOCOL_VERSION,
} from '../client/protocol.ts';
import type { SocketConnection, SocketEvents } from '../listeners/transport.ts';
import { MessageLine } from './message-line.ts';
import type { NativeService } from './native-service.ts';
import { errorMessage, type FrameWriter, toUs } from './reader.ts';
import { SessionDesk } from './session-desk.ts';

const MALFORMED_FRAMES_MAX = 8; // then the connection is closed: its peer speaks something else
const RETRY_AFTER_MS = 1000; // when too much waits behind a long text
const HELLO_TIMEOUT_MS = 10_000; // a socket that says nothing holds a connection for this long

/** `owner` is null where the upgrade carried no key and one is needed: the hello must bring it then. */
export function openNative(
  service: NativeService,
): (connection: SocketConnection, owner: string | null, admitted: () => void) => SocketEvents {
  return (connection, owner, admitted) => new NativeConnection(service, connection, { owner, admitted });
}

class NativeConnection implements SocketEvents, FrameWriter {
  readonly #service: NativeService;
  readonly #socket: SocketConnection;
  readonly #helloTimer: Timer;
  readonly #line: MessageLine;
  #desk: SessionDesk | null = null; // once greeted
  readonly #admitted: () => void; // tells that the key is known
  #owner: string | null;
  #phase: 'greeting' | 'open' | 'closed' = 'greeting';
  #behind = false; // the socket holds bytes that the peer has not read
  #malformedCount = 0;

  constructor(
    service: NativeService,
    socket: SocketConnection,
    { owner, admitted }: { readonly owner: string | null; readonly admitted: () => void },
  ) {
    this.#service = service;
    this.#socket = socket;
    this.#owner = owner;
    this.#admitted = admitted;
    this.#line = new MessageLine(service.texts, service.waitingSizeMax, (error) => {
      service.onCrash(error);
      this.#hangUp(fault('internal_error', 'an internal error; the log has it'));
    });
    this.#helloTimer = service.clock.schedule(HELLO_TIMEOUT_MS, () => {
      this.#hangUp(fault('hello_expected', `no hello within ${HELLO_TIMEOUT_MS} ms`));
    });
  }

  get ready(): boolean {
    return !this.#behind && this.#phase === 'open';
  }

  onMessage(frame: Uint8Array, isBinary: boolean): void {
    if (this.#phase === 'closed') return;
    const decoded = isBinary ? decodeClientFrame(frame, this.#service.valuesMax) : TEXT_FRAME;
    if (!decoded.ok) this.#onUnreadable(decoded.fault, decoded.labels);
    else if (this.#phase === 'open') this.#take(decoded.message, frame.length);
    else this.#onGreeting(decoded.message);
  }

  onWritable(): void {
    if (this.#phase !== 'open' || this.#socket.bufferedBytes >= this.#service.bufferSizeMax) return;
    this.#behind = false;
    this.#desk?.flush();
  }

  onClose(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#helloTimer.cancel();
    this.#line.close();
    this.#desk?.leave();
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
    this.#owner ??= apiKey === undefined ? null : this.#service.ownerOf(apiKey);
    if (this.#owner === null) return fault('invalid_api_key', 'an API key is needed');
    this.#helloTimer.cancel();
    this.#admitted();
    this.#phase = 'open';
    this.#desk = new SessionDesk(this.#service, this, this.#owner);
    this.send({ type: 'hello', version: PROTOCOL_VERSION, timeUs: this.#nowUs(), ...this.#service.hello });
    return null;
  }

  #take(message: ClientMessage, size: number): void {
    const { bring = null } = this.#service;
    const owner = this.#owner!; // greeted
    const before =
      bring !== null && message.type === 'session.resume'
        ? (done: () => void) => bring({ ...message, owner }, done)
        : null;
    if (this.#line.take(size, () => this.#onRequest(message), before)) return;
    const bound = this.#service.waitingSizeMax;
    const refused = `${bound} bytes of messages wait on this connection, as many as may: a long text is before them`;
    this.#sendFault(fault('queue_full', refused, { retryAfterMs: RETRY_AFTER_MS }), labelsOf(message));
  }

  #onRequest(message: ClientMessage): void {
    const refused = this.#answer(message);
    if (refused !== null) this.#sendFault(refused, labelsOf(message));
  }

  /** Does what the message asks, or says why not. */
  #answer(message: ClientMessage): Fault | null {
    if (message.type === 'ping') return this.#pong(message);
    if (message.type === 'hello') return fault('invalid_request', 'this connection was greeted before');
    return this.#desk!.answer(message);
  }

  #pong({ nonce }: MessageOf<'ping'>): null {
    this.send({ type: 'pong', timeUs: this.#nowUs(), ...(nonce !== undefined && { nonce }) });
    return null;
  }

  /** Says why and closes the socket. */
  #hangUp(refused: Fault): void {
    this.#sendFault(refused, {});
    this.#socket.close(ERRORS[refused.code].closeCode ?? 1002, refused.code);
    this.onClose(); // the transport calls it too, maybe much later
  }

  #sendFault(refused: Fault, labels: FrameLabels): void {
    this.send(errorMessage(refused, labels));
  }

  #nowUs(): number {
    return toUs(this.#service.clock.nowMs());
  }
}

const TEXT_FRAME = {
  ok: false,
  fault: fault('malformed_frame', 'messages are binary frames, this one is text'),
  labels: {},
} as const;
