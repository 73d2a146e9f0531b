// Ollama's objects of an answer: lines of a stream, or one. Owns their exact shape, with times in nanoseconds; never runs
// anything. Before it: chat/answer.ts; after it: http/sse.ts.

import type { AnswerShape, WholeChoice } from '../chat/answer.ts';
import type { ReadyAnswer } from '../chat/answering.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { chatLogprobs, withoutEnd } from '../chat/logprobs.ts';
import { extensionOf } from '../chat/usage.ts';
import { AnswerTimes } from '../generation/answer-times.ts';
import type { GenerationDelta, GenerationEnd } from '../generation/generation.ts';
import { OllamaReading, type Said } from './reading.ts';

export interface OllamaEventOptions {
  readonly asked: string; // the model, as the request calls it
  readonly newReader: ReadyAnswer['newReader'];
  readonly spell: (said: Said) => object; // as a message or as a response
  readonly context: Int32Array | null; // of the prompt, where the last object is to have what comes next
}

export class OllamaEvents implements AnswerShape {
  readonly #options: OllamaEventOptions;
  readonly #service: ChatService;
  readonly #times: AnswerTimes;
  readonly #reading: OllamaReading;
  readonly #drawn: number[] = []; // tokens, for the context
  #end: GenerationEnd | null = null;

  constructor(options: OllamaEventOptions, service: ChatService) {
    this.#options = options;
    this.#service = service;
    this.#times = new AnswerTimes(service.clock);
    this.#reading = new OllamaReading(options.newReader, service.freshId);
  }

  onDelta(choice: number, delta: GenerationDelta): void {
    this.#times.onDelta(choice, delta);
    this.#reading.push(delta);
    if (this.#options.context !== null) this.#drawn.push(...delta.tokens);
  }

  onEnd(choice: number, end: GenerationEnd): void {
    this.#times.onEnd(choice, end);
    this.#reading.end(end.reason === 'length');
    this.#end = end;
  }

  opening(): null {
    return null;
  }

  delta(_choice: number, { tokens, logprobs }: GenerationDelta): string | null {
    const said = this.#reading.take();
    if (isNothing(said) && logprobs === null) return null;
    return this.#line(said, this.#logprobs(tokens, logprobs));
  }

  /** What was held back comes in a line of its own: readers take the last one for numbers only. */
  ending(_choice: number, reason: 'stop' | 'length'): string {
    const said = this.#reading.take();
    const last = JSON.stringify(this.#last(nothing, reason));
    return isNothing(said) ? last : `${this.#line(said, {})}\n${last}`;
  }

  usage(): string {
    return JSON.stringify(this.#last(nothing, 'stop'));
  }

  whole([choice]: readonly WholeChoice[]): unknown {
    const { reason, tokens, logprobs } = choice!;
    return { ...this.#last(this.#reading.take(), reason), ...this.#logprobs(tokens, logprobs) };
  }

  #line(said: Said, more: object): string {
    const { asked, spell } = this.#options;
    return JSON.stringify({ ...lineHead(asked, this.#service), ...spell(said), ...more, done: false });
  }

  #last(said: Said, reason: 'stop' | 'length'): object {
    const { asked, spell, context } = this.#options;
    const { promptMs, predictedMs, totalMs } = this.#times.of(0);
    return {
      ...lineHead(asked, this.#service),
      ...spell(said),
      done: true,
      done_reason: this.#reading.broken ? 'length' : reason,
      ...(context !== null && { context: [...context, ...this.#drawn] }),
      total_duration: nanoseconds(totalMs),
      load_duration: 0, // it was loaded before the server listened
      prompt_eval_count: this.#end?.promptTokens ?? 0,
      prompt_eval_duration: nanoseconds(promptMs),
      eval_count: this.#end?.outputTokens ?? 0,
      eval_duration: nanoseconds(predictedMs),
      ...extensionOf(this.#end === null ? [] : [this.#end]),
    };
  }

  #logprobs(tokens: readonly number[], logprobs: GenerationDelta['logprobs']): object {
    if (logprobs === null) return {};
    const { tokenizer, spec } = this.#service.model;
    return { logprobs: chatLogprobs(tokenizer, withoutEnd(tokens, spec.eosTokenIds), logprobs).content };
  }
}

export function lineHead(asked: string, { epochSeconds }: Pick<ChatService, 'epochSeconds'>): object {
  return { model: asked, created_at: new Date(epochSeconds() * 1000).toISOString() };
}

const nothing: Said = { text: '', thinking: '', calls: [] };

function isNothing({ text, thinking, calls }: Said): boolean {
  return text === '' && thinking === '' && calls.length === 0;
}

function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6);
}
