// HTTP over real sockets, on undici: one connection per request under way, kept for the next one. Owns the pool; knows
// nothing of what is asked. A body handed to the kernel is `onSent`.
import { type Dispatcher, Pool, ProxyAgent } from 'undici';
import type { ServerAddress } from './address.ts';
import { type Connection, tlsOptions } from './connection.ts';
import type { HttpEvents, HttpWire, WireRequest } from './wire.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 600_000; // longer than any think time: a reconnect would be measured as latency

export interface UndiciWireOptions {
  readonly address: ServerAddress;
  readonly connection: Connection;
  readonly connectionsMax: number; // requests over this wait in the client, and their latency shows it
}

export function undiciWire({ address, connection, connectionsMax }: UndiciWireOptions): HttpWire {
  const { origin } = address;
  const tls = { timeout: CONNECT_TIMEOUT_MS, ...tlsOptions(connection) };
  const common = {
    connections: connectionsMax,
    pipelining: 1,
    headersTimeout: 0, // the driver has a timeout of its own
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
  };
  const pool =
    connection.proxy === null
      ? new Pool(origin, { ...common, connect: tls })
      : new ProxyAgent({ ...common, uri: connection.proxy, requestTls: tls });
  return {
    send({ method, path, headers, body }, events) {
      const answer = new Answer(events);
      const payload = method === 'GET' ? null : Buffer.from(body);
      pool.dispatch({ origin, method, path: address.pathOf(path), headers, body: payload }, answer);
      return answer;
    },
    close: () => {
      pool.destroy().catch(() => {}); // every call has been told by its own onError
    },
  };
}

// undici's older handler interface: only this one tells when the body has been written.
class Answer implements Dispatcher.DispatchHandler, WireRequest {
  readonly #events: HttpEvents;
  #abort: ((error?: Error) => void) | null = null;
  #aborted = false;
  #over = false;

  constructor(events: HttpEvents) {
    this.#events = events;
  }

  abort(): void {
    if (this.#over || this.#aborted) return;
    this.#aborted = true;
    this.#abort?.(new Error('aborted by the client'));
  }

  onConnect(abort: (error?: Error) => void): void {
    this.#abort = abort;
    if (this.#aborted) abort(new Error('aborted by the client'));
  }

  onBodySent(): void {
    this.#events.onSent();
  }

  onHeaders(status: number, headers: Buffer[]): boolean {
    if (status < 200) return true; // informational
    this.#events.onHead(status, (name) => {
      for (let at = 0; at + 1 < headers.length; at += 2) {
        if (headers[at]!.toString('latin1').toLowerCase() === name)
          return headers[at + 1]!.toString('latin1');
      }
      return '';
    });
    return true;
  }

  onData(bytes: Buffer): boolean {
    this.#events.onData(bytes);
    return true;
  }

  onComplete(): void {
    this.#over = true;
    this.#events.onEnd();
  }

  onError(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.onError(this.#aborted ? 'aborted' : kindOf(error), error.message);
  }
}

/** The system's own code where there is one: ECONNREFUSED, ECONNRESET, UND_ERR_SOCKET. */
function kindOf(error: Error): string {
  const { code } = error as Error & { code?: unknown };
  return typeof code === 'string' ? code : error.name;
}
