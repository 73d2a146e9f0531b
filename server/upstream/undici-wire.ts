// The wire over real sockets, on undici: a pool of connections to one origin, TLS as configured. Owns the pool; knows
// nothing of what is asked. Time-outs are the client's, on its clock. Before it: client.ts.
import { type Dispatcher, Pool } from 'undici';
import type { UpstreamWire, WireCall, WireEvents } from './wire.ts';

export interface UpstreamWireOptions {
  readonly url: string; // http://host:port/v1
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly connectTimeoutMs: number;
  readonly tls: { readonly ca: string | null; readonly serverName: string | null };
}

const KEEP_ALIVE_MS = 60_000;

export function openUpstreamWire({
  url,
  headers,
  connections,
  connectTimeoutMs,
  tls,
}: UpstreamWireOptions): UpstreamWire {
  const { origin, pathname } = new URL(url);
  const path = `${pathname.replace(/\/+$/, '')}/chat/completions`;
  const pool = new Pool(origin, {
    connections,
    pipelining: 1,
    connect: {
      timeout: connectTimeoutMs,
      ...(tls.ca !== null && { ca: tls.ca }),
      ...(tls.serverName !== null && { servername: tls.serverName }),
    },
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
  });
  return {
    post(body, events) {
      const answer = new Answer(events);
      pool.dispatch({ method: 'POST', path, headers, body }, answer);
      return answer;
    },
    close: () => {
      pool.destroy().catch(() => {}); // every call has been told by its own onError
    },
  };
}

class Answer implements Dispatcher.DispatchHandler, WireCall {
  readonly #events: WireEvents;
  #controller: Dispatcher.DispatchController | null = null;
  #aborted = false;
  #over = false;

  constructor(events: WireEvents) {
    this.#events = events;
  }

  abort(): void {
    if (this.#aborted || this.#over) return;
    this.#aborted = true;
    this.#controller?.abort(new Error('aborted'));
  }

  pause(): void {
    if (!this.#over) this.#controller?.pause();
  }

  resume(): void {
    if (!this.#over) this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(new Error('aborted'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (status < 200) return; // informational
    this.#events.onHead(status, (name) => {
      const value = headers[name];
      return (Array.isArray(value) ? value[0] : value) ?? '';
    });
  }

  onResponseData(_controller: Dispatcher.DispatchController, bytes: Buffer): void {
    this.#events.onData(bytes);
  }

  onResponseEnd(): void {
    this.#over = true;
    this.#events.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    this.#over = true;
    const { code } = error as Error & { code?: unknown };
    this.#events.onError(typeof code === 'string' ? `${code}: ${error.message}` : error.message);
  }
}
