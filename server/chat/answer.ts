// Runs the generations of one request and delivers them, whole or as a stream, in the shape that its API gave.
// Owns cancellation when the caller leaves, pausing for a slow reader, and what happens when one choice fails.
// Before it: openai/chat.ts, openai/completions.ts; after it: generation/generation.ts and back through http/sse.ts.

import type { TokenLogprobs } from '../../kernels/backend.ts';
import { type Fault, faultOfFailure, faultOfRefusal } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { GenerationDelta, GenerationEnd, RunningGeneration } from '../generation/generation.ts';
import {
  lastTurnReport,
  PREFIX_HEADER,
  type PrefixReport,
  prefixHeader,
} from '../generation/prefix-report.ts';
import type { HttpCall, StreamFraming } from '../http/http-call.ts';
import { EventStream } from '../http/sse.ts';
import type { AnswerStart } from './answering.ts';
import type { ChatService } from './chat-service.ts';
import type { AnswerForm, FormAsk } from './form.ts';
import { type Usage, usageOf } from './usage.ts';

export interface AnswerPlan {
  readonly starts: readonly AnswerStart[]; // one per prompt, all with the same number of choices
  readonly logprobs: boolean; // asked for
  readonly stream: boolean;
  /** `stream_options.include_usage`; null: not said, then the last chunk of the stream carries it. */
  readonly includeUsage: boolean | null;
  readonly shape: AnswerShape;
  readonly framing?: StreamFraming; // server-sent events unless said
  readonly unmarkedEnd?: boolean; // no [DONE] behind the last event: it says itself that it is the last one
}

/** JSON of one API. `choice` counts through all prompts: prompt index · choices per prompt + index of the choice. */
export interface AnswerShape {
  /** Chunk before a choice's first token; null if there is none. */
  opening(choice: number): string | null;
  /** Null: nothing of it is shown. */
  delta(choice: number, delta: GenerationDelta): string | null;
  /** The last chunk of a choice; with `usage` where the stream ends without a chunk for it. */
  ending(choice: number, reason: 'stop' | 'length', usage: Usage | null): string;
  usage(usage: Usage): string;
  whole(choices: readonly WholeChoice[], usage: Usage): unknown;
  /** What becomes of each choice as it happens, also where the answer is told whole; before the above. */
  onDelta?(choice: number, delta: GenerationDelta): void;
  onEnd?(choice: number, end: GenerationEnd): void;
}

export interface WholeChoice {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly logprobs: readonly TokenLogprobs[] | null;
  readonly promptLogprobs?: readonly TokenLogprobs[]; // of all prompt tokens but the first, where they were asked for
  readonly reason: 'stop' | 'length';
}

/** Answers the call, sooner or later, exactly once. */
export function deliverOutcome(call: HttpCall, outcome: Parsed<AnswerPlan>, service: ChatService): void {
  if (outcome.ok) deliver(call, outcome.value, service);
  else call.refuse(outcome.fault);
}

/** Likewise, once the answer's form is made. */
export function answerInForm(
  call: HttpCall,
  asked: FormAsk,
  service: ChatService,
  planOf: (form: AnswerForm) => Parsed<AnswerPlan>,
): void {
  service.answering.withForm(asked, (form) => {
    if (call.over) return; // left while the grammar was compiled
    call.guard(() => deliverOutcome(call, form.ok ? planOf(form.value) : form, service));
  });
}

function deliver(call: HttpCall, answer: AnswerPlan, service: ChatService): void {
  const delivery = answer.stream
    ? new StreamDelivery(call, answer, service)
    : new WholeDelivery(call, answer);
  const run = new Run(answer, delivery);
  call.onAbort(() => {
    delivery.leave();
    run.cancel();
  });
  const refused = run.start();
  if (refused === null) delivery.open(run);
  else call.refuse(refused);
}

/** Where the run's text goes. */
interface Delivery {
  open(run: Run): void; // everything was accepted; no delta has come yet
  onDelta(choice: number, delta: GenerationDelta): void;
  onChoice(choice: number, reason: 'stop' | 'length', usage: Usage | null): void; // usage with the last one
  onFault(fault: Fault): void; // nothing comes after it
  leave(): void; // the caller has gone
}

/** All generations of one request; the first failure ends them all. */
class Run {
  readonly #starts: readonly AnswerStart[];
  readonly #shape: AnswerShape;
  readonly #delivery: Delivery;
  readonly #running: RunningGeneration[] = [];
  readonly #ends: GenerationEnd[] = []; // by arrival
  #over = false;

  constructor({ starts, shape }: AnswerPlan, delivery: Delivery) {
    this.#starts = starts;
    this.#shape = shape;
    this.#delivery = delivery;
  }

  /** Starts all or none. */
  start(): Fault | null {
    for (const [prompt, one] of this.#starts.entries()) {
      const first = prompt * one.choiceCount;
      const started = one.start({
        onDelta: (delta) => {
          if (this.#over) return;
          this.#shape.onDelta?.(first + delta.choice, delta);
          this.#delivery.onDelta(first + delta.choice, delta);
        },
        onEnd: (end) => this.#onEnd(first + end.choice, end),
      });
      if (!started.ok) {
        this.cancel();
        return faultOfRefusal(started);
      }
      this.#running.push(started);
    }
    return null;
  }

  cancel(): void {
    this.#over = true;
    for (const generation of this.#running) generation.cancel();
  }

  pause(): void {
    for (const generation of this.#running) generation.pause();
  }

  resume(): void {
    for (const generation of this.#running) generation.resume();
  }

  #onEnd(choice: number, end: GenerationEnd): void {
    if (this.#over) return;
    if (end.failure !== null) {
      this.cancel();
      this.#delivery.onFault(faultOfFailure(end.failure));
      return;
    }
    this.#shape.onEnd?.(choice, end);
    this.#ends.push(end);
    const choiceCount = this.#starts.length * this.#starts[0]!.choiceCount;
    const isLast = this.#ends.length === choiceCount;
    const usage = isLast ? usageOf(this.#ends) : null;
    this.#delivery.onChoice(choice, end.reason === 'length' ? 'length' : 'stop', usage);
    this.#over ||= isLast; // not before: if that threw, the caller has to hear of it
  }
}

class StreamDelivery implements Delivery {
  readonly #call: HttpCall;
  readonly #answer: AnswerPlan;
  readonly #service: ChatService;
  #stream: EventStream | null = null;

  constructor(call: HttpCall, answer: AnswerPlan, service: ChatService) {
    this.#call = call;
    this.#answer = answer;
    this.#service = service;
  }

  open(run: Run): void {
    const { starts, shape } = this.#answer;
    if (starts.length === 1) tellPrefix(this.#call, lastTurnReport(starts[0]!.lastTurn));
    this.#stream = new EventStream(this.#call, {
      clock: this.#service.clock,
      framing: this.#answer.framing ?? 'events',
      bufferSizeMax: this.#service.bounds.streamBufferSizeMax,
      onSlow: () => run.pause(),
      onReady: () => run.resume(),
    });
    const choiceCount = starts.length * starts[0]!.choiceCount;
    for (let choice = 0; choice < choiceCount; choice++) {
      const opening = shape.opening(choice);
      if (opening !== null) this.#stream.send(opening);
    }
  }

  onDelta(choice: number, delta: GenerationDelta): void {
    const chunk = this.#answer.shape.delta(choice, delta);
    if (chunk !== null) this.#stream?.send(chunk);
  }

  onChoice(choice: number, reason: 'stop' | 'length', usage: Usage | null): void {
    const stream = this.#stream!;
    const { includeUsage, shape } = this.#answer;
    stream.send(shape.ending(choice, reason, includeUsage === null ? usage : null));
    if (usage === null) return;
    if (includeUsage === true) stream.send(shape.usage(usage));
    if (this.#answer.unmarkedEnd === true) stream.end();
    else stream.done();
  }

  /** The status is out already: the fault comes as an event, which OpenAI's clients throw as an error. */
  onFault(fault: Fault): void {
    this.#stream?.send(JSON.stringify(this.#call.facts.errorBody(fault)));
    this.#stream?.end();
  }

  leave(): void {
    this.#stream?.stop();
  }
}

interface Collected {
  readonly texts: string[];
  readonly tokens: number[];
  readonly logprobs: TokenLogprobs[];
  promptLogprobs?: readonly TokenLogprobs[];
  reason: 'stop' | 'length';
}

class WholeDelivery implements Delivery {
  readonly #call: HttpCall;
  readonly #answer: AnswerPlan;
  readonly #choices: Collected[];

  constructor(call: HttpCall, answer: AnswerPlan) {
    this.#call = call;
    this.#answer = answer;
    const choiceCount = answer.starts.length * answer.starts[0]!.choiceCount;
    this.#choices = Array.from({ length: choiceCount }, () => ({
      texts: [],
      tokens: [],
      logprobs: [],
      reason: 'stop',
    }));
  }

  open(): void {}

  onDelta(choice: number, delta: GenerationDelta): void {
    const collected = this.#choices[choice]!;
    if (delta.text !== '') collected.texts.push(delta.text);
    for (const token of delta.tokens) collected.tokens.push(token);
    if (delta.promptLogprobs !== undefined) collected.promptLogprobs = delta.promptLogprobs;
    for (const logprob of delta.logprobs ?? []) collected.logprobs.push(logprob);
  }

  onChoice(choice: number, reason: 'stop' | 'length', usage: Usage | null): void {
    this.#choices[choice]!.reason = reason;
    if (usage === null) return;
    const { logprobs: asked, shape } = this.#answer;
    const choices = this.#choices.map(({ texts, tokens, logprobs, reason: ended, ...prompt }) => ({
      ...prompt,
      text: texts.join(''),
      tokens,
      logprobs: asked ? logprobs : null,
      reason: ended,
    }));
    tellPrefix(this.#call, usage.sparklane?.prefix ?? {});
    this.#call.reply(200, shape.whole(choices, usage));
  }

  onFault(fault: Fault): void {
    this.#call.refuse(fault);
  }

  leave(): void {}
}

/** Why the prompt was computed, in the answer's head: of a stream what is known before it begins. */
export function tellPrefix(call: Pick<HttpCall, 'addHeader'>, report: Partial<PrefixReport>): void {
  const text = prefixHeader(report);
  if (text !== null) call.addHeader(PREFIX_HEADER, text);
}
