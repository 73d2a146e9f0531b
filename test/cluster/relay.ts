// A bad line on loopback: a TCP relay before a server that can delay what it carries, stall as lost packets make it stall, lose its
// connections, or carry nothing at all while it keeps them open. Used by main.ts, where network namespaces may not be allowed.
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import type { Random } from '../../kernels/random.ts';
import { freePort } from './rig.ts';

export interface Line {
  readonly delayMs: number; // each way
  readonly stallShare: number; // of what is carried: it waits for a lost packet
  readonly stallMs: number;
  readonly cutShare: number; // of what is carried: its connection is lost
}

export class Relay {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #random: Random;
  #line: Line | null = null;
  #silent = false;

  private constructor(port: number, server: Server, random: Random) {
    this.port = port;
    this.#server = server;
    this.#random = random;
  }

  static async to(target: number, random: Random): Promise<Relay> {
    const port = await freePort();
    const server = createServer();
    const relay = new Relay(port, server, random);
    server.on('connection', (socket) => relay.#carry(socket, target));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return relay;
  }

  /** Null: as good as none. */
  become(line: Line | null): void {
    this.#line = line;
  }

  /** A partition: nothing comes through, and nobody is told. */
  set silent(silent: boolean) {
    this.#silent = silent;
    for (const pair of this.#pairs) for (const socket of pair) socket[silent ? 'pause' : 'resume']();
  }

  close(): void {
    this.#server.close();
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  #carry(from: Socket, target: number): void {
    const to = createConnection(target, '127.0.0.1');
    const pair = [from, to] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      const other = socket === from ? to : from;
      const waiting: { readonly chunk: Buffer; readonly readyMs: number }[] = []; // in order: nothing overtakes what waits
      const flush = (): void => {
        const nowMs = performance.now();
        while (waiting[0] !== undefined && waiting[0].readyMs <= nowMs) other.write(waiting.shift()!.chunk);
        if (waiting[0] !== undefined) setTimeout(flush, Math.ceil(waiting[0].readyMs - nowMs));
      };
      socket.on('data', (chunk: Buffer) => {
        const line = this.#line;
        const isCut = line !== null && this.#random.next() < line.cutShare;
        if (isCut) {
          for (const one of pair) one.destroy();
          return;
        }
        const isStalled = line !== null && this.#random.next() < line.stallShare;
        const delayMs = line === null ? 0 : line.delayMs + (isStalled ? line.stallMs : 0);
        const readyMs = Math.max(waiting.at(-1)?.readyMs ?? 0, performance.now() + delayMs);
        waiting.push({ chunk, readyMs });
        if (waiting.length === 1) flush();
      });
      socket.on('error', () => {}); // it is closed then
      socket.on('close', () => {
        this.#pairs.delete(pair);
        const leftMs = Math.max(0, (waiting.at(-1)?.readyMs ?? 0) - performance.now());
        setTimeout(() => other.destroy(), leftMs + 10);
      });
      if (this.#silent) socket.pause();
    }
  }
}
