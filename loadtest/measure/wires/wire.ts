// The two kinds of connection that targets speak over, as callbacks: real sockets (undici-wire.ts, ws-wire.ts) or
// memory (memory-wire.ts), so that every protocol also runs in process and in virtual time.
import type { Clock } from '../../../kernels/clock.ts';

export interface HttpEvents {
  onSent(): void; // the last byte of the request was handed to the operating system
  onHead(status: number, header: (name: string) => string): void;
  onData(bytes: Uint8Array): void; // valid during the call only
  onEnd(): void;
  /** Instead of onEnd. `kind` is short and the same for equal causes: "connect", "reset", "aborted". */
  onError(kind: string, message: string): void;
}

export interface WireRequest {
  /** Closes the connection under the request. onError('aborted') follows. Idempotent, harmless after the end. */
  abort(): void;
}

export interface HttpWire {
  send(
    request: {
      readonly method: 'GET' | 'POST';
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string | Uint8Array;
    },
    events: HttpEvents,
  ): WireRequest;
  close(): void;
}

export interface SocketWireEvents {
  onOpen(): void;
  onMessage(frame: Uint8Array, isBinary: boolean): void;
  onClose(code: number, reason: string): void; // exactly once, also if it never opened
}

export interface WireSocket {
  send(frame: string | Uint8Array, onSent: () => void): void;
  close(): void;
  /** Drops the connection without a word, as a killed client does. */
  terminate(): void;
}

export interface SocketWire {
  open(path: string, headers: Readonly<Record<string, string>>, events: SocketWireEvents): WireSocket;
}

/** What a protocol over sockets is given. */
export interface SocketEndpoint {
  readonly wire: SocketWire;
  readonly clock: Clock;
  readonly address: string; // for people
  readonly headers: Readonly<Record<string, string>>;
}
