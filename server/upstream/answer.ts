// UpstreamAnswer: the stream of chunks of one answer as a generation, the seam that the routes already read. Owns parsing,
// idle time-out, usage, and what becomes of a stream that breaks; the tokens of an upstream have no ids here.
// Before it: client.ts opens it; after it: lanes/entry.ts hands it to a route as its generator.
import { createParser } from 'eventsource-parser';
import type { Clock, Timer } from '../../kernels/clock.ts';
import {
  type AnswerEvent,
  type GenerateResult,
  type GenerationEnd,
  type GenerationSink,
  THREW,
  threwAt,
} from '../generation/generation.ts';
import type { WireCall } from './wire.ts';

export interface UpstreamAnswerParts {
  readonly lane: string; // for messages
  readonly clock: Clock;
  readonly idleTimeoutMs: number;
  readonly call: WireCall;
}

/** What it has to know of what it was asked. */
export interface UpstreamTerms {
  readonly choiceCount: number;
  readonly promptTokenCount: number; // estimated
  readonly deadlineMs: number; // clock time
}

interface Choice {
  ended: boolean;
  characters: number;
  call: number | null; // index of the call that is open
  reason: 'stop' | 'length' | null;
}

interface Counts {
  readonly prompt: number;
  readonly cached: number;
  readonly output: number;
}

type EndOf = Pick<GenerationEnd, 'reason' | 'failure'>;

const CHARACTERS_PER_TOKEN = 4; // about; for upstreams that tell no usage
const EVENT_SIZE_MAX = 16 * 2 ** 20; // characters of one event

export class UpstreamAnswer {
  readonly #parts: UpstreamAnswerParts;
  readonly #parser = createParser({
    onEvent: ({ data }) => this.#onEvent(data),
    maxBufferSize: EVENT_SIZE_MAX,
  });
  readonly #decoder = new TextDecoder();
  readonly #choices: Choice[] = [];
  #sink: GenerationSink | null = null;
  #promptTokens = 0; // of the request, estimated
  #usage: Counts | null = null;
  #timer: Timer | null = null; // idle
  #deadline: Timer | null = null;
  #early: ('end' | { readonly error: string })[] = []; // came before anybody listened
  #paused = true;
  #over = false;

  /** Reads nothing until somebody starts it. */
  constructor(parts: UpstreamAnswerParts) {
    this.#parts = parts;
    parts.clock.defer(() => {
      if (this.#paused && !this.#over) parts.call.pause();
    });
  }

  /** Once. The sink is never called in the caller's stack. */
  start({ choiceCount, promptTokenCount, deadlineMs }: UpstreamTerms, sink: GenerationSink): GenerateResult {
    const { clock, call } = this.#parts;
    this.#sink = sink;
    this.#promptTokens = promptTokenCount;
    for (let index = 0; index < choiceCount; index++) {
      this.#choices.push({ ended: false, characters: 0, call: null, reason: null });
    }
    this.#deadline = clock.schedule(deadlineMs - clock.nowMs(), () =>
      this.#fail("the request's time ran out", 'deadline'),
    );
    clock.defer(() => this.#begin());
    const resume = () => {
      this.#paused = false;
      if (this.#over) return;
      this.#wait();
      call.resume();
    };
    return {
      ok: true,
      cancel: () => clock.defer(() => this.#finish({ reason: 'cancelled', failure: null })),
      pause: () => {
        this.#paused = true;
        this.#timer?.cancel(); // it is not the upstream that is silent
        call.pause();
      },
      resume,
    };
  }

  /** Nobody will start it, or go on with it. */
  abandon(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#deadline?.cancel();
    this.#parts.call.abort();
  }

  onData(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#held.push(bytes.slice());
    if (this.#sink !== null) this.#read();
  }

  onEnd(): void {
    if (this.#sink === null) this.#early.push('end');
    else this.#endOfStream();
  }

  onError(message: string): void {
    if (this.#sink === null) this.#early.push({ error: message });
    else this.#fail(`the upstream of ${this.#parts.lane} broke off: ${message}`);
  }

  readonly #held: Uint8Array[] = []; // at most what was on its way when the wire was paused

  #begin(): void {
    if (this.#over) return;
    this.#paused = false;
    this.#wait();
    this.#parts.call.resume();
    this.#read();
    for (const early of this.#early.splice(0)) {
      if (early === 'end') this.onEnd();
      else this.onError(early.error);
    }
  }

  #read(): void {
    for (const bytes of this.#held.splice(0)) {
      if (this.#over) return;
      this.#wait();
      try {
        this.#parser.feed(this.#decoder.decode(bytes, { stream: true }));
      } catch (error) {
        this.#fail(`the upstream of ${this.#parts.lane} sent no event stream: ${(error as Error).message}`);
      }
    }
  }

  /** Silence is measured from here. */
  #wait(): void {
    this.#timer?.cancel();
    const { clock, idleTimeoutMs, lane } = this.#parts;
    this.#timer = clock.schedule(idleTimeoutMs, () =>
      this.#fail(`the upstream of ${lane} was silent for ${idleTimeoutMs} ms`),
    );
  }

  #onEvent(data: string): void {
    if (this.#over) return;
    if (data === '[DONE]') {
      this.#endOfStream();
      return;
    }
    let chunk: Chunk;
    try {
      chunk = JSON.parse(data) as Chunk;
    } catch {
      this.#fail(`the upstream of ${this.#parts.lane} sent an event that is not JSON`);
      return;
    }
    if (chunk.error != null) {
      this.#fail(
        `the upstream of ${this.#parts.lane} failed: ${String(chunk.error.message ?? chunk.error).slice(0, 500)}`,
      );
      return;
    }
    if (chunk.usage != null) this.#usage = countsOf(chunk.usage);
    for (const part of Array.isArray(chunk.choices) ? chunk.choices : []) this.#onPart(part);
  }

  #onPart({ index = 0, delta, finish_reason: finish }: ChunkChoice): void {
    const choice = this.#choices[index];
    if (choice === undefined || choice.reason !== null) return;
    const events: AnswerEvent[] = [];
    const content = typeof delta?.content === 'string' ? delta.content : '';
    const reasoning = delta?.reasoning_content ?? delta?.reasoning;
    const reasons = typeof reasoning === 'string' && reasoning !== '' && choice.call === null;
    if (choice.call !== null && content !== '') closeCall(choice, events);
    if (reasons) events.push({ kind: 'reasoning', text: reasoning });
    if (content !== '') events.push({ kind: 'text', text: content });
    for (const call of delta?.tool_calls ?? []) tellCall(choice, call, events);
    if (finish != null) {
      choice.reason = finish === 'length' ? 'length' : 'stop';
      if (choice.reason === 'stop') closeCall(choice, events);
    }
    if (events.length === 0) return;
    const text = events.map((event) => ('text' in event ? event.text : '')).join('');
    choice.characters += text.length;
    try {
      this.#sink?.onDelta({ choice: index, text, tokens: [], index: 0, logprobs: null, events });
    } catch (error) {
      this.#throwLater(error);
      this.#finish(THREW);
    }
  }

  /** What its reader threw is no fault of the wire, which would swallow it: it is the clock's owner who tells. */
  #throwLater(error: unknown): void {
    this.#parts.clock.defer(() => {
      throw error;
    });
  }

  #endOfStream(): void {
    if (this.#over) return;
    if (this.#choices.every(({ reason }) => reason !== null)) this.#finish(null);
    else this.#fail(`the upstream of ${this.#parts.lane} ended in the middle of its answer`);
  }

  #fail(message: string, code: 'upstream-failed' | 'deadline' = 'upstream-failed'): void {
    this.#finish({ reason: 'failed', failure: { code, message } });
  }

  /** Null: as each choice said itself. */
  #finish(end: EndOf | null): void {
    if (this.#over) return;
    this.abandon();
    const sink = this.#sink!;
    for (const told of this.#choices.map((_, index) => this.#endOf(index, end))) {
      try {
        sink.onEnd(told);
      } catch (error) {
        this.#throwLater(error);
        sink.onEnd(threwAt(told));
      }
    }
  }

  #endOf(index: number, end: EndOf | null): GenerationEnd {
    const { prompt, cached, output } = this.#countsOf(index);
    return {
      choice: index,
      reason: this.#choices[index]!.reason ?? 'stop',
      failure: null,
      ...(end !== null && end),
      stopString: null,
      promptTokens: prompt,
      cachedTokens: cached,
      outputTokens: output,
      acceptedDraftTokens: 0,
      rejectedDraftTokens: 0,
      queueMs: 0,
    };
  }

  /** An upstream counts all choices together: the first one carries it. */
  #countsOf(index: number): Counts {
    if (this.#usage !== null) return index === 0 ? this.#usage : { ...this.#usage, output: 0 };
    const output = Math.ceil(this.#choices[index]!.characters / CHARACTERS_PER_TOKEN);
    return { prompt: this.#promptTokens, cached: 0, output };
  }
}

interface Chunk {
  readonly choices?: readonly ChunkChoice[];
  readonly usage?: ChunkUsage | null;
  readonly error?: { readonly message?: unknown } | null;
}

interface ChunkUsage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
}

interface ChunkChoice {
  readonly index?: number;
  readonly delta?: {
    readonly content?: unknown;
    readonly reasoning_content?: unknown; // of most servers
    readonly reasoning?: unknown; // of some
    readonly tool_calls?: readonly ChunkCall[] | null;
  } | null;
  readonly finish_reason?: string | null;
}

interface ChunkCall {
  readonly index?: number;
  readonly function?: { readonly name?: string; readonly arguments?: string } | null;
}

/** A call begins with its name, and ends where the next begins. */
function tellCall(choice: Choice, { index = 0, function: called }: ChunkCall, events: AnswerEvent[]): void {
  if (choice.call !== index) {
    if (called?.name === undefined) return; // more of a call that has been closed, or that nobody named
    closeCall(choice, events);
    events.push({ kind: 'callStart', name: called.name });
    choice.call = index;
  }
  const text = called?.arguments ?? '';
  if (text !== '') events.push({ kind: 'callDelta', text });
}

function closeCall(choice: Choice, events: AnswerEvent[]): void {
  if (choice.call !== null) events.push({ kind: 'callEnd' });
  choice.call = null;
}

function countsOf(usage: ChunkUsage): Counts {
  return {
    prompt: Number(usage.prompt_tokens ?? 0),
    cached: Number(usage.prompt_tokens_details?.cached_tokens ?? 0),
    output: Number(usage.completion_tokens ?? 0),
  };
}
