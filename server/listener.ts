// uWebSockets.js as a Transport; the only file that knows it. Owns sockets, corked writes, what a slow reader has
// not read yet, payload limits. Never looks into a body or a frame. After it: app.ts.
// A response of uWebSockets.js must not be touched after it has ended or aborted (the process would die), so every
// call here goes through a `#state` check.

import * as uws from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
import type {
  HttpExchange,
  HttpRequest,
  SocketConnection,
  SocketEvents,
  Transport,
  TransportBounds,
  TransportHandlers,
} from './transport.ts';

// uws-pack exports names; the original package, which Node 24 needs, exports one object (README).
const native: typeof uws = 'App' in uws ? uws : (uws as { default: typeof uws }).default;

// Largest piece handed over at once. uWebSockets.js keeps what the kernel does not take and does not say how much,
// so this is also the error of `bufferedBytes`.
const PIECE_SIZE_MAX = 65_536; // bytes

// A body over its bound is read and dropped up to this multiple of it, so that its sender gets to the answer;
// beyond, the connection is closed under it.
const DRAIN_FACTOR = 4;

const COMPRESSION_DISABLED = 0; // uWS.DISABLED, which the repack's types declare as a type only

const CLOSE_REASON_SIZE_MAX = 123; // bytes, RFC 6455 section 5.5

export class Listener implements Transport {
  readonly #bounds: TransportBounds;
  #app: uws.TemplatedApp | null = null;
  #socket: uws.us_listen_socket | null = null;

  constructor(bounds: TransportBounds) {
    this.#bounds = bounds;
  }

  listen(host: string, port: number, handlers: TransportHandlers): Promise<{ readonly port: number }> {
    if (this.#app !== null) return Promise.reject(new Error('this listener has been used'));
    const app = native.App();
    this.#app = app;
    app.ws<SocketData>('/*', socketBehavior(this.#bounds, handlers));
    app.any('/*', (res, req) => {
      const exchange = new Exchange(res, requestOf(res, req), this.#bounds.sendBufferSizeMax);
      handlers.onRequest(exchange);
    });
    const address = host.replace(/^\[(.*)\]$/, '$1'); // [::1] in a URL is ::1 to the resolver
    return new Promise((resolve, reject) => {
      app.listen(address, port, (socket) => {
        if (!socket) return reject(new Error(`cannot listen on ${host}, port ${port}: in use, or not ours`));
        this.#socket = socket;
        resolve({ port: native.us_socket_local_port(socket) });
      });
    });
  }

  stopListening(): void {
    if (this.#socket !== null) native.us_listen_socket_close(this.#socket);
    this.#socket = null;
  }

  close(): void {
    this.#app?.close();
    this.#app = null;
    this.#socket = null;
  }
}

/** The request lives on the stack of uWebSockets.js; everything that may be asked later is copied now. */
function requestOf(res: uws.HttpResponse, req: uws.HttpRequest): HttpRequest {
  const headers = new Map<string, string>();
  req.forEach((name, value) => {
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  });
  return {
    method: req.getCaseSensitiveMethod().toUpperCase(),
    path: req.getUrl(),
    query: req.getQuery(),
    header: (name) => headers.get(name) ?? '',
    remoteAddress: Buffer.from(res.getRemoteAddressAsText()).toString(),
  };
}

type ExchangeState = 'idle' | 'begun' | 'ending' | 'over'; // ending: end() was called, bytes are still queued

class Exchange implements HttpExchange {
  readonly request: HttpRequest;
  readonly #res: uws.HttpResponse;
  readonly #sendBufferSizeMax: number;
  #state: ExchangeState = 'idle';
  #head: { status: number; headers: Readonly<Record<string, string>> } | null = null; // begun, not yet written
  #closeAfter = false; // the rest of the request body is not worth reading
  #onAbort: (() => void) | null = null;
  #onWritable: (() => void) | null = null;
  // Backpressure: once the kernel stops taking bytes, pieces wait here.
  #blocked = false;
  readonly #queue: Uint8Array[] = [];
  #queueSize = 0; // bytes in #queue
  #takenSize = 0; // bytes of the piece that uWebSockets.js could not hand on whole

  constructor(res: uws.HttpResponse, request: HttpRequest, sendBufferSizeMax: number) {
    this.#res = res;
    this.request = request;
    this.#sendBufferSizeMax = sendBufferSizeMax;
    res.onAborted(() => this.#abort());
  }

  get bufferedBytes(): number {
    return this.#queueSize + this.#takenSize;
  }

  readBody(bodySizeMax: number, onBody: (body: Uint8Array | null) => void): void {
    if (this.#state !== 'idle') return;
    const drainSizeMax = bodySizeMax * DRAIN_FACTOR;
    const pieces: Uint8Array[] = [];
    let size = 0;
    let told = false;
    const tell = (body: Uint8Array | null) => {
      if (told || this.#state === 'over') return;
      told = true;
      onBody(body);
    };
    const refuse = () => {
      this.#closeAfter = true;
      tell(null);
    };
    if (Number(this.request.header('content-length')) > drainSizeMax) {
      this.#res.onData(() => {});
      refuse();
      return;
    }
    this.#res.onData((chunk, isLast) => {
      if (told) return;
      size += chunk.byteLength;
      if (size > drainSizeMax) refuse();
      else if (size > bodySizeMax) pieces.length = 0;
      else if (chunk.byteLength > 0) pieces.push(new Uint8Array(chunk.slice(0))); // detached after the call
      if (isLast) tell(size > bodySizeMax ? null : pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
    });
  }

  respond(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void {
    if (this.#state !== 'idle') return;
    this.#state = 'over';
    this.#res.cork(() => {
      writeHead(this.#res, status, headers);
      // An answer to HEAD has the length of a body but none; uWebSockets.js waits for one unless told to close.
      if (this.request.method === 'HEAD') this.#res.endWithoutBody(Buffer.byteLength(body), true);
      else this.#res.end(body, this.#closeAfter);
    });
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.#state !== 'idle') return;
    this.#state = 'begun';
    this.#head = { status, headers }; // goes out with the first bytes, in one packet
    this.#res.onWritable(() => {
      this.#flush();
      return true;
    });
  }

  write(chunk: string | Uint8Array): boolean {
    if (this.#state !== 'begun' || chunk.length === 0) return !this.#blocked; // an empty chunk would end the body
    if (!this.#blocked && chunk.length <= PIECE_SIZE_MAX / 3) {
      this.#send(chunk); // the common case: a token's event; at most three bytes per UTF-16 unit
      return !this.#blocked;
    }
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    for (let at = 0; at < bytes.length; at += PIECE_SIZE_MAX) {
      const piece = bytes.subarray(at, at + PIECE_SIZE_MAX);
      if (this.#blocked) this.#enqueue(piece);
      else this.#send(piece);
    }
    if (this.bufferedBytes > this.#sendBufferSizeMax) this.#res.close(); // aborts: see #abort
    return !this.#blocked;
  }

  end(): void {
    if (this.#state !== 'begun') return;
    if (this.#queue.length > 0) {
      this.#state = 'ending';
      return;
    }
    this.#state = 'over';
    this.#res.cork(() => {
      this.#writeHead();
      this.#res.end(undefined, this.#closeAfter);
    });
  }

  onWritable(fn: () => void): void {
    this.#onWritable = fn;
  }

  onAbort(fn: () => void): void {
    this.#onAbort = fn;
  }

  #send(piece: string | Uint8Array): void {
    this.#res.cork(() => {
      this.#writeHead();
      if (this.#res.write(piece)) return;
      this.#blocked = true;
      this.#takenSize = Buffer.byteLength(piece);
    });
  }

  #enqueue(piece: Uint8Array): void {
    this.#queue.push(piece.slice()); // the caller may reuse its memory
    this.#queueSize += piece.length;
  }

  /** The kernel takes bytes again. An empty cork is what makes uWebSockets.js hand on what it has kept itself. */
  #flush(): void {
    if (this.#state !== 'begun' && this.#state !== 'ending') return;
    this.#blocked = false;
    this.#takenSize = 0;
    this.#res.cork(() => {
      while (this.#queue.length > 0 && !this.#blocked) {
        const piece = this.#queue.shift()!;
        this.#queueSize -= piece.length;
        if (this.#res.write(piece)) continue;
        this.#blocked = true;
        this.#takenSize = piece.length;
      }
    });
    if (this.#queue.length > 0) return;
    if (this.#state === 'ending') {
      this.#state = 'begun';
      this.end();
    } else this.#onWritable?.();
  }

  #writeHead(): void {
    if (this.#head === null) return;
    writeHead(this.#res, this.#head.status, this.#head.headers);
    this.#head = null;
  }

  #abort(): void {
    if (this.#state === 'over') return;
    const wasEnding = this.#state === 'ending';
    this.#state = 'over';
    this.#queue.length = 0;
    this.#queueSize = 0;
    this.#takenSize = 0;
    this.#blocked = false;
    if (!wasEnding) this.#onAbort?.();
  }
}

function writeHead(res: uws.HttpResponse, status: number, headers: Readonly<Record<string, string>>): void {
  res.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Status'}`);
  for (const name in headers) res.writeHeader(name, headers[name]!);
}

interface SocketData {
  readonly request: HttpRequest;
  readonly open: (connection: SocketConnection) => SocketEvents;
  connection: Connection | null;
  events: SocketEvents | null; // null before open() has returned and after the close
  closeCode: number | null;
}

function socketBehavior(
  bounds: TransportBounds,
  handlers: TransportHandlers,
): uws.WebSocketBehavior<SocketData> {
  return {
    maxPayloadLength: bounds.frameSizeMax,
    maxBackpressure: bounds.sendBufferSizeMax,
    closeOnBackpressureLimit: true,
    idleTimeout: bounds.idleTimeoutSeconds,
    sendPingsAutomatically: true,
    maxLifetime: 0,
    compression: COMPRESSION_DISABLED, // loopback has bandwidth; a compressor per socket costs 256 KiB and time per token
    upgrade: (res, req, context) => upgrade({ res, req, context, handlers }),
    open: (ws) => {
      const data = ws.getUserData();
      data.connection = new Connection(ws, data.request);
      data.events = data.open(data.connection);
      if (data.closeCode !== null) tellClosed(data, data.closeCode); // closed by open() itself
    },
    message: (ws, message, isBinary) => ws.getUserData().events?.onMessage(new Uint8Array(message), isBinary),
    drain: (ws) => ws.getUserData().events?.onWritable(),
    close: (ws, code) => {
      const data = ws.getUserData();
      data.connection?.closed();
      data.closeCode = code;
      tellClosed(data, code);
    },
  };
}

function tellClosed(data: SocketData, code: number): void {
  const events = data.events;
  data.events = null;
  events?.onClose(code);
}

function upgrade(on: {
  res: uws.HttpResponse;
  req: uws.HttpRequest;
  context: uws.us_socket_context_t;
  handlers: TransportHandlers;
}): void {
  const { res, req, context } = on;
  res.onAborted(() => {}); // everything below happens in this stack
  const request = requestOf(res, req);
  const decision = on.handlers.onUpgrade(request);
  res.cork(() => {
    if (!decision.accept) {
      writeHead(res, decision.status, decision.headers);
      res.end(decision.body, true);
      return;
    }
    const data: SocketData = {
      request,
      open: decision.open,
      connection: null,
      events: null,
      closeCode: null,
    };
    const key = request.header('sec-websocket-key');
    const extensions = request.header('sec-websocket-extensions');
    res.upgrade(data, key, decision.protocol ?? '', extensions, context);
  });
}

class Connection implements SocketConnection {
  readonly request: HttpRequest;
  #ws: uws.WebSocket<SocketData> | null;

  constructor(ws: uws.WebSocket<SocketData>, request: HttpRequest) {
    this.#ws = ws;
    this.request = request;
  }

  get bufferedBytes(): number {
    return this.#ws?.getBufferedAmount() ?? 0;
  }

  send(frame: string | Uint8Array): boolean {
    if (this.#ws === null) return false;
    return this.#ws.send(frame, typeof frame !== 'string', false) === 1;
  }

  close(code: number, reason: string): void {
    const ws = this.#ws;
    if (ws === null) return;
    this.#ws = null;
    ws.end(code, closeReason(reason)); // calls the close handler before it returns
  }

  closed(): void {
    this.#ws = null;
  }
}

/** As much of the text as a close frame can hold, in whole characters. */
function closeReason(reason: string): Uint8Array {
  const bytes = Buffer.from(reason);
  let size = Math.min(bytes.length, CLOSE_REASON_SIZE_MAX);
  while (size < bytes.length && size > 0 && (bytes[size]! & 0xc0) === 0x80) size--;
  return bytes.subarray(0, size);
}
