// OpenAI's text_completion objects, whole and as chunks. Owns their exact shape and the echo of the prompt; never runs
// anything. Before it: chat/answer.ts; after it: http/sse.ts.

import type { AnswerShape, WholeChoice } from '../chat/answer.ts';
import type { AnswerHead } from '../chat/chat-service.ts';
import { CompletionLogprobRun, type CompletionLogprobs, withoutEnd } from '../chat/logprobs.ts';
import type { Usage } from '../chat/usage.ts';
import type { GenerationDelta } from '../generation/generation.ts';
import type { ServedModel } from '../text/served-model.ts';

export interface CompletionEventOptions {
  readonly head: AnswerHead;
  readonly tokenizer: Pick<ServedModel['tokenizer'], 'tokenBytes'>;
  readonly stopTokenIds: readonly number[]; // shown without logprobs: they have no text
  readonly prompts: readonly { readonly text: string; readonly tokens: Int32Array }[];
  readonly choicesPerPrompt: number;
  readonly echo: boolean; // answers begin with their prompt
  readonly logprobs: number | null; // alternatives per token
  readonly tokenIds: boolean;
  readonly withUsage: boolean; // every chunk has a `usage` field
}

export class CompletionEvents implements AnswerShape {
  readonly #options: CompletionEventOptions;
  readonly #chunkStart: string; // up to the text
  readonly #chunkEnd: string; // after the choices
  readonly #runs: CompletionLogprobRun[]; // [choice]

  constructor(options: CompletionEventOptions) {
    const { head, tokenizer, prompts, choicesPerPrompt, logprobs, withUsage } = options;
    this.#options = options;
    this.#chunkStart = `${JSON.stringify({ ...start(head) }).slice(0, -1)},"choices":[{"text":`;
    this.#chunkEnd = withUsage ? '],"usage":null}' : ']}';
    this.#runs = Array.from(
      { length: logprobs === null ? 0 : prompts.length * choicesPerPrompt },
      () => new CompletionLogprobRun(tokenizer, logprobs ?? 0),
    );
  }

  opening(choice: number): string | null {
    const { echo, tokenIds } = this.#options;
    if (!echo && !tokenIds) return null;
    const prompt = this.#promptOf(choice);
    const ids = tokenIds
      ? `,"prompt_token_ids":${JSON.stringify(Array.from(prompt.tokens))},"token_ids":[]`
      : '';
    return this.#chunk(choice, { text: echo ? prompt.text : '', logprobs: null, ids });
  }

  delta(choice: number, { text, tokens, logprobs }: GenerationDelta): string | null {
    const { tokenIds } = this.#options;
    if (text === '' && logprobs === null && (!tokenIds || tokens.length === 0)) return null;
    const shown =
      logprobs === null
        ? null
        : this.#runs[choice]!.next(withoutEnd(tokens, this.#options.stopTokenIds), logprobs);
    const ids = tokenIds ? `,"token_ids":${JSON.stringify(tokens)}` : '';
    return this.#chunk(choice, { text, logprobs: shown, ids });
  }

  ending(choice: number, reason: 'stop' | 'length', usage: Usage | null): string {
    const chunk = `${this.#chunkStart}"","index":${choice},"logprobs":null,"finish_reason":"${reason}"}`;
    return usage === null ? chunk + this.#chunkEnd : `${chunk}],"usage":${JSON.stringify(usage)}}`;
  }

  usage(usage: Usage): string {
    return JSON.stringify({ ...start(this.#options.head), choices: [], usage });
  }

  whole(choices: readonly WholeChoice[], usage: Usage): unknown {
    return {
      ...start(this.#options.head),
      choices: choices.map((choice, index) => this.#wholeChoice(choice, index)),
      usage,
    };
  }

  #wholeChoice({ text, tokens, logprobs, reason }: WholeChoice, index: number): unknown {
    const { echo, tokenIds } = this.#options;
    const prompt = this.#promptOf(index);
    const run = this.#runs[index];
    const drawn =
      logprobs !== null && run !== undefined
        ? run.next(withoutEnd(tokens, this.#options.stopTokenIds), logprobs)
        : null;
    return {
      text: echo ? prompt.text + text : text,
      index,
      logprobs: drawn,
      finish_reason: reason,
      ...(tokenIds && { token_ids: tokens, prompt_token_ids: Array.from(prompt.tokens) }),
    };
  }

  #chunk(choice: number, parts: { text: string; logprobs: CompletionLogprobs | null; ids: string }): string {
    const logprobs = JSON.stringify(parts.logprobs);
    const text = JSON.stringify(parts.text);
    return `${this.#chunkStart}${text},"index":${choice},"logprobs":${logprobs},"finish_reason":null${parts.ids}}${this.#chunkEnd}`;
  }

  #promptOf(choice: number): { readonly text: string; readonly tokens: Int32Array } {
    return this.#options.prompts[Math.floor(choice / this.#options.choicesPerPrompt)]!;
  }
}

function start({ id, created, model, system_fingerprint }: AnswerHead): object {
  return { id, object: 'text_completion', created, model, system_fingerprint };
}
