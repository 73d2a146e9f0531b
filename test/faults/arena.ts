// The place where faults happen: a whole server in this process, on real sockets and real weights, and the ways to be
// rude to it. Owns the server and everything that was opened against it. Polls where it has to wait for other threads
// and the kernel; a test that waits for ever fails by its runner's time-out.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { pack } from 'msgpackr';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { WallClock } from '../../kernels/clock.ts';
import type { CpuBackend } from '../../kernels/onnx/backend.ts';
import { type LocalServer, startLocalServer } from '../../server/cli/local-server.ts';
import { NativeClient } from '../../server/client/client.ts';
import { webSocketTo } from '../../server/client/web-socket.ts';
import { loadConfig } from '../../server/config/config.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { servedEnv } from '../served-env.ts';

/** Whose streams are compared, and who is rude. */
export const ADA = 'key-of-ada-0001';
export const BOB = 'key-of-bob-0002';
export const ADMIN = 'key-of-admin-03';

/** Ms after which a test hangs: what starts processes may take ten times as long on a machine that others use, too. */
export const HANGS_MS = 3_600_000;

/** Bounds small enough to be met by a test. None of those that a slow machine could meet: a family that wants these says so. */
const ARENA_FLAGS = {
  model: 'spark-nano',
  port: 0,
  apiKeys: [ADA, BOB],
  adminKey: ADMIN,
  kvCacheSizeMax: '64MiB',
  bodySizeMax: '1MiB',
  frameSizeMax: '256KiB',
  streamBufferSizeMax: '16KiB',
  queueLengthMax: 1024, // all that a fault asks at once: what is compared is refused nothing
  requestTimeoutMs: HANGS_MS,
  idleTimeoutSeconds: 24, // forbidden frames that end a socket by it are waited for
  logLevel: 'silent',
} as const;

export interface RawAnswer {
  readonly status: number; // 0: none
  readonly text: string; // all that came, head and body
  readonly closed: boolean;
}

export class Arena {
  readonly url: string;
  readonly port: number;
  readonly #server: LocalServer | null; // null: in another process
  readonly #open = new Set<{ destroy(): void }>();

  private constructor(url: string, server: LocalServer | null) {
    this.url = url;
    this.port = Number(new URL(url).port);
    this.#server = server;
  }

  /** Of a server in another process. */
  static at(url: string): Arena {
    return new Arena(url, null);
  }

  static async start(cacheDirectory: string, flags: Readonly<Record<string, unknown>> = {}): Promise<Arena> {
    const config = loadConfig({ flags: { ...ARENA_FLAGS, cacheDirectory, ...flags }, env: servedEnv });
    const host = { terminal: new MemoryTerminal(), env: {}, clock: new WallClock(), epochMs: Date.now };
    const server = await startLocalServer(config, host);
    return new Arena(server.url, server);
  }

  /** Of a server in this process. */
  get server(): LocalServer {
    assert(this.#server, 'this server is another process');
    return this.#server;
  }

  /** The one device, which can be told to fail. */
  get device(): CpuBackend {
    return this.server.device.backend as CpuBackend;
  }

  async stop(): Promise<void> {
    this.hangUp();
    await this.#server?.stop();
  }

  /** Closes whatever a fault has left open. */
  hangUp(): void {
    for (const opened of this.#open) opened.destroy();
    this.#open.clear();
  }

  /**
   * A request on a connection of its own. One that is kept for the next is closed by either side after some seconds; whoever
   * had to stand still may take it up in that very moment, and be told of it by no status.
   */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, { ...init, headers: { ...init.headers, connection: 'close' } });
  }

  /** One request with a JSON body (or bytes as they are). */
  async post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}, key = BOB) {
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const answer = await this.fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers },
      body: raw ? (body as string) : JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, text, headers: answer.headers, json: parsed(text) };
  }

  get(path: string, key = BOB): Promise<Response> {
    return this.fetch(path, { headers: { authorization: `Bearer ${key}` } });
  }

  /** A bare connection. */
  async socket(): Promise<Socket> {
    const socket = connect(this.port, '127.0.0.1');
    this.#open.add(socket);
    socket.on('error', () => {}); // a reset is one of the expected ends
    socket.on('close', () => this.#open.delete(socket));
    await once(socket, 'connect');
    return socket;
  }

  /** Sends bytes as they are, and reads until `enough` or the end. */
  async raw(bytes: string | Uint8Array, enough: (text: string) => boolean = hasBody): Promise<RawAnswer> {
    const socket = await this.socket();
    let text = '';
    let closed = false;
    const done = new Promise<void>((resolve) => {
      socket.on('data', (data) => {
        text += data.toString('latin1');
        if (enough(text)) resolve();
      });
      socket.on('close', () => {
        closed = true;
        resolve();
      });
    });
    socket.write(bytes);
    await done;
    socket.destroy();
    return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text, closed };
  }

  /** A WebSocket, open. */
  async webSocket(path: '/v1/sparklane' | '/v1/responses', key = BOB): Promise<WebSocket> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${path}`, {
      perMessageDeflate: false,
      headers: { authorization: `Bearer ${key}` },
    });
    const opened = { destroy: () => socket.terminate() };
    this.#open.add(opened);
    socket.on('error', () => {});
    socket.on('close', () => this.#open.delete(opened));
    await once(socket, 'open');
    return socket;
  }

  /** A greeted WebSocket of the native protocol, for frames that no client would send. */
  async greeted(key = BOB): Promise<WebSocket> {
    const socket = await this.webSocket('/v1/sparklane', key);
    socket.send(pack({ type: 'hello', version: { min: 1, max: 1 } }));
    await once(socket, 'message');
    return socket;
  }

  native(key = BOB): Promise<NativeClient> {
    return NativeClient.connect(
      webSocketTo(this.url, { apiKey: key, frameSizeMax: 2 ** 24, connectTimeoutMs: HANGS_MS }),
    );
  }

  /** A sample of /metrics, summed over the labels that `name` leaves open. */
  async metric(name: string): Promise<number> {
    const text = await (await this.get('/metrics')).text();
    return metricOf(text, name);
  }

  /** Nobody is served any more, and every block and seat is accounted for. */
  async settled(): Promise<void> {
    await until(async () => {
      const text = await (await this.get('/metrics', ADA)).text();
      return ['sparklane_sequences', 'sparklane_kv_blocks{state="in_use"}'].every(
        (name) => metricOf(text, name) === 0,
      );
    });
    this.#server?.engine.check();
    expect((await this.fetch('/healthz')).status).toBe(200);
    expect((await this.fetch('/readyz')).status).toBe(200);
  }
}

/** Of Prometheus text: the sum of the samples of that name (with these labels, as far as `name` has some). */
function metricOf(text: string, name: string): number {
  const [bare, labels = ''] = name.replace('}', '').split('{');
  let sum = Number.NaN;
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${bare} `) && !line.startsWith(`${bare}{`)) continue;
    if (!labels.split(',').every((label) => line.includes(label))) continue;
    sum = (Number.isNaN(sum) ? 0 : sum) + Number(line.slice(line.lastIndexOf(' ') + 1));
  }
  return sum;
}

/** Waits for what other threads and the kernel do. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** How a WebSocket ended. */
export async function closeOf(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = await once(socket, 'close');
  return { code, reason: `${reason}` };
}

function hasBody(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return false;
  const length = /^content-length: (\d+)$/im.exec(text.slice(0, head));
  return length !== null && text.length >= head + 4 + Number(length[1]);
}

// biome-ignore lint/suspicious/noExplicitAny: an answer is whatever the server says; tests look into it
function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
