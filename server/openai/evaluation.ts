// What evaluation harnesses ask of a prompt, in vLLM's words: log-probabilities of its own tokens, a part of it only, tokens by
// their ids.
// Owns their fields. Pure. Before it: chat.ts and completions.ts; after it: chat/fields.ts.
import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { RequestBounds } from '../chat/local-model.ts';

export function evaluationFields({ logprobsMax }: RequestBounds) {
  return {
    prompt_logprobs: z.int().min(0).max(logprobsMax).nullish(),
    truncate_prompt_tokens: z.int().min(-1).nullish(), // −1: to what the context has room for
    truncation_side: z.enum(['left', 'right']).nullish(), // which is cut off; default: left
    return_tokens_as_token_ids: z.boolean().nullish(), // `token_id:42` for a token's text, in log-probabilities
    stream_options: z
      .object({ include_usage: z.boolean().nullish(), continuous_usage_stats: z.boolean().nullish() })
      .nullish(),
  };
}

type EvaluationFields = z.output<z.ZodObject<ReturnType<typeof evaluationFields>>> & {
  readonly stream?: boolean | null | undefined;
};

/** They are told with a whole answer only, as vLLM does. */
export function promptLogprobsFault({ prompt_logprobs: asked, stream }: EvaluationFields): Fault | null {
  if (asked == null || stream !== true) return null;
  const message = 'prompt_logprobs: are told with a whole answer, not in a stream';
  return fault('invalid_request', message, { param: 'prompt_logprobs' });
}

/** The context that a prompt must fit before it is shortened: any, where it will be. */
export function contextToFit({ truncate_prompt_tokens: kept }: EvaluationFields, contextTokensMax: number) {
  return kept == null ? contextTokensMax : Number.POSITIVE_INFINITY;
}

/** The prompt's last tokens, or its first ones, as many as asked for. */
export function keptTokens(
  tokens: Int32Array,
  { truncate_prompt_tokens: kept, truncation_side: cut }: EvaluationFields,
  { contextTokensMax, maxTokens }: { readonly contextTokensMax: number; readonly maxTokens: number | null },
): Parsed<Int32Array> {
  if (kept == null) return { ok: true, value: tokens };
  const count = kept === -1 ? Math.max(1, contextTokensMax - (maxTokens ?? 1)) : kept;
  if (count < 1 || count > contextTokensMax) {
    const message = `truncate_prompt_tokens: ${count} is not in [1, ${contextTokensMax}], what the context holds`;
    return {
      ok: false,
      fault: fault('invalid_request', message, { param: 'truncate_prompt_tokens' }),
    };
  }
  if (tokens.length <= count) return { ok: true, value: tokens };
  return { ok: true, value: cut === 'right' ? tokens.slice(0, count) : tokens.slice(-count) };
}
