// A server whose model says what a test tells it to, reached over memory in virtual time, for tests of the Responses
// API. `settle` also waits for what promises decide (grammars are compiled beside the clock).
import { VirtualClock } from '../kernels/clock.ts';
import type { SequenceRequest } from '../server/engine/request.ts';
import { BYTE_EOS, encodeBytes } from './byte-text.ts';
import { byteLogprobs, type HttpServer, type HttpWorldOptions, httpServer } from './http-world.ts';
import type { MemorySocket } from './memory-socket.ts';
import { type MemoryCall, MemoryTransport } from './memory-transport.ts';
import { turn } from './native-world.ts';

export type Json = Readonly<Record<string, unknown>>;

export interface ResponsesWorldOptions extends Omit<HttpWorldOptions, 'clock'> {
  readonly clock?: VirtualClock; // of several servers
  /** What the model says to a prompt; null: what the failure says. */
  readonly say: (prompt: string, request: SequenceRequest) => string;
}

export class ResponsesServer {
  readonly clock: VirtualClock;
  readonly server: HttpServer;
  readonly transport: MemoryTransport;
  readonly prompts: string[] = []; // in the order the engine got them

  constructor(clock: VirtualClock, server: HttpServer, prompts: string[]) {
    this.clock = clock;
    this.server = server;
    this.prompts = prompts;
    this.transport = new MemoryTransport({ clock, sendBufferSizeMax: 2 ** 24 });
  }

  /** Lets everything happen up to a time; as a rule that of a long answer, but not of an old connection. */
  async settle(untilMs = this.clock.nowMs() + LONG_MS): Promise<void> {
    let reached = false;
    const end = this.clock.schedule(untilMs - this.clock.nowMs(), () => {
      reached = true;
    });
    // What a promise starts happens at the time at which it settled, so nothing may fire before it has.
    while (!reached) {
      await turn();
      this.clock.step();
    }
    end.cancel();
    await turn();
  }

  async request(method: string, path: string, body?: unknown): Promise<MemoryCall> {
    const call = this.send(method, path, body);
    await this.settle();
    return call;
  }

  send(method: string, path: string, body?: unknown): MemoryCall {
    return this.transport.call({ method, path, ...(body !== undefined && { body: body as object }) });
  }

  /** POST /v1/responses. */
  create(body: object): Promise<MemoryCall> {
    return this.request('POST', '/v1/responses', body);
  }

  connect(): ResponsesClient {
    const socket = this.transport.upgrade('/v1/responses');
    if ('accept' in socket) throw new Error(`refused: ${socket.status} ${socket.body}`);
    return new ResponsesClient(this, socket);
  }
}

const LONG_MS = 100_000;

/** A client of the WebSocket mode. */
export class ResponsesClient {
  readonly socket: MemorySocket;
  readonly #server: ResponsesServer;
  #seen = 0;

  constructor(server: ResponsesServer, socket: MemorySocket) {
    this.#server = server;
    this.socket = socket;
  }

  send(message: object | string): void {
    this.socket.transmit(Buffer.from(typeof message === 'string' ? message : JSON.stringify(message)), false);
  }

  create(body: object): void {
    this.send({ type: 'response.create', ...body });
  }

  /** Everything that came since the last call. */
  take(): Json[] {
    const frames = this.socket.received.slice(this.#seen);
    this.#seen += frames.length;
    return frames.map((frame) => JSON.parse(Buffer.from(frame).toString()) as Json);
  }

  /** Sends, lets everything happen, and tells what came. */
  async ask(body: object): Promise<Json[]> {
    this.create(body);
    await this.#server.settle();
    return this.take();
  }
}

export async function responsesServer({
  say,
  clock = new VirtualClock(),
  ...options
}: ResponsesWorldOptions): Promise<ResponsesServer> {
  const prompts: string[] = [];
  const server = httpServer({
    clock,
    ...options,
    engine: {
      script: (request) => {
        const prompt = Buffer.from(request.tokens.filter((id) => id < 256)).toString();
        prompts.push(prompt);
        return { tokens: [...encodeBytes(say(prompt, request)), BYTE_EOS], logprobs: byteLogprobs };
      },
      tokensPerStep: 4,
      ...options.engine,
    },
  });
  const made = new ResponsesServer(clock, server, prompts);
  await made.transport.listen('127.0.0.1', 0, server.app.handlers);
  return made;
}

/** The SSE events of a stream, checked to be named by their types. */
export function sseEvents(call: MemoryCall): Json[] {
  return call.text
    .split('\n\n')
    .filter((block) => block.startsWith('event: '))
    .map((block) => {
      const [name, data] = block.split('\n');
      const event = JSON.parse(data!.slice('data: '.length)) as Json;
      if (name !== `event: ${String(event['type'])}`) throw new Error(`event ${name} carries ${data}`);
      return event;
    });
}

export function typesOf(events: readonly Json[]): string[] {
  return events.map(({ type }) => String(type));
}

/** Consecutive deltas of one type as one, because how text is cut into deltas is the engine's business. */
export function withoutRepeats(types: readonly string[]): string[] {
  return types.filter((type, index) => type !== types[index - 1]);
}

/** The response object that the last event carries. */
export function responseOf(events: readonly Json[]): Json {
  return events.at(-1)!['response'] as Json;
}

export function hermesCall(name: string, args: object): string {
  return `<tool_call>\n${JSON.stringify({ name, arguments: args })}\n</tool_call>`;
}
