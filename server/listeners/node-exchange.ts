// One request that node:http has heard, as an HttpExchange: its body within bounds, its answer, what a slow reader has not
// read. Owns nothing after its connection. Before it: node-listener.ts; after it: http/door.ts.

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Clock, Timer } from '../../kernels/clock.ts';
import { BodyPieces } from './body-pieces.ts';
import type { HttpExchange, HttpRequest } from './transport.ts';

const UNREAD_END_MS = 10_000; // an answer that is complete waits so long for a reader who takes none of it

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
  #closeAfter = false; // the rest of the request body is not worth reading
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
    response.on('close', () => this.abort());
    response.on('drain', () => {
      this.#blocked = false;
      if (this.#state === 'begun') this.#onWritable?.();
    });
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
    if (!this.#response.write(bytes)) this.#blocked = true;
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

  /** Nobody hears of this answer any more, so nobody else would close it under a reader who has stopped. */
  #watchReader(): void {
    const { clock } = this.#parts;
    let unread = this.#response.writableLength;
    let timer: Timer;
    const look = () => {
      const { writableLength } = this.#response;
      if (writableLength === unread) {
        this.abort();
        return;
      }
      unread = writableLength;
      timer = clock.schedule(UNREAD_END_MS, look);
    };
    timer = clock.schedule(UNREAD_END_MS, look);
    this.#response.on('close', () => timer.cancel());
  }
}
