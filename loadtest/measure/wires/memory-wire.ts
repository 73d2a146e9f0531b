// Both wires without sockets: requests go straight into a server's TransportHandlers in this process. What leaves one
// side arrives at the other with the clock's next events, so that a whole run is a pure function of its seed.
import type { Clock } from '../../../kernels/clock.ts';
import type {
  HttpExchange,
  HttpRequest,
  SocketConnection,
  SocketEvents,
  TransportHandlers,
} from '../../../server/listeners/transport.ts';
import type { HttpEvents, HttpWire, SocketWire, WireRequest, WireSocket } from './wire.ts';

const encoder = new TextEncoder();

export function memoryHttpWire(handlers: TransportHandlers, clock: Clock): HttpWire {
  return {
    send(request, events) {
      const exchange = new MemoryExchange(request, events, clock);
      clock.defer(() => {
        events.onSent();
        handlers.onRequest(exchange);
      });
      return exchange;
    },
    close: () => {},
  };
}

class MemoryExchange implements HttpExchange, WireRequest {
  readonly request: HttpRequest;
  readonly bufferedBytes = 0; // the reader is never slow
  readonly #body: Uint8Array;
  readonly #events: HttpEvents;
  readonly #clock: Clock;
  #onAbort: (() => void) | null = null;
  #phase: 'open' | 'ended' | 'aborted' = 'open';

  constructor(request: Parameters<HttpWire['send']>[0], events: HttpEvents, clock: Clock) {
    const [path = '', query = ''] = request.path.split('?');
    const header = (name: string) => request.headers[name] ?? '';
    this.request = { method: request.method, path, query, header, remoteAddress: '127.0.0.1' };
    this.#body = typeof request.body === 'string' ? encoder.encode(request.body) : request.body;
    this.#events = events;
    this.#clock = clock;
  }

  readBody(bodySizeMax: number, onBody: (body: Uint8Array | null) => void): void {
    const bytes = this.#body;
    this.#clock.defer(() => {
      if (this.#phase === 'open') onBody(bytes.length > bodySizeMax ? null : bytes);
    });
  }

  respond(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void {
    this.begin(status, headers);
    this.write(body);
    this.end();
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.#deliver(() => this.#events.onHead(status, (name) => headers[name] ?? ''));
  }

  write(chunk: string | Uint8Array): boolean {
    const bytes = typeof chunk === 'string' ? encoder.encode(chunk) : chunk.slice();
    this.#deliver(() => this.#events.onData(bytes));
    return true;
  }

  end(): void {
    if (this.#phase !== 'open') return;
    this.#deliver(() => this.#events.onEnd());
    this.#phase = 'ended';
  }

  onWritable(): void {} // never full, so never writable again

  onAbort(fn: () => void): void {
    this.#onAbort = fn;
  }

  abort(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'aborted';
    this.#clock.defer(() => {
      this.#onAbort?.();
      this.#events.onError('aborted', 'aborted by the client');
    });
  }

  #deliver(fn: () => void): void {
    if (this.#phase !== 'open') return;
    this.#clock.defer(() => {
      if (this.#phase !== 'aborted') fn();
    });
  }
}

export function memorySocketWire(handlers: TransportHandlers, clock: Clock): SocketWire {
  return {
    open(path, headers, events) {
      const socket = new MemorySocketPair(clock, events.onMessage.bind(events), events.onClose.bind(events));
      clock.defer(() => {
        const header = (name: string) => headers[name] ?? '';
        const request = { method: 'GET', path, query: '', header, remoteAddress: '127.0.0.1' };
        const decision = handlers.onUpgrade(request);
        if (!decision.accept) {
          socket.refuse(`the upgrade was answered with ${decision.status}`);
          return;
        }
        socket.accept(decision.open(socket.serverEnd(request)));
        events.onOpen();
      });
      return socket;
    },
  };
}

class MemorySocketPair implements WireSocket {
  readonly #clock: Clock;
  readonly #toClient: (frame: Uint8Array, isBinary: boolean) => void;
  readonly #clientClosed: (code: number, reason: string) => void;
  #server: SocketEvents | null = null;
  #closed = false;

  constructor(
    clock: Clock,
    toClient: (frame: Uint8Array, isBinary: boolean) => void,
    clientClosed: (code: number, reason: string) => void,
  ) {
    this.#clock = clock;
    this.#toClient = toClient;
    this.#clientClosed = clientClosed;
  }

  serverEnd(request: HttpRequest): SocketConnection {
    return {
      request,
      bufferedBytes: 0,
      send: (frame) => {
        if (this.#closed) return false;
        const isBinary = typeof frame !== 'string';
        const bytes = isBinary ? frame.slice() : encoder.encode(frame);
        this.#clock.defer(() => {
          if (!this.#closed) this.#toClient(bytes, isBinary);
        });
        return true;
      },
      close: (code, reason) => this.#close(code, reason),
    };
  }

  accept(server: SocketEvents): void {
    this.#server = server;
  }

  refuse(reason: string): void {
    this.#close(1006, reason);
  }

  send(frame: string | Uint8Array, onSent: () => void): void {
    const bytes = typeof frame === 'string' ? encoder.encode(frame) : frame.slice();
    this.#clock.defer(() => {
      if (this.#closed) return;
      onSent();
      this.#server?.onMessage(bytes, typeof frame !== 'string');
    });
  }

  close(): void {
    this.#close(1000, '');
  }

  terminate(): void {
    this.#close(1006, 'terminated');
  }

  #close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.defer(() => {
      this.#server?.onClose(code);
      this.#clientClosed(code, reason);
    });
  }
}
