// One HTTP request on its way through a route: its caller, its body, its one answer. Owns headers common to all
// answers, the measuring of status and duration, and "answered once"; never knows what a route does.
// Before it: door.ts; after it: the dialects.
import type { z } from 'zod';
import type { Clock } from '../../kernels/clock.ts';
import { contained } from '../base/contained.ts';
import { type Fault, fault } from '../base/errors.ts';
import { checkJson, type Parsed, parseJson } from '../base/json-body.ts';
import type { HttpExchange, HttpRequest } from '../listeners/transport.ts';
import type { LongTexts } from '../text/long-texts.ts';

export interface CallParts {
  readonly clock: Clock;
  readonly bodySizeMax: number;
  readonly bodyValuesMax: number;
  readonly texts: Pick<LongTexts, 'run'>;
  /** Once per call, when its answer is complete or its caller has gone (status 499). */
  readonly onEnd: (call: HttpCall, status: number, durationMs: number) => void;
  /** A route threw: a mistake of ours. */
  readonly onCrash: (call: HttpCall, error: unknown) => void;
}

export interface CallFacts {
  readonly id: string; // told to the caller as x-request-id, and logged
  readonly route: string; // pattern, for metrics
  readonly owner: string; // whose API key
  readonly parameters: readonly string[]; // parts of the path where the pattern says so
  readonly headers: Readonly<Record<string, string>>; // on every answer
  readonly errorBody: (refused: Fault) => unknown; // in the shape of the route's API
  readonly errorStatus: (refused: Fault) => number;
  readonly errorEvent: string | null; // name of an error in a stream; null: its events have none
}

/** Lines of JSON (Ollama) have no comments: white space before the next line is all that says "still working". */
export type StreamFraming = 'events' | 'lines';

export function streamHeaders(framing: StreamFraming): Readonly<Record<string, string>> {
  return {
    'content-type': framing === 'lines' ? 'application/x-ndjson' : 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no', // nginx would collect the events
  };
}

const CALLER_GONE = 499; // nginx's "client closed request"; in metrics and logs only

export class HttpCall {
  readonly request: HttpRequest;
  readonly facts: CallFacts;
  readonly #parts: CallParts;
  readonly #exchange: HttpExchange;
  readonly #startedMs: number;
  #status = 0; // 0: not answered yet
  #held: StreamFraming | null = null; // how a stream is framed that nobody but hold() has begun
  #ended = false;
  readonly #headers: Record<string, string>;
  #body: Parsed<unknown> | null = null;
  #texts: CallParts['texts'];
  #onAbort: (() => void) | null = null;
  readonly #onOver: (() => void)[] = []; // a few at most

  constructor(parts: CallParts, exchange: HttpExchange, facts: CallFacts) {
    this.request = exchange.request;
    this.facts = facts;
    this.#parts = parts;
    this.#exchange = exchange;
    this.#headers = { ...facts.headers };
    this.#texts = parts.texts;
    this.#startedMs = parts.clock.nowMs();
    exchange.onAbort(() => {
      if (this.#ended) return;
      this.#finish(CALLER_GONE);
      this.#contain(() => this.#onAbort?.());
    });
  }

  /** The first part of the path that the pattern leaves open; '' where it leaves none. */
  get parameter(): string {
    return this.facts.parameters[0] ?? '';
  }

  /** The answer is complete or its caller has gone: there is nothing more to say. */
  get over(): boolean {
    return this.#ended;
  }

  /** The caller has gone before the answer was complete. At most once; nothing more can be said. */
  onAbort(fn: () => void): void {
    this.#onAbort = fn;
  }

  /** The answer is complete or its caller has gone; at once if that was before. */
  onOver(fn: () => void): void {
    if (this.#ended) fn();
    else this.#onOver.push(fn);
  }

  /**
   * Reads and checks the body, then calls `then` with it; answers by itself when there is nothing to call it with.
   * `anyType`: of any content-type, as some APIs' callers are used to, unless a web page may have sent it.
   */
  readJson<T>(
    schema: z.ZodType<T>,
    then: (value: T) => void,
    { anyType = false }: { readonly anyType?: boolean } = {},
  ): void {
    const isTrusted = anyType && !this.#isFromPage;
    const type = this.request.header('content-type').toLowerCase();
    // Strict on purpose: a web page may send any other type to a local server without asking first.
    if (!isTrusted && !/^application\/([\w.-]+\+)?json\s*(;|$)/.test(type)) {
      const message = `the body must be application/json, not ${type === '' ? 'without a content-type' : type}`;
      this.refuse(fault('unsupported_media_type', message));
      return;
    }
    const encoding = this.request.header('content-encoding');
    if (encoding !== '' && encoding !== 'identity') {
      this.refuse(fault('unsupported_media_type', `bodies are read as they are, not ${encoding}`));
      return;
    }
    this.peekJson((value) => {
      let parsed: Parsed<T> | null = null; // once, however often the rest is run
      this.guard(() => {
        parsed ??= value.ok ? checkJson(value.value, schema) : value;
        if (parsed.ok) then(parsed.value);
        else this.refuse(parsed.fault);
      });
    });
  }

  /** The body as JSON, whatever its type and shape; it is read once, however often somebody asks. */
  peekJson(then: (value: Parsed<unknown>) => void): void {
    if (this.#body !== null) {
      then(this.#body);
      return;
    }
    const { bodySizeMax, bodyValuesMax } = this.#parts;
    this.#exchange.readBody(bodySizeMax, (body) => {
      if (body === null) {
        const message = `the body is larger than ${bodySizeMax} bytes (--body-size)`;
        this.refuse(fault('body_too_large', message));
        return;
      }
      this.#contain(() => {
        this.#body = parseJson(body, bodyValuesMax);
        then(this.#body);
      });
    });
  }

  /** From here on long texts are those of another model than the server's own. */
  takeTexts(texts: CallParts['texts']): void {
    this.#texts = texts;
  }

  /**
   * Begins a stream before its route has anything to say, so that a caller who waits sees a sign of life. The route begins it
   * once more, which does nothing; what it would answer whole becomes the stream's only event.
   */
  hold(framing: StreamFraming): void {
    if (this.begin(200, streamHeaders(framing))) this.#held = framing;
  }

  /** A sign of life on a held stream, which clients do not see. */
  beat(text: string): void {
    if (!this.#ended && this.#held !== null) this.write(this.#held === 'lines' ? ' ' : `: ${text}\n\n`);
  }

  /**
   * Runs a part of a route; if it throws, the caller gets a 500 and the log the reason. It may run again from its
   * beginning where it needs the tokens of a long text (text/long-texts.ts).
   */
  guard(run: () => void): void {
    this.#texts.run(run, {
      over: () => this.#ended,
      failed: (error) => this.#crash(error),
    });
  }

  #crash(error: unknown): void {
    this.#parts.onCrash(this, error);
    this.refuse(fault('internal_error', `an internal error; the log has it under ${this.facts.id}`));
  }

  /** For whatever the transport calls: behind it there is nobody who would catch. */
  #contain(act: () => void): void {
    contained(act, (error) => this.#crash(error));
  }

  /** On the answer, where it has not begun. */
  addHeader(name: string, value: string): void {
    this.#headers[name] = value;
  }

  /** `value` as JSON; a string is taken to be JSON already. */
  reply(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
    const body = typeof value === 'string' ? value : JSON.stringify(value);
    this.replyText(status, body, { 'content-type': 'application/json', ...headers });
  }

  replyText(status: number, body: string, headers: Readonly<Record<string, string>>): void {
    this.replyBytes(status, body, headers);
  }

  replyBytes(status: number, body: string | Uint8Array, headers: Readonly<Record<string, string>>): void {
    if (this.#ended) return;
    if (this.#status !== 0) {
      if (this.#held === null) return;
      const text = Buffer.from(body).toString();
      this.write(this.#held === 'lines' ? `${text}\n` : `data: ${text}\n\n`);
      this.end();
      return;
    }
    this.#status = status;
    this.#exchange.respond(status, { ...this.#headers, ...headers }, body);
    this.#finish(status);
  }

  refuse(refused: Fault, headers: Readonly<Record<string, string>> = {}): void {
    if (this.#status !== 0) {
      // An event stream has begun, as with a request that had to wait: its status is out, so the refusal is an event.
      if (this.#ended) return;
      const { errorBody, errorEvent } = this.facts;
      const name = errorEvent === null ? '' : `event: ${errorEvent}\n`;
      const json = JSON.stringify(errorBody(refused));
      this.write(this.#held === 'lines' ? `${json}\n` : `${name}data: ${json}\n\n`);
      this.end();
      return;
    }
    const retryAfter: Record<string, string> = {};
    if (refused.retryAfterMs !== null) {
      retryAfter['retry-after'] = `${Math.max(1, Math.ceil(refused.retryAfterMs / 1000))}`; // whole seconds
      retryAfter['retry-after-ms'] = `${Math.ceil(refused.retryAfterMs)}`; // OpenAI's clients prefer it
    }
    const { errorBody, errorStatus } = this.facts;
    this.reply(errorStatus(refused), errorBody(refused), { ...retryAfter, ...headers });
  }

  /** Begins an answer in pieces. False: somebody has answered already, or the caller has gone. */
  begin(status: number, headers: Readonly<Record<string, string>>): boolean {
    if (this.#status !== 0 || this.#ended) return false;
    this.#status = status;
    this.#exchange.begin(status, { ...this.#headers, ...headers });
    return true;
  }

  write(chunk: string): boolean {
    return this.#exchange.write(chunk);
  }

  end(): void {
    if (this.#ended) return;
    this.#exchange.end();
    this.#finish(this.#status);
  }

  get bufferedBytes(): number {
    return this.#exchange.bufferedBytes;
  }

  onWritable(fn: () => void): void {
    this.#exchange.onWritable(() => this.#contain(fn));
  }

  /** Browsers write these two into what a page sends, and pages cannot take them out. */
  get #isFromPage(): boolean {
    const { request } = this;
    return request.header('origin') !== '' || request.header('sec-fetch-site') !== '';
  }

  #finish(status: number): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const fn of this.#onOver) this.#contain(fn);
    this.#contain(() => this.#parts.onEnd(this, status, this.#parts.clock.nowMs() - this.#startedMs));
  }
}
