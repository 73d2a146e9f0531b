// Token counts of one request, in OpenAI's shape. Pure.
import type { GenerationEnd } from '../generation.ts';

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** `ends` of all choices of all prompts. A prompt counts once however many choices it has, as OpenAI counts it. */
export function usageOf(ends: readonly GenerationEnd[]): Usage {
  let prompt = 0;
  let cached = 0;
  let completion = 0;
  for (const end of ends) {
    completion += end.outputTokens;
    if (end.choice !== 0) continue;
    prompt += end.promptTokens;
    cached += end.cachedTokens;
  }
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}
