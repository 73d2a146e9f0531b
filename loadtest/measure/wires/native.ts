// Our own protocol: a session appends what is new and asks; tokens come back stamped with their index. One socket per
// session, as an editor has. Speaks through server/client/protocol.ts rather than the promise-based client, so that the
// times are those of the frames and a run in virtual time needs no promises.
import type {
  ClientMessage,
  ErrorMessage,
  GenerationEnded,
  MessageOf,
  ServerMessage,
} from '../../../server/client/messages.ts';
import { decodeServerFrame, encodeClientMessage } from '../../../server/client/protocol.ts';
import { Answer } from './answer.ts';
import { type ContentOptions, contentTokens, messagesOf, textOf } from './content.ts';
import {
  type Ask,
  type Dialogue,
  lostEnd,
  plainEnd,
  type Target,
  type TurnEnd,
  type TurnEvents,
} from './target.ts';
import type { SocketEndpoint, WireSocket } from './wire.ts';

export interface NativeOptions {
  readonly as: 'text' | 'tokens' | 'messages';
  readonly temperature: number | null;
  readonly content: ContentOptions;
}

const PATH = '/v1/sparklane';
const VERSION = 1;
const US_PER_MS = 1000;

export function nativeTarget(options: NativeOptions, endpoint: SocketEndpoint): Target {
  return {
    name: `native WebSocket at ${endpoint.address}`,
    isWhole: false,
    open: (_session, onReady) => new NativeConversation(options, endpoint, onReady),
    close: () => {}, // conversations own their sockets
  };
}

interface RunningTurn {
  readonly generation: number;
  readonly ask: Ask;
  readonly events: TurnEvents;
  readonly answer: Answer;
}

class NativeConversation implements Dialogue {
  readonly #options: NativeOptions;
  readonly #endpoint: SocketEndpoint;
  readonly #socket: WireSocket;
  readonly #onReady: () => void;
  #unsent: { readonly message: ClientMessage; readonly onSent: () => void }[] | null = []; // until the socket stands
  #session = -1; // number of the open session; none yet
  #nextGeneration = 0;
  #turn: RunningTurn | null = null;
  #closed = false;
  #lost: TurnEnd | null = null; // how the connection ended, if it has
  #nowMs = 0; // when the frame that is being read arrived

  constructor(options: NativeOptions, endpoint: SocketEndpoint, onReady: () => void) {
    this.#options = options;
    this.#endpoint = endpoint;
    this.#onReady = onReady;
    this.#socket = endpoint.wire.open(PATH, endpoint.headers, {
      onOpen: () => this.#greet(),
      onMessage: (frame) => this.#read(frame),
      onClose: (code, reason) => this.#onClosed(code, reason),
    });
  }

  start(ask: Ask, events: TurnEvents): void {
    const answer = new Answer((delta) => events.onTokens(this.#nowMs, delta));
    const generation = this.#nextGeneration++;
    this.#turn = { generation, ask, events, answer };
    if (this.#lost !== null) {
      this.#end(() => this.#lost!);
      return;
    }
    if (ask.reset || this.#session < 0) this.#openSession();
    const session = this.#session;
    this.#send({ type: 'session.append', session, ...this.#contentOf(ask) });
    const generate: MessageOf<'generate'> = {
      type: 'generate',
      session,
      generation,
      maxTokens: ask.maxTokens,
      ...(ask.exact && { ignoreStopTokens: true }),
      ...(this.#options.temperature !== null && { temperature: this.#options.temperature }),
    };
    this.#send(generate, () => events.onSent(this.#endpoint.clock.nowMs()));
  }

  interrupt(): void {
    const turn = this.#turn;
    if (turn === null) return;
    this.#send({ type: 'cancel', session: this.#session, generation: turn.generation, keep: true });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#end(() => plainEnd('unfinished'));
    this.#socket.close();
  }

  #greet(): void {
    const { headers } = this.#endpoint;
    const unsent = this.#unsent ?? [];
    this.#unsent = null;
    const apiKey = headers['authorization']?.replace(/^Bearer /, '');
    this.#send({
      type: 'hello',
      version: { min: VERSION, max: VERSION },
      client: 'sparklane loadtest',
      ...(apiKey !== undefined && { apiKey }),
    });
    for (const { message, onSent } of unsent) this.#send(message, onSent);
  }

  #openSession(): void {
    if (this.#session >= 0) this.#send({ type: 'session.close', session: this.#session });
    this.#session++;
    this.#send({ type: 'session.open', session: this.#session });
  }

  #contentOf({ items }: Ask): Pick<MessageOf<'session.append'>, 'text' | 'tokens' | 'messages'> {
    const { as, content } = this.#options;
    if (as === 'tokens') return { tokens: contentTokens(items, content) };
    if (as === 'text') return { text: textOf(items, content) };
    return { messages: messagesOf(items, content).map((message) => ({ ...message })) };
  }

  #send(message: ClientMessage, onSent: () => void = () => {}): void {
    if (this.#unsent !== null) this.#unsent.push({ message, onSent });
    else this.#socket.send(encodeClientMessage(message), onSent);
  }

  #read(frame: Uint8Array): void {
    this.#nowMs = this.#endpoint.clock.nowMs();
    let message: ServerMessage | null;
    try {
      message = decodeServerFrame(frame);
    } catch (error) {
      this.#end(() => plainEnd('error', 'malformed frame', (error as Error).message));
      return;
    }
    if (message === null) return;
    switch (message.type) {
      case 'tokens': {
        const turn = this.#turn;
        if (turn === null || message.generation !== turn.generation) return;
        turn.answer.add(message.text, { count: message.tokens.length, index: message.index });
        return;
      }
      case 'generation.end':
        if (message.generation === this.#turn?.generation) this.#finish(message);
        return;
      case 'error':
        this.#refused(message);
        return;
      case 'session.closed':
        if (message.reason !== 'requested') this.#end(() => plainEnd('error', 'session expired'));
        return;
      case 'hello':
        this.#onReady();
    }
  }

  #finish({ reason, text, usage, timings, error }: GenerationEnded): void {
    const { answer, ask } = this.#turn!;
    answer.add(text, { count: 0 });
    answer.promptTokens = usage.promptTokens;
    answer.cachedTokens = usage.cachedTokens;
    answer.outputTokens = usage.outputTokens;
    answer.queueMs = timings.queueUs / US_PER_MS;
    if (reason === 'failed') {
      answer.failure = { kind: error?.code ?? 'failed', message: error?.message ?? '' };
    } else if (reason !== 'cancelled') {
      answer.finishReason = reason;
    }
    this.#end(() => answer.end(ask, reason === 'cancelled' ? 'interrupted' : 'by-server'));
  }

  #refused({ code, message, session, generation }: ErrorMessage): void {
    const turn = this.#turn;
    if (turn === null) return;
    if (generation !== undefined && generation !== turn.generation) return;
    if (session !== undefined && session !== this.#session) return;
    turn.answer.failure = { kind: code, message };
    this.#end(() => turn.answer.end(turn.ask));
  }

  #onClosed(code: number, reason: string): void {
    this.#lost = lostEnd(this.#turn?.answer.text ?? '', `closed ${code}`, reason);
    this.#end(() => this.#lost!);
    if (!this.#closed) this.#onReady(); // a closed-loop user finds out at the first turn
  }

  #end(endOf: () => TurnEnd): void {
    const turn = this.#turn;
    if (turn === null) return;
    this.#turn = null;
    const { clock } = this.#endpoint;
    const atMs = clock.nowMs();
    const end = endOf();
    clock.defer(() => turn.events.onEnd(atMs, end));
  }
}
