// uWebSockets.js as a Transport; with listener-head.ts and listener-socket.ts all that knows it. Owns the port, corked
// writes, what a slow reader has not read yet. Never looks into a body. After it: app.ts.
// A response of uWebSockets.js must not be touched after it has ended or aborted (the process would die), so every
// call here goes through a `#state` check.

import { bindFault } from './bind-fault.ts';
import { BodyPieces } from './body-pieces.ts';
import { type Defer, refuseHead, uwsRequest, writeHead } from './listener-head.ts';
import { type SocketData, socketBehavior } from './listener-socket.ts';
import { framingFault } from './request-head.ts';
import type {
  HttpExchange,
  HttpRequest,
  Transport,
  TransportBounds,
  TransportHandlers,
} from './transport.ts';
import type { uws } from './uws-binary.ts';

// Largest piece handed over at once. uWebSockets.js keeps what the kernel does not take and does not say how much,
// so this is also the error of `bufferedBytes`.
const PIECE_SIZE_MAX = 65_536; // bytes

// uWS.LIBUS_LISTEN_EXCLUSIVE_PORT. Without it a second server on the port starts as well, and each gets a share of the
// connections.
const EXCLUSIVE_PORT = 1;

/** The form of listen() that the package's types leave out. */
interface ExclusiveApp {
  listen(
    host: string,
    port: number,
    options: number,
    cb: (socket: uws.us_listen_socket | false) => void,
  ): void;
}

export class Listener implements Transport {
  readonly #native: typeof uws;
  readonly #bounds: TransportBounds;
  readonly #defer: Defer;
  #used = false;
  #app: uws.TemplatedApp | null = null;
  #stop: (() => void) | null = null; // while it accepts

  /** `native` has the bound of a head from when it was loaded. */
  constructor(native: typeof uws, bounds: TransportBounds, defer: Defer) {
    this.#native = native;
    this.#bounds = bounds;
    this.#defer = defer;
  }

  async listen(host: string, port: number, handlers: TransportHandlers): Promise<{ readonly port: number }> {
    if (this.#used) throw new Error('this listener has been used');
    this.#used = true;
    const native = this.#native;
    const app = native.App();
    this.#app = app;
    app.ws<SocketData>('/*', socketBehavior({ bounds: this.#bounds, handlers, defer: this.#defer }));
    app.any('/*', (res, req) => {
      const request = uwsRequest(res, req);
      const unframed = framingFault(request);
      if (unframed !== null) return refuseHead(res, unframed, this.#defer);
      handlers.onRequest(new Exchange(res, request, this.#bounds.sendBufferSizeMax));
    });
    const address = host.replace(/^\[(.*)\]$/, '$1'); // [::1] in a URL is ::1 to the resolver
    const socket = await new Promise<uws.us_listen_socket | false>((resolve) => {
      (app as unknown as ExclusiveApp).listen(address, port, EXCLUSIVE_PORT, resolve);
    });
    if (!socket) throw new Error(await bindFault(address, port));
    this.#stop = () => native.us_listen_socket_close(socket);
    return { port: native.us_socket_local_port(socket) };
  }

  stopListening(): void {
    this.#stop?.();
    this.#stop = null;
  }

  close(): void {
    this.#app?.close();
    this.#app = null;
    this.#stop = null;
  }
}

type ExchangeState = 'idle' | 'begun' | 'ending' | 'over'; // ending: end() was called, bytes are still queued

class Exchange implements HttpExchange {
  readonly request: HttpRequest;
  readonly #res: uws.HttpResponse;
  readonly #sendBufferSizeMax: number;
  #state: ExchangeState = 'idle';
  #head: { status: number; headers: Readonly<Record<string, string>> } | null = null; // begun, not yet written
  #reading = false; // somebody wants the body
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
    this.#reading = true;
    const tell = (body: Uint8Array | null) => {
      if (this.#state !== 'over') onBody(body);
    };
    const body = new BodyPieces(bodySizeMax, tell, () => {
      this.#closeAfter = true;
    });
    if (body.isFlood(this.request.header('content-length'))) {
      this.#res.onData(() => {});
      body.refuse();
      return;
    }
    this.#res.onData((chunk, isLast) => {
      body.push(chunk.byteLength, () => new Uint8Array(chunk.slice(0))); // detached after the call
      if (isLast) body.end();
    });
  }

  respond(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void {
    if (this.#state !== 'idle') return;
    this.#state = 'over';
    // Answered before its body was asked for, as without a key. Unless somebody takes that body, uWebSockets.js closes
    // the connection 10 s later, under a sender who may not have come to the answer.
    if (!this.#reading) this.#res.onData(() => {});
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
