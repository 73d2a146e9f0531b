// Transport: bytes in, bytes out, drain, close. Types only, so that the server runs over uWebSockets.js
// (listener.ts), over node:http (node-listener.ts), or over memory in tests and in virtual time. Bodies and frames are bytes; parsing is above.

export interface HttpRequest {
  readonly method: string; // upper case
  readonly path: string; // without query
  readonly query: string; // without '?'
  header(name: string): string; // lower-case name; '' if absent
  readonly remoteAddress: string;
}

/**
 * One HTTP request being answered. Either respond() once, or begin() … write()* … end().
 * After the peer has gone (`onAbort`), every call is a harmless no-op.
 */
export interface HttpExchange {
  readonly request: HttpRequest;
  /** Calls back once with the whole body, or with null when it exceeds `bodySizeMax` bytes (answer 413 then). */
  readBody(bodySizeMax: number, onBody: (body: Uint8Array | null) => void): void;
  respond(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void;
  begin(status: number, headers: Readonly<Record<string, string>>): void;
  /** Returns false once the peer reads too slowly; onWritable tells when to go on. The bytes are kept either way. */
  write(chunk: string | Uint8Array): boolean;
  end(): void;
  readonly bufferedBytes: number; // accepted by write() and not yet by the operating system
  onWritable(fn: () => void): void;
  onAbort(fn: () => void): void; // peer closed before end(); at most once
}

/** One WebSocket, already upgraded. Frames are delivered whole. */
export interface SocketConnection {
  readonly request: HttpRequest; // of the upgrade
  /** False when the peer reads too slowly (kept, bounded by the transport) or is gone (dropped). */
  send(frame: string | Uint8Array): boolean;
  readonly bufferedBytes: number;
  close(code: number, reason: string): void;
}

export interface SocketEvents {
  onMessage(frame: Uint8Array, isBinary: boolean): void; // the bytes are only valid during the call
  onWritable(): void;
  onClose(code: number): void; // exactly once, also after close()
}

/** What the application gives the transport. */
export interface TransportHandlers {
  onRequest(exchange: HttpExchange): void;
  /** Accept by returning the path's events, or refuse with a status. */
  onUpgrade(request: HttpRequest): UpgradeDecision;
}

export type UpgradeDecision =
  | {
      readonly accept: true;
      readonly protocol: string | null; // sub-protocol to confirm
      open(connection: SocketConnection): SocketEvents;
    }
  | {
      readonly accept: false;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    };

export interface TransportBounds {
  readonly headerSizeMax: number; // bytes, an HTTP request's line and headers
  readonly frameSizeMax: number; // bytes, one incoming WebSocket frame
  readonly sendBufferSizeMax: number; // bytes, per connection; past it the connection is closed
  readonly idleTimeoutSeconds: number; // WebSocket without traffic, pings answered count as traffic
}

export interface Transport {
  /** Port 0 takes any free port. Rejects when the address cannot be bound. */
  listen(host: string, port: number, handlers: TransportHandlers): Promise<{ readonly port: number }>;
  /** Stops accepting; open exchanges and sockets go on. */
  stopListening(): void;
  /** Closes everything at once. */
  close(): void;
}
