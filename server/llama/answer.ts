// What llama-server's two completions have in common: their fields beside the common ones, and the way from them to an
// answer in its shape. Never generates. Before it: infill.ts and completion.ts; after it: chat/answer.ts.

import { z } from 'zod';
import type { Parsed } from '../base/json-body.ts';
import type { AnswerPlan } from '../chat/answer.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { type CommonFields, commonFields, generationOf } from '../chat/fields.ts';
import type { AnswerForm } from '../chat/form.ts';
import { startOf } from '../chat/local-answering.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import type { GenerationRequest } from '../generation/generation.ts';
import { InfillEvents, type ShownParts } from './infill-events.ts';
import { LineLimits } from './line-limits.ts';
import { withSamplers } from './samplers.ts';

const SAMPLER_COUNT_MAX = 64;
const MS_MAX = 2 ** 31 - 1;

export const predictField = z.int().min(-1).nullish(); // −1: as far as the context goes

export function llamaFields(bounds: RequestBounds) {
  const common = commonFields(bounds);
  return {
    ...common,
    n_predict: predictField, // 0: only compute the prompt
    n_cmpl: common.n, // as is n
    n_indent: z.int().min(0).max(1024).nullish(),
    t_max_predict_ms: z.number().max(MS_MAX).nullish(), // 0 and below: no bound
    samplers: z.union([z.array(z.string().max(64)).max(SAMPLER_COUNT_MAX), z.string().max(64)]).nullish(),
  };
}

type LlamaFields = z.output<z.ZodObject<ReturnType<typeof llamaFields>>>;

export interface LlamaPrompts {
  readonly prompts: readonly Int32Array[];
  readonly truncated: boolean; // something was left out
  readonly predictDefault: number;
  readonly form?: Pick<AnswerForm, 'newConstraint'>;
  readonly logprobs?: number | null; // alternatives per token; absent: none are told
  readonly shown?: ShownParts; // absent: nothing more than editors read
  readonly owner: string;
  readonly route: string;
}

export function llamaAnswer(
  body: LlamaFields,
  asked: LlamaPrompts,
  service: ChatService,
): Parsed<AnswerPlan> {
  const { prompts, truncated, owner, route, logprobs = null, shown = null } = asked;
  const predictMax = body.n_predict ?? body.max_tokens ?? asked.predictDefault;
  const limits = { t_max_predict_ms: body.t_max_predict_ms ?? 0, n_indent: body.n_indent ?? 0 };
  const bounds = { predictMsMax: Math.max(0, limits.t_max_predict_ms), indentMin: limits.n_indent };
  const limited = bounds.predictMsMax > 0 || bounds.indentMin > 0;
  const newCutoff = limited ? () => new LineLimits(bounds, service.clock) : null;
  const newConstraint = asked.form?.newConstraint ?? null;
  const generations: GenerationRequest[] = [];
  for (const tokens of prompts) {
    const parts = { tokens, maxTokens: predictMax < 0 ? null : predictMax, logprobs, owner, route };
    const generation = generationOf(ownNames(body), parts, service);
    if (!generation.ok) return generation;
    generations.push(generation.value);
  }
  const shape = new InfillEvents({ generations, predictMax, truncated, limits, shown }, service);
  const starts = generations.map((one) => startOf({ ...one, newCutoff, newConstraint }, service));
  const stream = body.stream === true;
  const told = { logprobs: logprobs !== null, stream, includeUsage: null, unmarkedEnd: true };
  return { ok: true, value: { starts, ...told, shape } };
}

/** llama-server's names in ours. A string of letters is its short form of samplers, which names none of ours. */
function ownNames(body: LlamaFields): CommonFields {
  const n = body.n_cmpl ?? body.n;
  const listed = Array.isArray(body.samplers) ? body.samplers : null;
  const seed = body.seed === -1 ? null : body.seed; // a fresh one
  return withSamplers({ ...body, n, seed }, listed);
}
