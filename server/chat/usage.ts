// Token counts of one request, in OpenAI's shape. Pure.
import type { GenerationEnd } from '../generation/generation.ts';
import { type PrefixReport, prefixReport } from '../generation/prefix-report.ts';

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  readonly completion_tokens_details: {
    readonly reasoning_tokens: number;
    readonly accepted_prediction_tokens: number; // guessed and right, whatever the guess came from
    readonly rejected_prediction_tokens: number; // guessed in vain; not part of completion_tokens
  };
  readonly cost?: number; // where lanes have prices, in their currency
  readonly sparklane?: { readonly prefix: PrefixReport }; // ours: of a request with one prompt
}

/** `stream_options.continuous_usage_stats`: what each choice has come to, in every chunk of a stream. */
export class RunningUsage {
  readonly #promptTokens: (choice: number) => number;
  readonly #counts: number[] = []; // by choice: tokens so far

  constructor(promptTokens: (choice: number) => number) {
    this.#promptTokens = promptTokens;
  }

  /** Of the choice after `more` tokens, as JSON. */
  after(choice: number, more: number): string {
    const completion = (this.#counts[choice] ?? 0) + more;
    this.#counts[choice] = completion;
    const prompt = this.#promptTokens(choice);
    return JSON.stringify({
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
    });
  }
}

/** `ends` of all choices of all prompts. A prompt counts once however many choices it has, as OpenAI counts it. */
export function usageOf(ends: readonly GenerationEnd[]): Usage {
  let prompt = 0;
  let cached = 0;
  let completion = 0;
  let accepted = 0;
  let rejected = 0;
  let cost: number | null = null;
  const firsts = ends.filter(({ choice }) => choice === 0);
  for (const end of ends) {
    completion += end.outputTokens;
    if (end.cost !== undefined) cost = (cost ?? 0) + end.cost;
    accepted += end.acceptedDraftTokens;
    rejected += end.rejectedDraftTokens;
    if (end.choice !== 0) continue;
    prompt += end.promptTokens;
    cached += end.cachedTokens;
  }
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: {
      reasoning_tokens: 0,
      accepted_prediction_tokens: accepted,
      rejected_prediction_tokens: rejected,
    },
    ...(cost !== null && { cost }),
    ...extensionOf(firsts),
  };
}

/** `sparklane` of a usage; nothing of an answer by somebody who does not say why it computed what. */
export function extensionOf(firsts: readonly GenerationEnd[]): {
  readonly sparklane?: { readonly prefix: PrefixReport };
} {
  const [only] = firsts;
  if (only === undefined || firsts.length > 1 || only.missReason == null) return {};
  return { sparklane: { prefix: prefixReport(only) } };
}
