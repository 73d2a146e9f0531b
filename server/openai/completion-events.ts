// OpenAI's text_completion objects, whole and as chunks. Owns their exact shape and the echo of the prompt; never runs
// anything. Before it: chat/answer.ts; after it: http/sse.ts.

import type { TokenLogprobs } from '../../kernels/backend.ts';
import type { AnswerShape, WholeChoice } from '../chat/answer.ts';
import type { AnswerHead } from '../chat/chat-service.ts';
import {
  CompletionLogprobRun,
  type CompletionLogprobs,
  joinedLogprobs,
  likeliest,
  promptLogprobs,
  withoutEnd,
} from '../chat/logprobs.ts';
import { RunningUsage, type Usage } from '../chat/usage.ts';
import type { GenerationDelta } from '../generation/generation.ts';
import type { ServedModel } from '../text/served-model.ts';

export interface CompletionEventOptions {
  readonly head: AnswerHead;
  readonly tokenizer: Pick<ServedModel['tokenizer'], 'tokenBytes'>;
  readonly stopTokenIds: readonly number[]; // shown without logprobs: they have no text
  readonly prompts: readonly { readonly text: string; readonly tokens: Int32Array }[];
  readonly choicesPerPrompt: number;
  readonly echo: boolean; // answers begin with their prompt
  readonly promptLogprobs: number | null; // alternatives per token of the prompt, told by themselves
  readonly runningUsage: boolean; // in every chunk
  readonly logprobs: number | null; // alternatives per token
  readonly tokenIds: boolean;
  readonly withUsage: boolean; // every chunk has a `usage` field
}

export class CompletionEvents implements AnswerShape {
  readonly #options: CompletionEventOptions;
  readonly #chunkStart: string; // up to the text
  readonly #chunkEnd: string; // after the choices
  readonly #runs: CompletionLogprobRun[]; // [choice]
  readonly #running: RunningUsage | null;

  constructor(options: CompletionEventOptions) {
    const { head, tokenizer, prompts, choicesPerPrompt, logprobs, withUsage, runningUsage } = options;
    this.#options = options;
    this.#running = runningUsage ? new RunningUsage((choice) => this.#promptOf(choice).tokens.length) : null;
    this.#chunkStart = `${JSON.stringify({ ...start(head) }).slice(0, -1)},"choices":[{"text":`;
    this.#chunkEnd = withUsage ? '],"usage":null}' : ']}';
    this.#runs = Array.from(
      { length: logprobs === null ? 0 : prompts.length * choicesPerPrompt },
      () => new CompletionLogprobRun(tokenizer),
    );
  }

  opening(choice: number): string | null {
    const { echo, tokenIds } = this.#options;
    if ((!echo || this.#judges) && !tokenIds) return null;
    const prompt = this.#promptOf(choice);
    const ids = tokenIds
      ? `,"prompt_token_ids":${JSON.stringify(Array.from(prompt.tokens))},"token_ids":[]`
      : '';
    const text = echo && !this.#judges ? prompt.text : ''; // its log-probabilities come with it
    return this.#chunk(choice, { text, logprobs: null, ids });
  }

  delta(choice: number, delta: GenerationDelta): string | null {
    const { tokenIds, echo } = this.#options;
    const { text, tokens, logprobs } = delta;
    if (delta.promptLogprobs !== undefined && echo) {
      const prompt = this.#promptOf(choice);
      const judged = this.#runs[choice]!.next(prompt.tokens, this.#judgedOf(delta.promptLogprobs));
      return this.#chunk(choice, {
        text: prompt.text,
        logprobs: judged,
        ids: tokenIds ? ',"token_ids":[]' : '',
      });
    }
    const shown = logprobs === null ? null : this.#runs[choice]!.next(this.#shownOf(tokens), logprobs);
    const isEmpty = text === '' && logprobs === null && (!tokenIds || tokens.length === 0);
    if (isEmpty && (this.#running === null || tokens.length === 0)) return null;
    const ids = tokenIds ? `,"token_ids":${JSON.stringify(tokens)}` : '';
    return this.#chunk(choice, { text, logprobs: shown, ids }, tokens.length);
  }

  ending(choice: number, reason: 'stop' | 'length', usage: Usage | null): string {
    const chunk = `${this.#chunkStart}"","index":${choice},"logprobs":null,"finish_reason":"${reason}"}`;
    return usage === null ? chunk + this.#end(choice, 0) : `${chunk}],"usage":${JSON.stringify(usage)}}`;
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

  #wholeChoice(choice: WholeChoice, index: number): unknown {
    const { echo, tokenIds, tokenizer, promptLogprobs: judgedCount } = this.#options;
    const { text, tokens, logprobs, promptLogprobs: judged = null, reason } = choice;
    const prompt = this.#promptOf(index);
    const run = this.#runs[index];
    const before = echo && judged !== null ? run?.next(prompt.tokens, this.#judgedOf(judged)) : undefined;
    const drawn = logprobs === null ? undefined : run?.next(this.#shownOf(tokens), logprobs);
    return {
      text: echo ? prompt.text + text : text,
      index,
      logprobs: before && drawn ? joinedLogprobs(before, drawn) : (drawn ?? null),
      finish_reason: reason,
      // vLLM's: its callers read null where they have not asked.
      prompt_logprobs:
        judgedCount === null || judged === null
          ? null
          : promptLogprobs(tokenizer, prompt.tokens, judged, judgedCount),
      ...(tokenIds && { token_ids: tokens, prompt_token_ids: Array.from(prompt.tokens) }),
    };
  }

  /** A harness counts on one log-probability for each token that it pays for, the prompt's and the drawn ones. */
  #shownOf(tokens: readonly number[]): readonly number[] {
    return this.#judges ? tokens : withoutEnd(tokens, this.#options.stopTokenIds);
  }

  #judgedOf(logprobs: readonly TokenLogprobs[]): readonly (TokenLogprobs | null)[] {
    return [null, ...likeliest(logprobs, this.#options.logprobs ?? 0)];
  }

  get #judges(): boolean {
    return this.#options.echo && this.#options.logprobs !== null;
  }

  #end(choice: number, tokenCount: number): string {
    return this.#running === null ? this.#chunkEnd : `],"usage":${this.#running.after(choice, tokenCount)}}`;
  }

  #chunk(
    choice: number,
    parts: { text: string; logprobs: CompletionLogprobs | null; ids: string },
    tokenCount = 0,
  ): string {
    const logprobs = JSON.stringify(parts.logprobs);
    const text = JSON.stringify(parts.text);
    return `${this.#chunkStart}${text},"index":${choice},"logprobs":${logprobs},"finish_reason":null${parts.ids}}${this.#end(choice, tokenCount)}`;
  }

  #promptOf(choice: number): { readonly text: string; readonly tokens: Int32Array } {
    return this.#options.prompts[Math.floor(choice / this.#options.choicesPerPrompt)]!;
  }
}

function start({ id, created, model, system_fingerprint }: AnswerHead): object {
  return { id, object: 'text_completion', created, model, system_fingerprint };
}
