// The typed client of the native protocol: the CLI, the tests and the load tester speak through it. Owns request
// numbers, the client's side of sessions and generations, and what is promised when the socket dies; never opens a
// socket itself (web-socket.ts does, tests bring one of memory). Tokens arrive by callback, or by `for await`.
import {
  type Beginning,
  ClientSession,
  type Reply,
  type ResumePoint,
  type SessionLink,
} from './client-session.ts';
import type {
  ClientMessage,
  ErrorMessage,
  Pong,
  SamplingFields,
  ServerHello,
  ServerMessage,
  SessionSummary,
  SessionsDropped,
  SessionsListed,
  SessionsShown,
} from './messages.ts';
import { NativeError } from './native-error.ts';
import { decodeServerFrame, encodeClientMessage, PROTOCOL_VERSION } from './wire.ts';

/** The client's end of a socket. Frames are binary and whole. */
export interface ClientSocket {
  send(frame: Uint8Array): void;
  close(code: number, reason: string): void;
}

export interface ClientSocketEvents {
  onOpen(): void;
  onMessage(frame: Uint8Array): void;
  onClose(code: number, reason: string): void; // exactly once, also if it never opened
}

/** Starts connecting; the events follow, never in the caller's stack. */
export type OpenSocket = (events: ClientSocketEvents) => ClientSocket;

export interface ClientOptions {
  readonly client?: string; // name and version, for the server's log
  readonly apiKey?: string; // for the hello, where the socket could not carry it
}

type ListReply = SessionsListed | SessionsShown | SessionsDropped;

interface Pending {
  readonly resolve: (reply: Reply | ListReply | Pong) => void;
  readonly reject: (error: NativeError) => void;
}

export class NativeClient implements ClientSocketEvents, SessionLink {
  readonly #socket: ClientSocket;
  readonly #options: ClientOptions;
  readonly #greeting: { resolve: (client: NativeClient) => void; reject: (error: NativeError) => void };
  readonly #pending = new Map<number, Pending>(); // by request number
  readonly #sessions = new Map<number, ClientSession>();
  #hello: ServerHello | null = null;
  #lastError: NativeError | null = null; // of the connection itself: often says why it is being closed
  #nextNumber = 0;
  #opened = false;
  #closed = false;
  /** Errors that belong to no request, and the end of the connection. */
  onError: ((error: NativeError) => void) | null = null;

  /** Resolves once the server has greeted back; rejects with NativeError if it does not. */
  static connect(openSocket: OpenSocket, options: ClientOptions = {}): Promise<NativeClient> {
    return new Promise((resolve, reject) => new NativeClient(openSocket, options, { resolve, reject }));
  }

  private constructor(
    openSocket: OpenSocket,
    options: ClientOptions,
    greeting: { resolve: (client: NativeClient) => void; reject: (error: NativeError) => void },
  ) {
    this.#options = options;
    this.#greeting = greeting;
    this.#socket = openSocket(this);
  }

  /** What the server said of itself. */
  get hello(): ServerHello {
    return this.#hello!; // connect() hands out greeted clients only
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Usable at once: what is asked of it travels behind the opening. `sampling`: defaults of its answers. */
  open(sampling: SamplingFields = {}): ClientSession {
    return this.#begin({ type: 'session.open', sampling });
  }

  /**
   * A session from an earlier connection, by its id; another connection that has it loses it. `from`: what the client
   * has of its latest answer, which goes on in `continued()`; without it only what comes is heard. `opened` rejects
   * with unknown_session or replay_gone.
   */
  resume(id: string, from: ResumePoint | Pick<ResumePoint, 'position'> | null = null): ClientSession {
    return this.#begin({ type: 'session.resume', id, ...from });
  }

  /** For sessions. */
  fork(of: number, count?: number): ClientSession {
    return this.#begin({ type: 'session.fork', of, ...(count !== undefined && { count }) });
  }

  /** Every session of this key. */
  async sessions(): Promise<readonly SessionSummary[]> {
    const reply = await this.ask<SessionsListed>((request) => ({ type: 'sessions.list', request }));
    return reply.sessions;
  }

  /** One of them, and the text of its last tokens. Rejects with unknown_session. */
  show(id: string, tokenCount?: number): Promise<SessionsShown> {
    const count = tokenCount === undefined ? {} : { tokenCount };
    return this.ask((request) => ({ type: 'sessions.show', request, id, ...count }));
  }

  /** Ends one of them, whoever has it. Rejects with unknown_session. */
  drop(id: string): Promise<SessionsDropped> {
    return this.ask((request) => ({ type: 'sessions.drop', request, id }));
  }

  /** One round trip; `timeUs` is the server's clock. */
  ping(): Promise<Pong> {
    const nonce = this.#nextNumber++;
    return this.#promise(nonce, { type: 'ping', nonce });
  }

  /** Ends the connection and its sessions; those are kept for another connection with `keepSessions`. */
  close(options: { readonly keepSessions?: boolean } = {}): void {
    if (this.#closed) return;
    if (options.keepSessions !== true) {
      for (const session of this.#sessions.keys()) this.send({ type: 'session.close', session });
    }
    this.#socket.close(1000, '');
  }

  #begin(beginning: Beginning): ClientSession {
    const session = new ClientSession(this, this.#nextNumber++, beginning);
    this.#sessions.set(session.number, session);
    return session;
  }

  /** For sessions: sends a message whose reply carries its number. */
  ask<T extends Reply | ListReply>(message: (request: number) => ClientMessage): Promise<T> {
    const request = this.#nextNumber++;
    return this.#promise(request, message(request));
  }

  /** For sessions. Drops what a dead socket cannot take: onClose has told everyone. */
  send(message: ClientMessage): void {
    if (!this.#closed) this.#socket.send(encodeClientMessage(message));
  }

  /** For sessions: nothing more comes for this one. */
  forget(session: number): void {
    this.#sessions.delete(session);
  }

  onOpen(): void {
    this.#opened = true;
    const { client, apiKey } = this.#options;
    this.send({
      type: 'hello',
      version: { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION },
      ...(client !== undefined && { client }),
      ...(apiKey !== undefined && { apiKey }),
    });
  }

  onMessage(frame: Uint8Array): void {
    let message: ServerMessage | null;
    try {
      message = decodeServerFrame(frame);
    } catch (error) {
      this.#lastError = new NativeError('malformed_frame', (error as Error).message);
      this.#socket.close(1002, 'malformed frame');
      return;
    }
    if (message !== null) this.#route(message);
  }

  onClose(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    const closed = `the connection closed with code ${code}`;
    // Before the socket was open the reason says it all.
    const text = reason === '' ? closed : this.#opened ? `${closed}: ${reason}` : reason;
    const error = this.#lastError ?? new NativeError('connection_closed', text, { retryable: true });
    this.#greeting.reject(error);
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    for (const session of this.#sessions.values()) session.fail(error);
    this.#sessions.clear();
    this.onError?.(error);
  }

  #route(message: ServerMessage): void {
    switch (message.type) {
      case 'hello':
        this.#hello = message;
        this.#greeting.resolve(this);
        return;
      case 'tokens':
      case 'generation.end':
      case 'session.prefilled':
        this.#sessions.get(message.session)?.receive(message);
        return;
      case 'error':
        this.#onErrorMessage(message);
        return;
      case 'session.taken':
        this.#sessions.get(message.session)?.receive(message);
        return;
      case 'session.closed':
        this.#sessions.get(message.session)?.receive(message);
        this.#settle(message.request, message);
        return;
      case 'pong':
        this.#settle(message.nonce, message);
        return;
      case 'session.opened':
      case 'session.resumed':
      case 'session.forked':
      case 'session.appended':
      case 'session.edited':
      case 'sessions.listed':
      case 'sessions.shown':
      case 'sessions.dropped':
        this.#settle(message.request, message);
    }
  }

  #onErrorMessage(message: ErrorMessage): void {
    const error = NativeError.of(message);
    if (message.request !== undefined && this.#pending.has(message.request)) {
      this.#pending.get(message.request)!.reject(error);
      this.#pending.delete(message.request);
      return;
    }
    const session = message.session === undefined ? undefined : this.#sessions.get(message.session);
    if (message.generation !== undefined && session?.refuse(message.generation, error)) return;
    this.#lastError = error;
    if (this.#hello !== null) this.onError?.(error);
  }

  #settle(request: number | undefined, reply: Reply | ListReply | Pong): void {
    if (request === undefined) return;
    this.#pending.get(request)?.resolve(reply as never);
    this.#pending.delete(request);
  }

  #promise<T extends Reply | ListReply | Pong>(number: number, message: ClientMessage): Promise<T> {
    if (this.#closed) return Promise.reject(new NativeError('connection_closed', 'the connection is closed'));
    const reply = new Promise<T>((resolve, reject) => {
      // The server answers each kind of message with one kind of reply.
      this.#pending.set(number, { resolve: resolve as Pending['resolve'], reject });
    });
    reply.catch(() => {}); // whoever waits for it sees the error; nobody has to
    this.send(message);
    return reply;
  }
}
