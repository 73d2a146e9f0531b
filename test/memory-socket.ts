// A WebSocket of memory: both ends on one injected clock, frames in order, a reader that can be told to stop
// reading, bytes that pile up then, and a close that arrives like everything else: later.
import type { Clock } from '../kernels/clock.ts';
import type { ClientSocket, ClientSocketEvents, OpenSocket } from '../server/client/client.ts';
import type { HttpRequest, SocketConnection, SocketEvents } from '../server/listeners/transport.ts';

export interface MemorySocketOptions {
  readonly clock: Clock;
  readonly open: (connection: SocketConnection) => SocketEvents; // the server's end
  readonly headers?: Readonly<Record<string, string>>;
  readonly kernelSizeMax?: number; // bytes that are taken without a word while the client does not read
}

/** One connection. The client's end takes raw frames; `openSocket` puts a NativeClient on it instead. */
export class MemorySocket implements SocketConnection {
  readonly request: HttpRequest;
  /** Frames that reached the client, when no NativeClient listens. */
  readonly received: Uint8Array[] = [];
  closedWith: { readonly code: number; readonly reason: string } | null = null;
  bufferedMax = 0;
  readonly #clock: Clock;
  readonly #kernelSizeMax: number;
  readonly #server: SocketEvents;
  #client: ClientSocketEvents | null = null;
  #queue: Uint8Array[] = []; // sent by the server, not read by the client
  #queueSize = 0;
  #reading = true;
  #refused = false; // a send answered false, so a drain is owed
  #deliveryDue = false;

  constructor(options: MemorySocketOptions) {
    this.#clock = options.clock;
    this.#kernelSizeMax = options.kernelSizeMax ?? 1024;
    const headers = options.headers ?? {};
    this.request = {
      method: 'GET',
      path: '/v1/sparklane',
      query: '',
      header: (name) => headers[name] ?? '',
      remoteAddress: '127.0.0.1',
    };
    this.#server = options.open(this);
  }

  get openSocket(): OpenSocket {
    return (events) => {
      this.#client = events;
      this.#clock.defer(() => events.onOpen());
      const socket: ClientSocket = {
        send: (frame) => this.transmit(frame),
        close: (code, reason) => this.disconnect(code, reason),
      };
      return socket;
    };
  }

  get bufferedBytes(): number {
    return Math.max(0, this.#queueSize - this.#kernelSizeMax);
  }

  /** The server's end. */
  send(frame: string | Uint8Array): boolean {
    if (this.closedWith !== null) return false;
    const bytes = typeof frame === 'string' ? Buffer.from(frame) : frame.slice();
    this.#queue.push(bytes);
    this.#queueSize += bytes.length;
    this.bufferedMax = Math.max(this.bufferedMax, this.bufferedBytes);
    this.#deliverLater();
    if (this.bufferedBytes === 0) return true;
    this.#refused = true;
    return false;
  }

  /** The server's end: what was sent before still arrives. */
  close(code: number, reason: string): void {
    this.#close(code, reason);
  }

  /** The client's end sends a frame. */
  transmit(frame: Uint8Array, isBinary = true): void {
    const bytes = frame.slice();
    this.#clock.defer(() => {
      if (this.closedWith === null) this.#server.onMessage(bytes, isBinary);
      bytes.fill(0xff); // valid during the call only
    });
  }

  /** The client's end goes away. */
  disconnect(code = 1006, reason = ''): void {
    this.#clock.defer(() => this.#close(code, reason));
  }

  stopReading(): void {
    this.#reading = false;
  }

  startReading(): void {
    this.#reading = true;
    this.#deliverLater();
  }

  #deliverLater(): void {
    if (this.#deliveryDue || !this.#reading) return;
    this.#deliveryDue = true;
    this.#clock.defer(() => {
      this.#deliveryDue = false;
      if (this.#reading) this.#deliver();
    });
  }

  #deliver(): void {
    const frames = this.#queue;
    this.#queue = [];
    this.#queueSize = 0;
    for (const frame of frames) {
      if (this.#client === null) this.received.push(frame);
      else this.#client.onMessage(frame);
    }
    if (!this.#refused || this.closedWith !== null) return;
    this.#refused = false;
    this.#server.onWritable();
  }

  #close(code: number, reason: string): void {
    if (this.closedWith !== null) return;
    this.closedWith = { code, reason };
    this.#server.onClose(code);
    this.#clock.defer(() => {
      if (this.#reading) this.#deliver();
      this.#client?.onClose(code, reason);
    });
  }
}
