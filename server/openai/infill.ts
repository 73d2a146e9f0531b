// Fill in the middle for editors: POST /infill in llama-server's shape (llama.vscode), POST /v1/fim/completions in
// Mistral's (Continue), whose answers are chat objects. Owns their fields; never generates. Before it: http.ts; after it:
// fim-prompt.ts and answer.ts.
import { z } from 'zod';
import type { Route } from '../http.ts';
import type { HttpCall } from '../http-call.ts';
import type { Parsed } from '../json-body.ts';
import { type Answer, deliverOutcome } from './answer.ts';
import { ChatEvents } from './chat-events.ts';
import { type CommonFields, commonFields, generationOf } from './fields.ts';
import { fimPrompt } from './fim-prompt.ts';
import { InfillEvents } from './infill-events.ts';
import { LineLimits } from './line-limits.ts';
import { ownModelFault } from './model-name.ts';
import { withSamplers } from './samplers.ts';
import { newHead, type OpenAiWorld, type RequestBounds } from './world.ts';

const INFILL_PATH = '/infill';
const FIM_PATH = '/v1/fim/completions';
const PREDICT_DEFAULT = 128; // tokens; editors ask for a line or a few
const EXTRA_COUNT_MAX = 256;
const SAMPLER_COUNT_MAX = 64;
const MS_MAX = 2 ** 31 - 1;

const predictField = z.int().min(-1).nullish(); // −1: as far as the context goes

function infillSchema(bounds: RequestBounds) {
  const common = commonFields(bounds);
  return z.object({
    ...common,
    input_prefix: z.string().nullish(),
    input_suffix: z.string().nullish(),
    input_extra: z
      .array(z.looseObject({ text: z.string().nullish(), filename: z.string().nullish() }))
      .max(EXTRA_COUNT_MAX)
      .nullish(),
    prompt: z.string().nullish(), // the line of the cursor, up to it
    n_predict: predictField, // 0: only compute the prompt
    n_cmpl: common.n, // as is n
    n_indent: z.int().min(0).max(1024).nullish(),
    t_max_predict_ms: z.number().max(MS_MAX).nullish(), // 0 and below: no bound
    samplers: z.union([z.array(z.string().max(64)).max(SAMPLER_COUNT_MAX), z.string().max(64)]).nullish(),
    repeat_penalty: common.repetition_penalty,
  });
}

function fimSchema(bounds: RequestBounds) {
  return z.object({
    ...commonFields(bounds),
    prompt: z.string(),
    suffix: z.string().nullish(),
    n_predict: predictField,
  });
}

export function infillRoutes(world: OpenAiWorld): readonly Route[] {
  const infill = infillSchema(world.bounds);
  const fim = fimSchema(world.bounds);
  const deliver = (call: HttpCall, answer: (owner: string) => Parsed<Answer>): void =>
    deliverOutcome(call, answer(call.facts.owner), world);
  return [
    {
      method: 'POST',
      path: INFILL_PATH,
      open: false,
      answer: (call) =>
        call.readJson(infill, (body) => deliver(call, (owner) => infillAnswer(body, owner, world))),
    },
    {
      method: 'POST',
      path: FIM_PATH,
      open: false,
      answer: (call) => call.readJson(fim, (body) => deliver(call, (owner) => fimAnswer(body, owner, world))),
    },
  ];
}

type InfillRequest = z.output<ReturnType<typeof infillSchema>>;

function infillAnswer(body: InfillRequest, owner: string, world: OpenAiWorld): Parsed<Answer> {
  const before = (body.input_prefix ?? '') + (body.prompt ?? '');
  const extra = (body.input_extra ?? []).map(({ text, filename }) => ({ name: filename, text: text ?? '' }));
  const prompt = fimPrompt({ before, after: body.input_suffix ?? '', extra }, world);
  if (!prompt.ok) return prompt;
  const { tokens, truncated } = prompt.value;
  const predictMax = body.n_predict ?? body.max_tokens ?? PREDICT_DEFAULT;
  const parts = { tokens, maxTokens: predictMax < 0 ? null : predictMax, owner, route: INFILL_PATH };
  const generation = generationOf(infillFields(body), { ...parts, logprobs: null }, world);
  if (!generation.ok) return generation;
  const limits = { t_max_predict_ms: body.t_max_predict_ms ?? 0, n_indent: body.n_indent ?? 0 };
  const bounds = { predictMsMax: Math.max(0, limits.t_max_predict_ms), indentMin: limits.n_indent };
  const limited = bounds.predictMsMax > 0 || bounds.indentMin > 0;
  const newCutoff = limited ? () => new LineLimits(bounds, world.clock) : null;
  const shape = new InfillEvents({ generation: generation.value, predictMax, truncated, limits }, world);
  const generations = [{ ...generation.value, newCutoff }];
  return { ok: true, value: { generations, stream: body.stream === true, includeUsage: null, shape } };
}

/** llama-server's names in ours. A string of letters is its short form of samplers, which names none of ours. */
function infillFields(body: InfillRequest): CommonFields {
  const n = body.n_cmpl ?? body.n;
  const repetition_penalty = body.repetition_penalty ?? body.repeat_penalty;
  const listed = Array.isArray(body.samplers) ? body.samplers : null;
  return withSamplers({ ...body, n, repetition_penalty }, listed);
}

function fimAnswer(
  body: z.output<ReturnType<typeof fimSchema>>,
  owner: string,
  world: OpenAiWorld,
): Parsed<Answer> {
  const absent = ownModelFault(body.model, world);
  if (absent !== null) return { ok: false, fault: absent };
  const prompt = fimPrompt({ before: body.prompt, after: body.suffix ?? '', extra: [] }, world);
  if (!prompt.ok) return prompt;
  const { tokens } = prompt.value;
  const asked = body.max_tokens ?? body.n_predict ?? PREDICT_DEFAULT;
  const maxTokens = asked < 0 ? null : asked;
  const parts = { tokens, maxTokens, logprobs: null, owner, route: FIM_PATH };
  const generation = generationOf({ ...body, n: 1 }, parts, world);
  if (!generation.ok) return generation;
  const includeUsage = body.stream_options?.include_usage ?? null;
  const shape = new ChatEvents({
    head: newHead(world, 'chatcmpl', body.model),
    tokenizer: world.model.tokenizer,
    stopTokenIds: new Set(world.model.spec.eosTokenIds),
    promptTokens: null,
    withUsage: includeUsage === true,
  });
  return {
    ok: true,
    value: { generations: [generation.value], stream: body.stream === true, includeUsage, shape },
  };
}
