// One POST to an upstream as callbacks: real sockets (undici-wire.ts) or, in tests, memory, so that retries, time-outs and
// broken answers also run in virtual time. Types only. Used by client.ts.

export interface WireEvents {
  /** `header` of a lower-case name; '' if absent. */
  onHead(status: number, header: (name: string) => string): void;
  onData(bytes: Uint8Array): void;
  onEnd(): void; // or
  onError(message: string): void; // no connection, a broken one, or abort(); nothing comes after it
}

export interface WireCall {
  abort(): void; // idempotent, harmless after the end
  pause(): void;
  resume(): void;
}

export interface UpstreamWire {
  post(body: string, events: WireEvents): WireCall;
  close(): void;
}
