// ResponseRun: one response from its plan to its last event. Owns the generation, the way from text to events, the
// heartbeat of a long prefill, and the ends that are not the model's: cancel, steering, failure. Knows no transport.
// Before it: routes.ts and socket-lane.ts; after it: generation/generation.ts and back through events.ts.
import type { Timer } from '../../kernels/clock.ts';
import { type Fault, faultOfFailure, faultOfRefusal } from '../base/errors.ts';
import type { AnswerReader } from '../chat/answer-reader.ts';
import type { AnswerForm } from '../chat/form.ts';
import { chatLogprobs, namedTokens, withoutEnd } from '../chat/logprobs.ts';
import { reasoningTokens } from '../chat/reasoning.ts';
import type { GenerationDelta, GenerationEnd, RunningGeneration } from '../generation/generation.ts';
import { type ResponseEvent, ResponseEvents, type TokenSpan } from './events.ts';
import type { Item } from './items.ts';
import type { ResponsePlan } from './plan.ts';
import { type ResponseHead, responseUsage } from './response-object.ts';
import type { ResponsesService } from './responses-service.ts';

/** A refusal in the words of a stream: created, then failed. Clients that shorten their history look for it there. */
export function sayRefused(
  head: ResponseHead,
  refused: Fault,
  service: Pick<ResponsesService, 'freshId' | 'epochSeconds'>,
  emit: (event: ResponseEvent) => void,
): void {
  const { freshId, epochSeconds } = service;
  const events = new ResponseEvents({ head, freshId, epochSeconds, emit });
  events.created();
  events.fail(refused);
}

export interface RunListener {
  onEvent(event: ResponseEvent): void;
  onBeat?(event: ResponseEvent): void; // of a repeatable one: a sign of life that is none of its events
  onEnd(): void; // once, after the last event; also when it was cancelled
}

// Clients time out on silence: Codex after 300 s, proxies after 30 to 60. Only events count for Codex, not comments.
const HEARTBEAT_MS = 10_000;

export class ResponseRun {
  readonly plan: ResponsePlan;
  readonly #service: ResponsesService;
  readonly #listener: RunListener;
  readonly #events: ResponseEvents;
  readonly #tokens: ReturnType<typeof namedTokens>; // as log-probabilities name them
  #reader: AnswerReader | null = null;
  #generation: RunningGeneration | null = null;
  #heartbeat: Timer | null = null;
  #lastEventMs = 0;
  #phase: 'new' | 'running' | 'over' = 'new';
  #steered = false;
  #paused = false;
  #span: TokenSpan = { index: 0, count: 0 }; // tokens not yet told
  #logprobs: unknown[] = []; // of those
  #reasoned = ''; // all of it
  #broken = false; // a call was cut off, by whatever
  #left = false;

  constructor(plan: ResponsePlan, service: ResponsesService, listener: RunListener) {
    this.plan = plan;
    this.#service = service;
    this.#listener = listener;
    this.#tokens = namedTokens(
      service.model.tokenizer,
      plan.head.request.return_tokens_as_token_ids === true,
    );
    this.#events = new ResponseEvents({
      head: plan.head,
      freshId: plan.repeatable ? itemIdsOf(plan.head.id) : service.freshId,
      epochSeconds: service.epochSeconds,
      emit: (event) => {
        this.#lastEventMs = service.clock.nowMs();
        listener.onEvent(event);
      },
    });
  }

  get id(): string {
    return this.#events.id;
  }

  get events(): ResponseEvents {
    return this.#events;
  }

  get over(): boolean {
    return this.#phase === 'over';
  }

  /** It has ended without a word, because this server does: it is for another node. */
  get left(): boolean {
    return this.#left;
  }

  /** The conversation with the answer as far as it goes. */
  get conversation(): readonly Item[] {
    return [...this.plan.history, ...this.plan.input, ...this.#events.output];
  }

  /** Says `response.created`, or returns why the engine takes no more; then nothing has been said. */
  start(form: AnswerForm): Fault | null {
    if (this.#phase !== 'new') return null; // cancelled while its form was being made
    const { conversation, input, prepared } = this.plan;
    const closed = conversation?.begin(input) ?? null;
    if (closed !== null) return closed;
    const ready = prepared.ready(form);
    const started = ready.start({
      onDelta: (delta) => this.#onDelta(delta),
      onEnd: (end) => this.#onEnd(end),
    });
    if (!started.ok) {
      conversation?.end(null);
      return faultOfRefusal(started);
    }
    this.#generation = started;
    this.#phase = 'running';
    if (this.#paused) started.pause();
    this.#reader = ready.newReader({
      reasoning: (text) => this.#reason(text),
      text: (text) => this.#say(text),
      callStart: (tool) => this.#events.openCall(tool),
      callDelta: (text) => this.#events.callDelta(text),
      callEnd: (whole) => {
        this.#broken ||= !whole;
        if (whole) this.#events.closeCall();
        else this.#events.closeItem('incomplete');
      },
    });
    this.#events.created();
    for (const item of this.plan.delegated) this.#events.foreign(item);
    this.#heartbeat = this.#scheduleHeartbeat(HEARTBEAT_MS);
    return null;
  }

  /** A warm-up: it is complete at once and has said nothing. `promptTokens` as if it had been computed. */
  acknowledge(): void {
    this.#events.created();
    this.#events.acknowledge(this.plan.prepared.promptTokenCount);
    this.#finish();
  }

  /** Nothing more is said; the device stops at its next step. Idempotent. */
  cancel(): void {
    if (this.#phase === 'over') return;
    this.#events.cancelled();
    this.#generation?.cancel();
    this.#finish();
  }

  /** New input waits: ends at the next token, or after the call that is being written. */
  steer(): void {
    this.#steered = true;
    this.#stopAtBorder();
  }

  /** Its answer is not what its request alone would make. */
  get steered(): boolean {
    return this.#steered;
  }

  pause(): void {
    this.#paused = true;
    this.#generation?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#generation?.resume();
  }

  #onDelta(delta: GenerationDelta): void {
    if (this.#phase === 'over') return;
    const { tokens, index, logprobs } = delta;
    this.#span = {
      index: this.#span.count === 0 ? index : this.#span.index,
      count: this.#span.count + tokens.length,
    };
    if (logprobs !== null) {
      const { spec } = this.#service.model;
      const endIds = this.plan.head.request.ignore_eos === true ? [] : spec.eosTokenIds;
      this.#logprobs.push(...chatLogprobs(this.#tokens, withoutEnd(tokens, endIds), logprobs).content);
    }
    this.#reader?.push(delta);
    if (this.#steered) this.#stopAtBorder();
  }

  #stopAtBorder(): void {
    if (this.#reader?.inCall !== true) this.#generation?.cancel();
  }

  #say(text: string): void {
    this.#events.text(text, this.#span, this.#logprobs);
    this.#span = { index: this.#span.index + this.#span.count, count: 0 };
    this.#logprobs = [];
  }

  #reason(text: string): void {
    this.#reasoned += text;
    this.#events.reasoning(text);
  }

  #onEnd(end: GenerationEnd): void {
    if (this.#phase === 'over') return;
    if (this.plan.repeatable && end.failure?.code === 'shutdown') {
      this.#left = true; // another node says the rest
      this.#finish();
      return;
    }
    const threw = end.failure?.code === 'request-threw'; // maybe the reader itself
    if (!threw) this.#reader?.end(end.reason !== 'stop');
    const { tokenizer } = this.#service.model;
    const reasoned = reasoningTokens(this.#reasoned, { tokenizer, start: this.plan.reasoning });
    const usage = responseUsage(end, reasoned);
    const asked = this.#events.output.some(({ type }) => type.endsWith('_call'));
    if (end.failure !== null) this.#events.fail(faultOfFailure(end.failure));
    else if (end.reason === 'length' || (end.reason === 'stop' && this.#broken))
      this.#events.incomplete('max_output_tokens', usage);
    else if (end.reason === 'cancelled' && !asked) this.#events.incomplete('steered', usage);
    else this.#events.complete(usage);
    this.#finish();
  }

  #finish(): void {
    this.#phase = 'over';
    this.#heartbeat?.cancel();
    try {
      this.#writeDown();
    } finally {
      this.#service.answering.route?.release();
      this.#listener.onEnd();
    }
  }

  /** What was said and answered becomes part of its conversation, unless nothing came of it. */
  #writeDown(): void {
    const { status, output } = this.#events;
    const isSaid = status === 'completed' || status === 'incomplete';
    this.plan.conversation?.end(isSaid ? [...this.plan.input, ...output] : null);
  }

  #beat(): void {
    if (!this.plan.repeatable) this.#events.inProgress();
    else {
      this.#lastEventMs = this.#service.clock.nowMs();
      this.#listener.onBeat?.(this.#events.beat());
    }
  }

  #scheduleHeartbeat(delayMs: number): Timer {
    const { clock } = this.#service;
    return clock.schedule(delayMs, () => {
      if (this.#phase === 'over') return;
      const silentMs = clock.nowMs() - this.#lastEventMs;
      if (silentMs >= HEARTBEAT_MS) this.#beat();
      this.#heartbeat = this.#scheduleHeartbeat(
        silentMs >= HEARTBEAT_MS ? HEARTBEAT_MS : HEARTBEAT_MS - silentMs,
      );
    });
  }
}

/** The same on every node. */
function itemIdsOf(responseId: string): () => string {
  let count = 0;
  return () => `${responseId.slice(responseId.indexOf('_') + 1)}.${++count}`;
}
