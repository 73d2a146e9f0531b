// Any protocol that is one request per turn, answered by server-sent events or at once: keeps the history, sends it whole,
// reads the answer. What bodies and events look like is the protocol's.
import { createParser, type EventSourceParser } from 'eventsource-parser';
import type { Clock } from '../../../kernels/clock.ts';
import { jsonValue } from '../../../server/base/json-text.ts';
import { Answer, field, textOr } from './answer.ts';
import {
  type Ask,
  type Dialogue,
  lostEnd,
  plainEnd,
  type Target,
  type TurnEnd,
  type TurnEvents,
} from './target.ts';
import type { HttpEvents, HttpWire, WireRequest } from './wire.ts';

/** One protocol. `H` is the history it sends again with every turn. */
export interface HttpProtocol<H> {
  readonly name: string;
  readonly path: string;
  readonly method?: 'GET' | 'POST'; // POST
  readonly headers?: Readonly<Record<string, string>>; // beside the endpoint's, which win
  readonly isWhole?: boolean; // answered by one JSON body, no stream
  newHistory(): H;
  append(history: H, ask: Ask): void;
  body(history: H, ask: Ask): Record<string, unknown>;
  /** One event's JSON; of a whole answer, its body. */
  read(event: unknown, answer: Answer): void;
  /** The answer, possibly a part of it, joins the history. */
  remember(history: H, answer: Answer): void;
}

export interface HttpEndpoint {
  readonly wire: HttpWire;
  readonly clock: Clock;
  readonly address: string; // for people
  readonly headers: Readonly<Record<string, string>>; // authorization and what the user adds
  readonly extraBody: Readonly<Record<string, unknown>>; // wins over the protocol's own fields
}

const ERROR_BODY_MAX = 8192; // characters of an error's body that are read
const WHOLE_BODY_MAX = 64 * 1024 * 1024; // characters of a whole answer's

export function httpTarget<H>(protocol: HttpProtocol<H>, endpoint: HttpEndpoint): Target {
  return {
    name: `${protocol.name} at ${endpoint.address}`,
    isWhole: protocol.isWhole === true,
    open: (_session, onReady) => {
      endpoint.clock.defer(onReady); // connections are the pool's
      return new HttpConversation(protocol, endpoint);
    },
    close: () => endpoint.wire.close(),
  };
}

class HttpConversation<H> implements Dialogue {
  readonly #protocol: HttpProtocol<H>;
  readonly #endpoint: HttpEndpoint;
  #history: H;
  #turn: HttpTurn<H> | null = null;

  constructor(protocol: HttpProtocol<H>, endpoint: HttpEndpoint) {
    this.#protocol = protocol;
    this.#endpoint = endpoint;
    this.#history = protocol.newHistory();
  }

  start(ask: Ask, events: TurnEvents): void {
    if (ask.reset) this.#history = this.#protocol.newHistory();
    const history = this.#history;
    this.#protocol.append(history, ask);
    const body = { ...this.#protocol.body(history, ask), ...this.#endpoint.extraBody };
    const turn = new HttpTurn(this.#protocol, this.#endpoint.clock, ask, {
      onSent: (atMs) => events.onSent(atMs),
      onTokens: (atMs, delta) => events.onTokens(atMs, delta),
      onEnd: (atMs, end) => {
        this.#protocol.remember(history, turn.answer);
        events.onEnd(atMs, end);
      },
    });
    this.#turn = turn;
    const { method = 'POST', path, headers, isWhole = false } = this.#protocol;
    turn.call = this.#endpoint.wire.send(
      {
        method,
        path,
        headers: {
          ...(method === 'POST' && { 'content-type': 'application/json' }),
          accept: isWhole ? 'application/json' : 'text/event-stream',
          ...headers,
          ...this.#endpoint.headers,
        },
        body: method === 'GET' ? '' : JSON.stringify(body),
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

class HttpTurn<H> implements HttpEvents {
  readonly answer: Answer;
  call: WireRequest | null = null;
  readonly #protocol: HttpProtocol<H>;
  readonly #clock: Clock;
  readonly #ask: Ask;
  readonly #events: TurnEvents;
  readonly #decoder = new TextDecoder();
  readonly #parser: EventSourceParser;
  #status = 0;
  #isStream = false;
  #body = ''; // of what is no stream
  #nowMs = 0; // when the bytes that are being read arrived
  #stopped: 'interrupted' | 'unfinished' | null = null;
  #over = false;

  constructor(protocol: HttpProtocol<H>, clock: Clock, ask: Ask, events: TurnEvents) {
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
    const isWhole = this.#status === 200 && this.#protocol.isWhole === true;
    if (this.#status === 200 && this.#isStream) this.#parser.feed(text);
    else if (this.#body.length < (isWhole ? WHOLE_BODY_MAX : ERROR_BODY_MAX)) this.#body += text;
  }

  onEnd(): void {
    const isWhole = this.#status === 200 && this.#protocol.isWhole === true;
    if (isWhole) this.#read(this.#body);
    if (isWhole || (this.#status === 200 && this.#isStream)) this.#end(this.answer.end(this.#ask));
    else this.#end(this.#refused());
  }

  onError(kind: string, message: string): void {
    if (this.#stopped === 'interrupted') this.#end(this.answer.end(this.#ask, 'interrupted'));
    else if (this.#stopped !== null) this.#end(plainEnd('unfinished'));
    else this.#end(lostEnd(this.answer.text, kind, message));
  }

  #read(data: string): void {
    if (data === '[DONE]') return;
    const event = jsonValue(data);
    if (event === undefined) this.answer.failure ??= { kind: 'malformed event', message: data.slice(0, 200) };
    else this.#protocol.read(event, this.answer);
  }

  #refused(): TurnEnd {
    const body = jsonValue(this.#body); // proxies answer with HTML
    const code = textOr(field(body, 'error', 'code'), textOr(field(body, 'error', 'type'), ''));
    if (this.#status === 200) {
      return plainEnd('error', 'not an event stream', this.#body.slice(0, 200));
    }
    const kind = `http ${this.#status}${code === '' ? '' : ` ${code}`}`;
    const message = textOr(field(body, 'error', 'message'), this.#body.slice(0, 200));
    this.answer.failure = { kind, message };
    return this.answer.end(this.#ask);
  }

  #end(end: TurnEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.onEnd(this.#clock.nowMs(), end);
  }
}
