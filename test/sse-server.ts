// A scripted HTTP and WebSocket server on real sockets: each POST is answered by what `script` writes, each socket by
// what `onSocket` sends. For the load tester's targets.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export interface ScriptedRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
}

export type Answer = (request: ScriptedRequest, response: SseAnswer) => void | Promise<void>;

class SseAnswer {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  stream(): void {
    this.#response.writeHead(200, { 'content-type': 'text/event-stream' });
  }

  event(data: object | string): void {
    this.#response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
  }

  raw(bytes: Uint8Array | string): void {
    this.#response.write(bytes);
  }

  end(): void {
    this.#response.end();
  }

  /** Drops the connection. */
  cut(): void {
    this.#response.destroy();
  }

  respond(status: number, body: object | string): void {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    this.#response.writeHead(status, { 'content-type': 'application/json' });
    this.#response.end(text);
  }

  get gone(): boolean {
    return this.#response.destroyed;
  }
}

export class ScriptedServer {
  readonly requests: ScriptedRequest[] = [];
  readonly #server: Server;
  readonly #sockets: WebSocketServer;

  private constructor(answer: Answer, onSocket: (socket: WebSocket) => void) {
    this.#server = createServer((incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
        const request = { path: incoming.url ?? '', headers: incoming.headers, body };
        this.requests.push(request);
        void answer(request, new SseAnswer(outgoing));
      });
    });
    this.#sockets = new WebSocketServer({ server: this.#server });
    this.#sockets.on('connection', onSocket);
  }

  static async start(
    answer: Answer,
    onSocket: (socket: WebSocket) => void = () => {},
  ): Promise<ScriptedServer> {
    const server = new ScriptedServer(answer, onSocket);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
