// Any protocol that is one POST per turn, answered by server-sent events: keeps the history, sends it whole, reads the
// stream. What bodies and events look like is chat.ts's, completions.ts's and responses-sse.ts's.
import { createParser, type EventSourceParser } from 'eventsource-parser';
import type { Clock } from '../../../kernels/clock.ts';
import { Answer, field, textOr } from './answer.ts';
import {
  type Ask,
  type Conversation,
  plainEnd,
  type Target,
  type TokenCounting,
  type TurnEnd,
  type TurnEvents,
} from './target.ts';
import type { HttpCall, HttpEvents, HttpWire } from './wire.ts';

/** One protocol. `H` is the history it sends again with every turn. */
export interface SseProtocol<H> {
  readonly name: string;
  readonly path: string;
  readonly counting: TokenCounting;
  newHistory(): H;
  append(history: H, ask: Ask): void;
  body(history: H, ask: Ask): Record<string, unknown>;
  /** One event's JSON. */
  read(event: unknown, answer: Answer): void;
  /** The answer, possibly a part of it, joins the history. */
  remember(history: H, answer: Answer): void;
}

export interface SseWorld {
  readonly wire: HttpWire;
  readonly clock: Clock;
  readonly address: string; // for people
  readonly headers: Readonly<Record<string, string>>; // authorization and what the user adds
  readonly extraBody: Readonly<Record<string, unknown>>; // wins over the protocol's own fields
}

const ERROR_BODY_MAX = 8192; // bytes of an error's body that are read

export function sseTarget<H>(protocol: SseProtocol<H>, world: SseWorld): Target {
  return {
    name: `${protocol.name} at ${world.address}`,
    counting: protocol.counting,
    open: (_session, onReady) => {
      world.clock.defer(onReady); // connections are the pool's
      return new SseConversation(protocol, world);
    },
    close: () => world.wire.close(),
  };
}

class SseConversation<H> implements Conversation {
  readonly #protocol: SseProtocol<H>;
  readonly #world: SseWorld;
  #history: H;
  #turn: SseTurn<H> | null = null;

  constructor(protocol: SseProtocol<H>, world: SseWorld) {
    this.#protocol = protocol;
    this.#world = world;
    this.#history = protocol.newHistory();
  }

  start(ask: Ask, events: TurnEvents): void {
    if (ask.reset) this.#history = this.#protocol.newHistory();
    const history = this.#history;
    this.#protocol.append(history, ask);
    const body = { ...this.#protocol.body(history, ask), ...this.#world.extraBody };
    const turn = new SseTurn(this.#protocol, this.#world.clock, ask, {
      onSent: (atMs) => events.onSent(atMs),
      onTokens: (atMs, delta) => events.onTokens(atMs, delta),
      onEnd: (atMs, end) => {
        this.#protocol.remember(history, turn.answer);
        events.onEnd(atMs, end);
      },
    });
    this.#turn = turn;
    turn.call = this.#world.wire.send(
      {
        method: 'POST',
        path: this.#protocol.path,
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          ...this.#world.headers,
        },
        body: JSON.stringify(body),
      },
      turn,
    );
  }

  interrupt(): void {
    this.#turn?.stop('interrupted');
  }

  close(): void {
    this.#turn?.stop('unfinished');
  }
}

class SseTurn<H> implements HttpEvents {
  readonly answer: Answer;
  call: HttpCall | null = null;
  readonly #protocol: SseProtocol<H>;
  readonly #clock: Clock;
  readonly #ask: Ask;
  readonly #events: TurnEvents;
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  #status = 0;
  #isStream = false;
  #errorBody = '';
  #nowMs = 0; // when the bytes that are being read arrived
  #stopped: 'interrupted' | 'unfinished' | null = null;
  #over = false;

  constructor(protocol: SseProtocol<H>, clock: Clock, ask: Ask, events: TurnEvents) {
    this.#protocol = protocol;
    this.#clock = clock;
    this.#ask = ask;
    this.#events = events;
    this.answer = new Answer((delta) => this.#events.onTokens(this.#nowMs, delta));
    this.#parser = createParser({ onEvent: ({ data }) => this.#read(data) });
  }

  stop(how: 'interrupted' | 'unfinished'): void {
    if (this.#over || this.#stopped !== null) return;
    this.#stopped = how;
    this.call?.abort();
  }

  onSent(): void {
    this.#events.onSent(this.#clock.nowMs());
  }

  onHead(status: number, header: (name: string) => string): void {
    this.#status = status;
    this.#isStream = header('content-type').startsWith('text/event-stream');
  }

  onData(bytes: Uint8Array): void {
    this.#nowMs = this.#clock.nowMs();
    const text = this.#decoder.decode(bytes, { stream: true });
    if (this.#status === 200 && this.#isStream) this.#parser.feed(text);
    else if (this.#errorBody.length < ERROR_BODY_MAX) this.#errorBody += text;
  }

  onEnd(): void {
    if (this.#status === 200 && this.#isStream) this.#end(this.answer.end(this.#ask));
    else this.#end(this.#refused());
  }

  onError(kind: string, message: string): void {
    if (this.#stopped === 'interrupted') this.#end(this.answer.end(this.#ask, 'interrupted'));
    else if (this.#stopped !== null) this.#end(plainEnd('unfinished'));
    else if (this.answer.text !== '') this.#end(plainEnd('truncated', `cut off: ${kind}`, message));
    else this.#end(plainEnd('error', kind, message));
  }

  #read(data: string): void {
    if (data === '[DONE]') return;
    let event: unknown;
    try {
      event = JSON.parse(data);
    } catch {
      this.answer.failure ??= { kind: 'malformed event', message: data.slice(0, 200) };
      return;
    }
    this.#protocol.read(event, this.answer);
  }

  #refused(): TurnEnd {
    let body: unknown = null;
    try {
      body = JSON.parse(this.#errorBody);
    } catch {
      body = null; // proxies answer with HTML
    }
    const code = textOr(field(body, 'error', 'code'), textOr(field(body, 'error', 'type'), ''));
    if (this.#status === 200) {
      return plainEnd('error', 'not an event stream', this.#errorBody.slice(0, 200));
    }
    const kind = `http ${this.#status}${code === '' ? '' : ` ${code}`}`;
    const message = textOr(field(body, 'error', 'message'), this.#errorBody.slice(0, 200));
    this.answer.failure = { kind, message };
    return this.answer.end(this.#ask);
  }

  #end(end: TurnEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.onEnd(this.#clock.nowMs(), end);
  }
}
