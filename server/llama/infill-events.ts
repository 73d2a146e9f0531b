// llama-server's objects of a completion, as far as editors read them. Owns their exact shape; never runs anything.
// Before it: chat/answer.ts; after it: http/sse.ts.

import type { TokenLogprobs } from '../../kernels/backend.ts';
import type { AnswerShape, WholeChoice } from '../chat/answer.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { chatLogprobs, withoutEnd } from '../chat/logprobs.ts';
import { extensionOf, type Usage } from '../chat/usage.ts';
import { AnswerTimes } from '../generation/answer-times.ts';
import type { GenerationDelta, GenerationEnd, GenerationRequest } from '../generation/generation.ts';
import { NEVER } from './logit-bias.ts';
import { samplersOf } from './samplers.ts';

/** What POST /completion tells beside what editors read. */
export interface ShownParts {
  readonly prompt: boolean;
  readonly tokens: boolean; // of a whole answer
  readonly isList: boolean; // of prompts, so the answer is one too
  readonly fields: readonly string[]; // these alone, by their paths; none: all
}

export interface InfillEventOptions {
  readonly generations: readonly GenerationRequest[]; // one per prompt
  readonly predictMax: number; // as asked for; −1: no bound
  readonly truncated: boolean; // the prompt was
  readonly shown: ShownParts | null;
  readonly limits: { readonly t_max_predict_ms: number; readonly n_indent: number };
}

export class InfillEvents implements AnswerShape {
  readonly #options: InfillEventOptions;
  readonly #model: string;
  readonly #contextTokens: number;
  readonly #tokenizer: ChatService['model']['tokenizer'];
  readonly #stopTokenIds: readonly number[];
  readonly #times: AnswerTimes;
  readonly #ends = new Map<number, GenerationEnd>(); // by choice
  readonly #lined = new Set<number>(); // choices with a new line

  constructor(options: InfillEventOptions, { model, generator, clock }: ChatService) {
    this.#options = options;
    this.#model = model.name;
    this.#tokenizer = model.tokenizer;
    this.#stopTokenIds = model.spec.eosTokenIds;
    this.#contextTokens = generator.contextTokensMax;
    this.#times = new AnswerTimes(clock);
  }

  onDelta(choice: number, delta: GenerationDelta): void {
    this.#times.onDelta(choice, delta);
    if (delta.text.includes('\n')) this.#lined.add(choice);
  }

  onEnd(choice: number, end: GenerationEnd): void {
    this.#times.onEnd(choice, end);
    this.#ends.set(choice, end);
  }

  opening(): null {
    return null;
  }

  delta(choice: number, { text, tokens, logprobs }: GenerationDelta): string | null {
    if (text === '' && (logprobs === null || tokens.length === 0)) return null;
    return JSON.stringify({
      ...{ index: choice, content: text, tokens, stop: false },
      ...(logprobs !== null && { completion_probabilities: this.#probabilities(tokens, logprobs) }),
    });
  }

  ending(choice: number): string {
    return JSON.stringify(this.#picked(this.#last(choice, '')));
  }

  usage(usage: Usage): string {
    return JSON.stringify({ content: '', stop: true, usage });
  }

  /** One object, or a list where more than one answer was asked for. */
  whole(choices: readonly WholeChoice[]): unknown {
    const all = choices.map(({ text, tokens, logprobs }, choice) =>
      this.#picked({
        ...this.#last(choice, text),
        ...(this.#options.shown?.tokens === true && { tokens }),
        ...(logprobs !== null && { completion_probabilities: this.#probabilities(tokens, logprobs) }),
      }),
    );
    return all.length === 1 && this.#options.shown?.isList !== true ? all[0] : all;
  }

  /** The fields that were asked for, each under its whole path. */
  #picked(answer: object): object {
    const { fields = [] } = this.#options.shown ?? {};
    if (fields.length === 0) return answer;
    const found = fields.map((path) => [path, path.split('/').reduce(within, answer as unknown)] as const);
    return Object.fromEntries(found.filter(([, value]) => value !== undefined));
  }

  /** As llama-server has them: what a token is, and the likeliest ones in its place. */
  #probabilities(tokens: readonly number[], logprobs: readonly TokenLogprobs[]): readonly object[] {
    const ids = withoutEnd(tokens, this.#stopTokenIds);
    return chatLogprobs(this.#tokenizer, ids, logprobs).content.map(
      ({ top_logprobs: top, ...own }, index) => ({
        id: ids[index]!,
        ...own,
        top_logprobs: top.map((one, rank) => ({ id: logprobs[index]!.topTokens[rank]!, ...one })),
      }),
    );
  }

  #last(choice: number, content: string): object {
    const { truncated, generations, shown } = this.#options;
    const asked = generations[Math.floor(choice / generations[0]!.choiceCount)]!;
    const end = this.#ends.get(choice)!;
    return {
      index: choice,
      content,
      tokens: [],
      stop: true,
      model: this.#model,
      stop_type: end.stopString !== null ? 'word' : end.reason === 'length' ? 'limit' : 'eos',
      stopping_word: end.stopString ?? '',
      has_new_line: this.#lined.has(choice),
      tokens_predicted: end.outputTokens,
      tokens_evaluated: end.promptTokens,
      tokens_cached: end.cachedTokens,
      n_ctx: this.#contextTokens,
      truncated: truncated || end.promptTokens + end.outputTokens >= this.#contextTokens,
      ...(shown?.prompt === true && { prompt: this.#tokenizer.decode(asked.tokens) }),
      generation_settings: this.#settings(),
      timings: timingsOf(end, this.#times.of(choice)),
      ...extensionOf([end]),
    };
  }

  /** Null is never, which JSON has no number for: what ends an answer is never drawn where that is not to end it. */
  #biases({ logitBias, ignoreStopTokens }: GenerationRequest): readonly object[] {
    const asked = Array.from(logitBias ?? [], ([token, bias]) => ({
      token,
      bias: bias <= NEVER ? null : bias,
    }));
    const ends = ignoreStopTokens ? this.#stopTokenIds : [];
    return [...asked, ...ends.map((token) => ({ token, bias: null }))];
  }

  #settings(): object {
    const { generations, predictMax, limits } = this.#options;
    const generation = generations[0]!;
    return {
      n_ctx: this.#contextTokens,
      n_predict: predictMax,
      ...settingsOf(generation),
      stop: generation.stopStrings,
      ignore_eos: generation.ignoreStopTokens,
      logit_bias: this.#biases(generation),
      ...limits,
      samplers: samplersOf(generation),
    };
  }
}

/** Sampling in llama-server's words. */
export function settingsOf(
  generation: Pick<
    GenerationRequest,
    | 'temperature'
    | 'topK'
    | 'topP'
    | 'minP'
    | 'repetitionPenalty'
    | 'presencePenalty'
    | 'frequencyPenalty'
    | 'seed'
  >,
): object {
  return {
    seed: generation.seed ?? -1, // drawn by the server
    temperature: generation.temperature,
    top_k: generation.topK,
    top_p: generation.topP,
    min_p: generation.minP,
    repeat_penalty: generation.repetitionPenalty,
    presence_penalty: generation.presencePenalty,
    frequency_penalty: generation.frequencyPenalty,
  };
}

function timingsOf(
  { promptTokens, cachedTokens, outputTokens }: GenerationEnd,
  { promptMs, predictedMs }: ReturnType<AnswerTimes['of']>,
): object {
  const computed = promptTokens - cachedTokens;
  const steps = outputTokens - 1; // the time begins with the first token: as llama-server counts, the rate is over those behind it
  return {
    cache_n: cachedTokens,
    prompt_n: computed,
    prompt_ms: promptMs,
    prompt_per_token_ms: ratio(promptMs, computed),
    prompt_per_second: ratio(computed * 1000, promptMs),
    predicted_n: outputTokens,
    predicted_ms: predictedMs,
    predicted_per_token_ms: ratio(predictedMs, steps),
    predicted_per_second: ratio(steps * 1000, predictedMs),
  };
}

/** 0 where there is nothing to divide by: readers print it. */
function ratio(a: number, b: number): number {
  return b > 0 ? a / b : 0;
}

function within(value: unknown, key: string): unknown {
  const holds = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
  return holds ? (value as Record<string, unknown>)[key] : undefined;
}
