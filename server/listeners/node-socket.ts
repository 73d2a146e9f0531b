// WebSockets of the ws package: frames both ways, the close, pings to who is silent. Owns nothing longer than its socket
// but the round of pings; never looks into a frame. Before it: node-listener.ts; after it: http/door.ts, which says who listens.
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Clock, Timer } from '../../kernels/clock.ts';
import { closeReason } from './close-reason.ts';
import { FRAME_TOO_LARGE, frameSizeFault } from './frame-size.ts';
import type { HttpRequest, SocketConnection, SocketEvents } from './transport.ts';

const ABNORMAL = 1006; // RFC 6455 section 7.1.5: closed without a close frame
const ROUNDS = 3; // of pings within the idle timeout: one hears, one asks, one closes

export interface OpenedSocket {
  readonly ws: WebSocket;
  readonly socket: Socket; // under it
  readonly request: HttpRequest;
  readonly open: (connection: SocketConnection) => SocketEvents;
  readonly frameSizeMax: number; // bytes
  readonly sendBufferSizeMax: number; // bytes
}

/** Tells its events once each, in the order of the frames; onClose exactly once. */
export class NodeSocket implements SocketConnection {
  readonly request: HttpRequest;
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #sendBufferSizeMax: number;
  #events: SocketEvents | null = null; // null before open() has returned and after the close
  #closed = false;
  #closeCode: number | null = null; // closed before open() has returned
  #heardBytes = 0; // at the last round of pings
  #blocked = false; // bytes wait for their reader
  #asked = false; // by a ping, and silent since

  constructor({ ws, socket, request, open, frameSizeMax, sendBufferSizeMax }: OpenedSocket) {
    this.#ws = ws;
    this.#socket = socket;
    this.#sendBufferSizeMax = sendBufferSizeMax;
    this.request = request;
    ws.on('error', () => {}); // the close that follows says all
    ws.on('message', (data: Buffer, isBinary) => {
      const refused = frameSizeFault(data.length, frameSizeMax);
      if (refused === null) this.#events?.onMessage(data, isBinary);
      else this.close(FRAME_TOO_LARGE, refused);
    });
    ws.on('close', (code) => this.#tellClosed(code));
    this.#events = open(this);
    if (this.#closeCode !== null) this.#tellEvents(this.#closeCode); // closed by open() itself
  }

  get bufferedBytes(): number {
    return this.#closed ? 0 : this.#ws.bufferedAmount;
  }

  send(frame: string | Uint8Array): boolean {
    if (this.#closed || this.#ws.readyState !== this.#ws.OPEN) return false;
    const isText = typeof frame === 'string';
    // The caller may reuse its memory, and the socket keeps what the kernel does not take.
    const options = { binary: !isText, compress: false };
    this.#ws.send(isText ? frame : Buffer.from(frame), options, () => this.#taken());
    const unread = this.#ws.bufferedAmount;
    if (unread > 0) this.#blocked = true;
    if (unread > this.#sendBufferSizeMax) this.terminate();
    return !this.#blocked;
  }

  close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#ws.close(code, closeReason(reason));
    this.#tellClosed(code);
  }

  /** At once, without a close frame. */
  terminate(): void {
    this.#ws.terminate();
    this.#tellClosed(ABNORMAL);
  }

  /** One round: who has been silent for one is asked, who stays silent for another is closed. */
  ping(): void {
    if (this.#socket.bytesRead !== this.#heardBytes) {
      this.#heardBytes = this.#socket.bytesRead;
      this.#asked = false;
    } else if (this.#asked) this.terminate();
    else {
      this.#asked = true;
      this.#ws.ping();
    }
  }

  /** The system has taken a frame. */
  #taken(): void {
    if (!this.#blocked || this.#closed || this.#ws.bufferedAmount > 0) return;
    this.#blocked = false;
    this.#events?.onWritable();
  }

  #tellClosed(code: number): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#events === null) this.#closeCode = code;
    else this.#tellEvents(code);
  }

  #tellEvents(code: number): void {
    const events = this.#events;
    this.#events = null;
    events?.onClose(code);
  }
}

/** Pings all of `sockets`, so that a dead one is closed within `idleTimeoutSeconds`. Cancel to stop. */
export function pingRounds(sockets: Iterable<NodeSocket>, idleTimeoutSeconds: number, clock: Clock): Timer {
  const roundMs = (idleTimeoutSeconds * 1000) / ROUNDS;
  let timer = clock.schedule(roundMs, round);
  function round(): void {
    for (const socket of sockets) socket.ping();
    timer = clock.schedule(roundMs, round);
  }
  return { cancel: () => timer.cancel() };
}
