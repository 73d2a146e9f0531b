// A Transport of memory: requests and WebSockets on one injected clock, with callers that can stop reading or leave.
// Same rules as server/listeners/listener.ts, and the same "kept, bounded" for a slow reader; no bytes ever leave the process.
import type { Clock } from '../kernels/clock.ts';
import type {
  HttpExchange,
  HttpRequest,
  Transport,
  TransportHandlers,
  UpgradeDecision,
} from '../server/listeners/transport.ts';
import { MemorySocket } from './memory-socket.ts';

export interface MemoryTransportOptions {
  readonly clock: Clock;
  readonly kernelSizeMax?: number; // bytes taken without a word while the caller does not read
  readonly sendBufferSizeMax?: number; // bytes beyond; then the caller is cut off
}

export interface MemoryRequest {
  readonly method?: string;
  readonly path: string; // with query
  readonly headers?: Readonly<Record<string, string>>; // lower-case names
  readonly body?: string | Uint8Array | object; // an object is sent as JSON
}

export class MemoryTransport implements Transport {
  readonly #options: Required<MemoryTransportOptions>;
  readonly #open = new Set<MemoryCall>();
  #handlers: TransportHandlers | null = null;

  constructor(options: MemoryTransportOptions) {
    this.#options = { kernelSizeMax: 1024, sendBufferSizeMax: 2 ** 20, ...options };
  }

  async listen(_host: string, port: number, handlers: TransportHandlers): Promise<{ readonly port: number }> {
    this.#handlers = handlers;
    return { port: port === 0 ? 1 : port };
  }

  stopListening(): void {
    this.#handlers = null;
  }

  close(): void {
    this.stopListening();
    for (const call of this.#open) call.leave();
  }

  /** Sends a request; it arrives with the clock's next events. */
  call(request: MemoryRequest): MemoryCall {
    const handlers = this.#listening();
    const call = new MemoryCall(request, this.#options, () => this.#open.delete(call));
    this.#open.add(call);
    this.#options.clock.defer(() => handlers.onRequest(call.exchange));
    return call;
  }

  /** Asks for an upgrade; at once. */
  upgrade(
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): MemorySocket | Extract<UpgradeDecision, { readonly accept: false }> {
    const decision = this.#listening().onUpgrade(requestOf({ method: 'GET', path, headers }));
    if (!decision.accept) return decision;
    const { clock, kernelSizeMax } = this.#options;
    return new MemorySocket({ clock, kernelSizeMax, headers, open: decision.open });
  }

  #listening(): TransportHandlers {
    if (this.#handlers === null) throw new Error('connection refused: nobody is listening');
    return this.#handlers;
  }
}

/** One HTTP request as its caller sees it. `exchange` is the server's end. */
export class MemoryCall {
  readonly exchange: HttpExchange;
  status = 0; // 0: no answer yet
  headers: Readonly<Record<string, string>> = {};
  ended = false; // the whole answer is here
  cutOff = false; // closed before the end
  bufferedMax = 0; // most bytes the server ever held for this caller
  #text = '';
  readonly #clock: Clock;
  readonly #kernelSizeMax: number;
  readonly #sendBufferSizeMax: number;
  readonly #onOver: () => void;
  readonly #body: Uint8Array;
  readonly #waiting: (() => void)[] = [];
  #state: 'idle' | 'begun' | 'ended' | 'gone' = 'idle';
  #queue: Buffer[] = [];
  #queueSize = 0;
  #reading = true;
  #refused = false; // a write answered false, so a drain is owed
  #onAbort: (() => void) | null = null;
  #onWritable: (() => void) | null = null;

  constructor(request: MemoryRequest, options: Required<MemoryTransportOptions>, onOver: () => void) {
    this.#clock = options.clock;
    this.#kernelSizeMax = options.kernelSizeMax;
    this.#sendBufferSizeMax = options.sendBufferSizeMax;
    this.#onOver = onOver;
    const { body = '' } = request;
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    this.#body = raw ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
    this.exchange = this.#serverEnd(
      requestOf(raw ? request : { ...request, headers: { ...JSON_TYPE, ...request.headers } }),
    );
  }

  /** What has arrived so far. */
  get text(): string {
    return this.#text;
  }

  get json(): unknown {
    return JSON.parse(this.#text);
  }

  /** The events of a stream: parsed JSON, `[DONE]` as it is. */
  get events(): readonly unknown[] {
    const data = this.#text.split('\n\n').filter((event) => event.startsWith('data: '));
    return data.map((event) =>
      event === 'data: [DONE]' ? '[DONE]' : JSON.parse(event.slice('data: '.length)),
    );
  }

  /** Resolves when the answer is complete or cut off. */
  async over(): Promise<this> {
    if (!this.ended && !this.cutOff) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this;
  }

  stopReading(): void {
    this.#reading = false;
  }

  startReading(): void {
    this.#reading = true;
    this.#deliverLater();
  }

  /** The caller closes its socket. */
  leave(): void {
    this.#clock.defer(() => this.#abort());
  }

  #serverEnd(request: HttpRequest): HttpExchange {
    const call = this;
    return {
      request,
      get bufferedBytes() {
        return Math.max(0, call.#queueSize - call.#kernelSizeMax);
      },
      readBody: (bodySizeMax, onBody) => {
        call.#clock.defer(() => {
          if (call.#state === 'idle') onBody(call.#body.length > bodySizeMax ? null : call.#body.slice());
        });
      },
      respond: (status, headers, body) => {
        if (call.#state !== 'idle') return;
        call.#begin(status, headers);
        call.#write(body);
        call.#end();
      },
      begin: (status, headers) => {
        if (call.#state === 'idle') call.#begin(status, headers);
      },
      write: (chunk) => (call.#state === 'begun' ? call.#write(chunk) : true),
      end: () => {
        if (call.#state === 'begun') call.#end();
      },
      onWritable: (fn) => {
        call.#onWritable = fn;
      },
      onAbort: (fn) => {
        call.#onAbort = fn;
      },
    };
  }

  #begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.#state = 'begun';
    this.status = status;
    this.headers = headers;
  }

  #write(chunk: string | Uint8Array): boolean {
    const bytes = Buffer.from(chunk as Uint8Array);
    this.#queue.push(bytes);
    this.#queueSize += bytes.length;
    this.bufferedMax = Math.max(this.bufferedMax, this.exchange.bufferedBytes);
    if (this.exchange.bufferedBytes > this.#sendBufferSizeMax) {
      this.#abort();
      return false;
    }
    this.#deliverLater();
    if (this.exchange.bufferedBytes > 0) this.#refused = true;
    return this.exchange.bufferedBytes === 0;
  }

  #end(): void {
    this.#state = 'ended';
    this.#deliverLater();
  }

  #deliverLater(): void {
    this.#clock.defer(() => {
      if (!this.#reading || this.#state === 'gone') return;
      this.#text += Buffer.concat(this.#queue).toString();
      this.#queue = [];
      this.#queueSize = 0;
      const writable = this.#refused;
      this.#refused = false;
      if (this.#state === 'ended') this.#over('ended');
      else if (writable) this.#onWritable?.();
    });
  }

  #abort(): void {
    if (this.ended || this.#state === 'gone') return;
    const open = this.#state !== 'ended';
    this.#state = 'gone';
    this.#queue = [];
    this.#queueSize = 0;
    this.#over('cutOff');
    if (open) this.#onAbort?.();
  }

  #over(how: 'ended' | 'cutOff'): void {
    if (this.ended || this.cutOff) return;
    this[how] = true;
    this.#onOver();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const JSON_TYPE = { 'content-type': 'application/json' };

function requestOf({ method = 'GET', path, headers = {} }: MemoryRequest): HttpRequest {
  const [pathOnly = '', query = ''] = path.split('?', 2);
  return {
    method,
    path: pathOnly,
    query,
    header: (name) => headers[name] ?? (name === 'host' ? 'localhost' : ''),
    remoteAddress: '127.0.0.1',
  };
}
