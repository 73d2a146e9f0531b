// RecordingProxy: stands between a client and its server, hands everything on as it comes, and records requests and how they were
// answered. Owns the listening socket; what is kept is recording.ts's. It keeps neither keys nor text.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../kernels/clock.ts';
import type { Recording } from './recording.ts';

const BODY_SIZE_MAX = 64 * 1024 * 1024; // bytes of a request
const TAIL_MAX = 65_536; // characters of an answer's end that are looked at for its usage

/** What hands requests on. */
export type Forward = (
  request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Uint8Array;
  },
  answer: {
    onHead(status: number, headers: Readonly<Record<string, string | readonly string[]>>): void;
    onData(bytes: Uint8Array): void;
    onEnd(): void;
    onError(message: string): void;
  },
) => { abort(): void };

export interface ProxyOptions {
  readonly port: number; // 0: any
  readonly clock: Clock;
  readonly forward: Forward;
  readonly recording: Recording;
  readonly onRecorded: () => void;
}

export class RecordingProxy {
  readonly #options: ProxyOptions;
  readonly #server: Server;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => this.#take(request, response));
    this.#server.on('upgrade', (_, socket) => {
      socket.end('HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'); // sockets are not recorded
    });
  }

  /** On loopback. Rejects with what the system says. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.port, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BODY_SIZE_MAX) chunks.push(chunk);
    });
    request.on('error', () => response.destroy());
    request.on('end', () => {
      if (size > BODY_SIZE_MAX) response.writeHead(413).end();
      else this.#handOn(request, Buffer.concat(chunks), response);
    });
  }

  #handOn(
    { method = 'GET', url = '/', headers }: IncomingMessage,
    body: Buffer,
    response: ServerResponse,
  ): void {
    const { clock, forward } = this.#options;
    const startMs = clock.nowMs();
    const decoder = new TextDecoder();
    let status = 0;
    let tail = '';
    const call = forward(
      { method, path: url, headers: handedOn(headers), body },
      {
        onHead: (code, answered) => {
          status = code;
          response.writeHead(code, handedOn(answered));
        },
        onData: (bytes) => {
          tail = (tail + decoder.decode(bytes, { stream: true })).slice(-TAIL_MAX);
          response.write(bytes);
        },
        onEnd: () => {
          response.end();
          if (method === 'POST' && status === 200) this.#record(body, tail, startMs);
        },
        onError: (message) => {
          if (response.headersSent) response.destroy();
          else
            response
              .writeHead(502, { 'content-type': 'text/plain' })
              .end(`the server behind the recorder: ${message}\n`);
        },
      },
    );
    response.on('close', () => call.abort()); // harmless after the end
  }

  #record(body: Buffer, tail: string, startMs: number): void {
    const { recording, clock, onRecorded } = this.#options;
    let parsed: unknown;
    try {
      parsed = JSON.parse(body.toString('utf8'));
    } catch {
      recording.ignored++;
      return;
    }
    recording.add({ body: parsed, startMs, endMs: clock.nowMs(), ...usageIn(tail) });
    onRecorded();
  }
}

// Of one connection, not of the message.
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
  'host',
  'content-length',
]);

function handedOn(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Record<string, string> {
  const kept = Object.entries(headers).filter(
    ([name, value]) => value !== undefined && !HOP_BY_HOP.has(name) && name !== 'accept-encoding',
  );
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

/** Usage as OpenAI's and Anthropic's answers tell it, from the last place in which each number stands. */
export function usageIn(tail: string): {
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly outputTokens: number | null;
} {
  const last = (...names: string[]): number | null => {
    const found = names.map(
      (name) => [...tail.matchAll(new RegExp(`"${name}"\\s*:\\s*(\\d+)`, 'g'))].at(-1)?.[1],
    );
    const value = found.find((text) => text !== undefined);
    return value === undefined ? null : Number(value);
  };
  const read = last('cache_read_input_tokens');
  const input = last('input_tokens');
  const prompt =
    last('prompt_tokens') ??
    (input === null ? null : input + (read ?? 0) + (last('cache_creation_input_tokens') ?? 0));
  return {
    promptTokens: prompt,
    cachedTokens: last('cached_tokens') ?? read,
    outputTokens: last('completion_tokens', 'output_tokens'),
  };
}
