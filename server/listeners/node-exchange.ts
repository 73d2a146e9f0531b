// One request that node:http has heard, as an HttpExchange: its body within bounds, its answer, what a slow reader has not
// read. Owns nothing after its connection. Before it: node-listener.ts; after it: http/door.ts.

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../kernels/clock.ts';
import { BodyPieces } from './body-pieces.ts';
import type { HttpExchange, HttpRequest } from './transport.ts';

const UNREAD_MS = 10_000; // bytes wait so long for a reader who takes none of them

interface ExchangeParts {
  readonly sendBufferSizeMax: number; // bytes
  readonly clock: Clock;
}

type ExchangeState = 'idle' | 'begun' | 'ended' | 'gone'; // ended: bytes may still wait for their reader

export class NodeExchange implements HttpExchange {
  readonly request: HttpRequest;
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #parts: ExchangeParts;
  #state: ExchangeState = 'idle';
  #blocked = false; // a write has answered false since the last drain
  #watch: Timer | null = null; // while bytes are unread
  #closeAfter = false; // the rest of the request body is not worth reading
  #flushed = false; // the head and a first piece have gone to node:http
  readonly #onDrain = (): void => {
    if (!this.#blocked) return; // response and socket may both say so
    this.#blocked = false;
    this.#endWatch();
    if (this.#state === 'begun') this.#onWritable?.();
  };
  #onAbort: (() => void) | null = null;
  #onWritable: (() => void) | null = null;

  constructor(
    message: IncomingMessage,
    response: ServerResponse,
    request: HttpRequest,
    parts: ExchangeParts,
  ) {
    this.#message = message;
    this.#response = response;
    this.#parts = parts;
    this.request = request;
    response.on('error', () => {}); // the close that follows says all
    response.on('close', () => {
      this.#endWatch();
      this.abort();
    });
    response.on('drain', this.#onDrain);
  }

  get bufferedBytes(): number {
    return this.#state === 'gone' ? 0 : this.#response.writableLength;
  }

  /** The request is whole and its answer is not. */
  get awaited(): boolean {
    return this.#state === 'begun' || (this.#state === 'idle' && this.#message.complete);
  }

  readBody(bodySizeMax: number, onBody: (body: Uint8Array | null) => void): void {
    if (this.#state !== 'idle') return;
    const tell = (body: Uint8Array | null) => {
      if (this.#state !== 'gone') onBody(body);
    };
    const body = new BodyPieces(bodySizeMax, tell, () => {
      this.#closeAfter = true;
    });
    if (body.isFlood(this.request.header('content-length'))) {
      this.#message.resume();
      body.refuse();
      return;
    }
    this.#message.on('data', (chunk: Buffer) => body.push(chunk.length, () => chunk));
    this.#message.on('end', () => body.end());
  }

  respond(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void {
    if (this.#state !== 'idle') return;
    const length = status === 204 || status === 304 ? {} : { 'content-length': `${Buffer.byteLength(body)}` };
    this.#writeHead(status, { ...headers, ...length });
    this.#end(typeof body === 'string' ? body : Buffer.from(body));
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.#state !== 'idle') return;
    this.#state = 'begun';
    this.#writeHead(status, headers); // goes out with the first bytes, in one packet
  }

  write(chunk: string | Uint8Array): boolean {
    if (this.#state !== 'begun' || chunk.length === 0) return !this.#blocked;
    const bytes = typeof chunk === 'string' ? chunk : Buffer.from(chunk); // the caller may reuse its memory
    if (!this.#send(bytes)) {
      this.#blocked = true;
      this.#watchReader();
    }
    if (this.#response.writableLength > this.#parts.sendBufferSizeMax) this.abort();
    return !this.#blocked;
  }

  end(): void {
    if (this.#state === 'begun') this.#end();
  }

  onWritable(fn: () => void): void {
    this.#onWritable = fn;
  }

  onAbort(fn: () => void): void {
    this.#onAbort = fn;
  }

  /** Closes the connection, unless the answer is through. */
  abort(): void {
    if (this.#state === 'gone') return;
    const complete = this.#state === 'ended';
    this.#state = 'gone';
    this.#blocked = false;
    if (complete && this.#response.writableFinished) return; // the connection may go on
    this.#response.destroy();
    if (!complete) this.#onAbort?.();
  }

  /**
   * node:http writes a chunk as four pieces, a tick later. Once the head is out and nothing waits in the response, the
   * same bytes go to the socket as one piece, which is cheaper and sooner. Never for HEAD, which has no body.
   */
  #send(chunk: string | Buffer): boolean {
    const response = this.#response;
    const { socket } = response;
    const isChunk = this.#flushed && response.chunkedEncoding && this.#message.method !== 'HEAD';
    if (!isChunk || typeof chunk !== 'string' || socket === null || waitsIn(response, socket)) {
      this.#flushed = true;
      return response.write(chunk);
    }
    const taken = socket.write(`${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`);
    if (!taken && !this.#blocked) socket.once('drain', this.#onDrain);
    return taken;
  }

  #writeHead(status: number, headers: Readonly<Record<string, string>>): void {
    const pairs = Object.entries(headers).flat();
    if (this.#closeAfter) pairs.push('connection', 'close');
    this.#response.writeHead(status, STATUS_CODES[status] ?? 'Status', pairs);
  }

  #end(last?: string | Uint8Array): void {
    this.#state = 'ended';
    this.#response.end(last);
    if (this.#response.writableLength > 0) this.#watchReader();
  }

  /** Closes the connection under a reader who has stopped: nobody else would, and a paused answer keeps its seat. */
  #watchReader(): void {
    if (this.#watch !== null) return;
    const { clock } = this.#parts;
    let unread = this.#unread();
    const look = () => {
      const now = this.#unread();
      if (now === unread) this.abort();
      else {
        unread = now;
        this.#watch = clock.schedule(UNREAD_MS, look);
      }
    };
    this.#watch = clock.schedule(UNREAD_MS, look);
  }

  #endWatch(): void {
    this.#watch?.cancel();
    this.#watch = null;
  }

  /** Bytes. The stream counts a write until all of it is taken; what the handle has left of it only Node's own timeouts ask. */
  #unread(): number {
    const { _handle } = this.#message.socket as {
      readonly _handle?: { readonly writeQueueSize?: number } | null;
    };
    return this.#response.writableLength + (_handle?.writeQueueSize ?? 0);
  }
}

/** Bytes that the response has not handed to its socket. */
function waitsIn({ writableLength }: ServerResponse, socket: Socket): boolean {
  return writableLength > socket.writableLength;
}
