// OpenAI's chat.completion and chat.completion.chunk objects. Owns their exact shape; never runs anything. Chunks of
// text are put together from strings made once per answer: this is per token and stream.
// Before it: chat/answer.ts; after it: http/sse.ts.

import type { AnswerShape, WholeChoice } from '../chat/answer.ts';
import type { AnswerHead } from '../chat/chat-service.ts';
import { chatLogprobs, promptLogprobs, withoutEnd } from '../chat/logprobs.ts';
import { RunningUsage, type Usage } from '../chat/usage.ts';
import type { GenerationDelta } from '../generation/generation.ts';
import type { ServedModel } from '../text/served-model.ts';

export interface ChatEventOptions {
  readonly head: AnswerHead;
  readonly tokenizer: Pick<ServedModel['tokenizer'], 'tokenBytes'>;
  readonly stopTokenIds: readonly number[]; // shown without logprobs: they have no text
  readonly promptTokens: Int32Array | null; // where token ids were asked for
  readonly withUsage: boolean; // every chunk has a `usage` field
  readonly runningUsage?: number | null; // which counts on from chunk to chunk; the prompt's tokens
  readonly judged?: { readonly tokens: Int32Array; readonly topCount: number } | null; // a prompt whose log-probabilities are told
  readonly metadata?: Readonly<Record<string, string>> | null; // of the lane: in the first chunk and in whole answers
}

/** What an assistant's message says. */
export interface WholeMessage {
  readonly reasoning_content?: string;
  readonly content: string | null;
  readonly tool_calls?: readonly unknown[];
  readonly function_call?: unknown; // instead, where the request had functions
  readonly broken?: boolean; // the last call was cut off
}

/** How an answer ended with a call, in the form of its request. */
export type Called = 'tool_calls' | 'function_call';

/** Whoever sees a call runs it: one that was cut off, by a stop string too, is none to be run. */
export function finishOf(
  reason: 'stop' | 'length',
  { called, broken }: { readonly called: Called | null; readonly broken: boolean },
): 'stop' | 'length' | Called {
  if (broken) return 'length';
  return called !== null && reason === 'stop' ? called : reason;
}

function calledIn({ tool_calls: calls, function_call: call }: Omit<WholeMessage, 'broken'>): Called | null {
  if (call !== undefined) return 'function_call';
  return calls === undefined ? null : 'tool_calls';
}

/** Answers of text only; chat-tool-events.ts writes those that may reason or call tools. */
export class ChatEvents implements AnswerShape {
  readonly #options: ChatEventOptions;
  readonly #chunkStart: string; // up to the choice's index
  readonly #chunkEnd: string; // after the choices
  readonly #running: RunningUsage | null;

  constructor(options: ChatEventOptions) {
    const { head, withUsage, runningUsage = null } = options;
    this.#options = options;
    this.#running = runningUsage === null ? null : new RunningUsage(() => runningUsage);
    const start = { id: head.id, object: 'chat.completion.chunk', ...withoutId(head) };
    this.#chunkStart = `${JSON.stringify(start).slice(0, -1)},"choices":[{"index":`;
    this.#chunkEnd = withUsage ? '],"usage":null}' : ']}';
  }

  opening(choice: number): string {
    const { promptTokens, metadata } = this.#options;
    const chunk = this.#chunk(choice, '{"role":"assistant","content":""}', 'null', '');
    if ((promptTokens === null && metadata == null) || choice > 0) return chunk;
    const more = {
      ...(promptTokens !== null && { prompt_token_ids: Array.from(promptTokens) }),
      ...(metadata != null && { metadata }),
    };
    return `${chunk.slice(0, -1)},${JSON.stringify(more).slice(1)}`;
  }

  /** `delta` instead of the text, as JSON; '{}' if there is nothing to show of it but its tokens. */
  delta(choice: number, { text, tokens, logprobs }: GenerationDelta, delta?: string): string | null {
    const withIds = this.#options.promptTokens !== null;
    if (
      (delta === undefined ? text === '' : delta === '{}') &&
      logprobs === null &&
      ((!withIds && this.#running === null) || tokens.length === 0)
    )
      return null;
    const shown = logprobs === null ? 'null' : this.#logprobs(tokens, logprobs);
    const ids = withIds ? `,"token_ids":${JSON.stringify(tokens)}` : '';
    return this.#chunk(choice, delta ?? `{"content":${JSON.stringify(text)}}`, shown, ids, tokens.length);
  }

  ending(choice: number, reason: 'stop' | 'length' | Called, usage: Usage | null, delta = '{}'): string {
    const start = `${this.#chunkStart}${choice},"delta":${delta},"logprobs":null,"finish_reason":"${reason}"}`;
    return usage === null ? start + this.#end(choice, 0) : `${start}],"usage":${JSON.stringify(usage)}}`;
  }

  usage(usage: Usage): string {
    const { head } = this.#options;
    return JSON.stringify({
      id: head.id,
      object: 'chat.completion.chunk',
      ...withoutId(head),
      choices: [],
      usage,
    });
  }

  /** `messages` instead of the choices' texts. */
  whole(choices: readonly WholeChoice[], usage: Usage, messages?: readonly WholeMessage[]): unknown {
    const { head, promptTokens, metadata, judged = null, tokenizer } = this.#options;
    const known = choices[0]?.promptLogprobs ?? null;
    return {
      id: head.id,
      object: 'chat.completion',
      ...withoutId(head),
      choices: choices.map(({ text, tokens, logprobs, reason }, index) => {
        const { broken = false, ...message } = messages?.[index] ?? { content: text };
        return {
          index,
          message: { role: 'assistant', refusal: null, ...message },
          logprobs: logprobs === null ? null : this.#logprobsOf(tokens, logprobs),
          finish_reason: finishOf(reason, { called: calledIn(message), broken }),
          ...(promptTokens !== null && { token_ids: tokens }),
        };
      }),
      usage,
      ...(promptTokens !== null && { prompt_token_ids: Array.from(promptTokens) }),
      ...(metadata != null && { metadata }),
      ...(judged !== null &&
        known !== null && {
          prompt_logprobs: promptLogprobs(tokenizer, judged.tokens, known, judged.topCount),
        }),
    };
  }

  #end(choice: number, tokenCount: number): string {
    return this.#running === null ? this.#chunkEnd : `],"usage":${this.#running.after(choice, tokenCount)}}`;
  }

  #chunk(choice: number, delta: string, logprobs: string, ids: string, tokenCount = 0): string {
    return `${this.#chunkStart}${choice},"delta":${delta},"logprobs":${logprobs},"finish_reason":null${ids}}${this.#end(choice, tokenCount)}`;
  }

  #logprobs(tokens: readonly number[], logprobs: WholeChoice['logprobs'] & {}): string {
    return JSON.stringify(this.#logprobsOf(tokens, logprobs));
  }

  #logprobsOf(tokens: readonly number[], logprobs: WholeChoice['logprobs'] & {}): unknown {
    const { tokenizer, stopTokenIds } = this.#options;
    return chatLogprobs(tokenizer, withoutEnd(tokens, stopTokenIds), logprobs);
  }
}

function withoutId({ created, model, system_fingerprint }: AnswerHead): Omit<AnswerHead, 'id'> {
  return { created, model, system_fingerprint };
}
