// The fields that chat and text completions have in common: their zod types with bounds, and the way from them to a
// generation. Unknown fields are dropped, null means absent, absent sampling fields are the model's own defaults.
// Before it: http/http-call.ts hands over a checked body; after it: answer.ts.
import { z } from 'zod';
import { repetitionPenaltyMin } from '../../kernels/sampling.ts';
import { contextFault, type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { Priority } from '../engine/request.ts';
import { draftingFor } from '../generation/drafting.ts';
import type { GenerationRequest } from '../generation/generation.ts';
import { foldSeed } from '../generation/seed.ts';
import { strangerIn } from '../text/stranger.ts';
import type { LocalModel, RequestBounds } from './local-model.ts';
import { tokenRuleFields, tokenRules } from './token-rules.ts';
import { unserved, unservedOfVllm, unservedSampling } from './unserved-fields.ts';

const STOP_COUNT_MAX = 16; // OpenAI takes 4; some editors send more
const STOP_LENGTH_MAX = 1024; // characters
const LOGIT_BIAS_COUNT_MAX = 1024;
const CACHE_SALT_MAX = 1024; // characters
const TOKEN_COUNT_MAX = 2 ** 31 - 1;

const INT64_SIZE = 9_223_372_036_854_776_000n; // 2⁶³ as JavaScript writes it

/** Any int64, as OpenAI's document has it; beyond 2⁵³ the body's reader hands it over as a bigint. */
const seedField = z
  .union([
    z
      .number()
      .min(-(2 ** 63))
      .max(2 ** 63)
      .refine(Number.isInteger, { message: 'expected a whole number' }),
    z.bigint().min(-INT64_SIZE).max(INT64_SIZE),
  ])
  .meta({ type: 'integer', format: 'int64' });

export function commonFields({ choiceCountMax }: RequestBounds) {
  const stopString = z.string().max(STOP_LENGTH_MAX);
  const penalty = z
    .number()
    .min(repetitionPenaltyMin)
    .max(1 / repetitionPenaltyMin)
    .nullish();
  return {
    model: z.string().nullish(),
    n: z.int().min(1).max(choiceCountMax).nullish(),
    stream: z.boolean().nullish(),
    stream_options: z
      .object({ include_usage: z.boolean().nullish(), continuous_usage_stats: unserved(false) })
      .nullish(),
    max_tokens: z.int().min(0).max(TOKEN_COUNT_MAX).nullish(),
    min_tokens: z.int().min(0).max(TOKEN_COUNT_MAX).nullish(),
    temperature: z.number().min(0).max(100).nullish(),
    top_p: z.number().min(0).max(1).nullish(), // 0: the most likely token
    top_k: z.int().min(-1).max(TOKEN_COUNT_MAX).nullish(), // −1, like 0, is off
    min_p: z.number().min(0).max(1).nullish(),
    repetition_penalty: penalty,
    repeat_penalty: penalty, // llama-server's name for it
    frequency_penalty: z.number().min(-2).max(2).nullish(),
    presence_penalty: z.number().min(-2).max(2).nullish(),
    logit_bias: z
      .record(z.string().regex(/^\d{1,10}$/, 'a token id is expected'), z.number().min(-100).max(100))
      .refine((bias) => Object.keys(bias).length <= LOGIT_BIAS_COUNT_MAX, {
        message: `at most ${LOGIT_BIAS_COUNT_MAX} tokens can be biased`,
      })
      .nullish(),
    seed: seedField.nullish(),
    stop: z.union([stopString, z.array(stopString).max(STOP_COUNT_MAX)]).nullish(),
    ignore_eos: z.boolean().nullish(),
    return_token_ids: z.boolean().nullish(),
    cache_salt: z.string().min(1).max(CACHE_SALT_MAX).nullish(), // vLLM: only requests with the same one share cached prompts
    speculation: z.boolean().nullish(), // extension; the answer is the same with and without
    user: z.string().nullish(),
    ...tokenRuleFields,
    // vLLM's, which some routes have in earnest. Dropped without a word, each would change what the answer is.
    truncate_prompt_tokens: unserved(),
    prompt_logprobs: unserved(),
    truncation_side: unserved(),
    return_tokens_as_token_ids: unserved(false),
    ...unservedSampling,
    ...unservedOfVllm,
  };
}

export type CommonFields = z.output<z.ZodObject<ReturnType<typeof commonFields>>>;

/** Whether the stream has a chunk for the usage; null: nobody said, so that the last chunk carries it. */
export function usageChunk({
  stream_options: options,
}: Pick<CommonFields, 'stream_options'>): boolean | null {
  return options == null ? null : (options.include_usage ?? false);
}

export interface GenerationParts {
  readonly tokens: Int32Array;
  readonly maxTokens: number | null; // null: as far as the context goes
  readonly logprobs: number | null;
  readonly promptLogprobs?: number | null;
  readonly owner: string;
  readonly route: string;
  readonly prediction?: string | null; // text that the answer will probably resemble
  readonly priority?: Priority; // a turn's unless said
  readonly eachToken?: boolean; // told by itself
}

/** Checks what needs the model and the prompt at hand, and fills in defaults. */
export function generationOf(
  fields: CommonFields,
  parts: GenerationParts,
  service: Pick<LocalModel, 'model' | 'generator' | 'bounds' | 'clock' | 'forms'>,
): Parsed<GenerationRequest> {
  const { model, generator, bounds, clock } = service;
  const { defaults } = model;
  const room = generator.contextTokensMax - parts.tokens.length;
  const maxTokens = Math.min(parts.maxTokens ?? TOKEN_COUNT_MAX, Math.max(0, room));
  const refused =
    roomFault(parts, room, generator.contextTokensMax) ??
    strangerFault(parts.tokens, model) ??
    minTokensFault(fields.min_tokens ?? 0, parts.maxTokens) ??
    biasFault(fields.logit_bias ?? {}, model.spec.vocabSize);
  if (refused !== null) return { ok: false, fault: refused };
  const rules = tokenRules(fields, service);
  if (!rules.ok) return rules;
  const seed = fields.seed == null ? null : foldSeed(fields.seed);
  return {
    ok: true,
    value: {
      ...rules.value,
      tokens: parts.tokens,
      choiceCount: fields.n ?? 1,
      maxTokens,
      minTokens: Math.min(fields.min_tokens ?? 0, maxTokens),
      temperature: fields.temperature ?? defaults.temperature,
      topP: fields.top_p ?? defaults.topP,
      topK: Math.max(0, fields.top_k ?? defaults.topK),
      minP: fields.min_p ?? defaults.minP,
      repetitionPenalty: fields.repetition_penalty ?? fields.repeat_penalty ?? defaults.repetitionPenalty,
      frequencyPenalty: fields.frequency_penalty ?? 0,
      presencePenalty: fields.presence_penalty ?? 0,
      logitBias: biasOf(fields.logit_bias ?? {}),
      seed,
      logprobs: parts.logprobs,
      promptLogprobs: parts.promptLogprobs ?? null,
      stopStrings: stopStringsOf(fields.stop ?? []),
      ignoreStopTokens: fields.ignore_eos ?? false,
      speculation: draftingFor(
        {
          speculation: fields.speculation ?? null,
          prediction: parts.prediction ?? null,
          seed,
        },
        { ...bounds, contextTokensMax: generator.contextTokensMax },
        (text) => model.tokenizer.encode(text),
      ),
      route: parts.route,
      priority: parts.priority ?? 'turn',
      cacheSalt: saltOf(parts.owner, fields.cache_salt),
      ...(parts.eachToken === true && { eachToken: true }),
      deadlineMs: clock.nowMs() + bounds.requestTimeoutMs,
    },
  };
}

/** Callers share nothing anyway; within one, those who say so share nothing either. */
function saltOf(owner: string, salt: string | null | undefined): string {
  return salt == null ? owner : `${owner}\n${salt}`;
}

/** More output than fits is cut by the context ('length'); a prompt that leaves no room is a mistake. */
function roomFault(parts: GenerationParts, room: number, contextTokensMax: number): Fault | null {
  const needed = parts.maxTokens === 0 ? 0 : 1;
  if (room >= needed) return null;
  return contextFault(`the prompt has ${parts.tokens.length} tokens`, contextTokensMax);
}

/** An added token that the tokenizer finds in a text, and that the model has no embedding for. */
function strangerFault(
  tokens: ArrayLike<number>,
  { tokenizer, spec }: Pick<LocalModel['model'], 'tokenizer' | 'spec'>,
): Fault | null {
  const stranger = strangerIn(tokens, { tokenizer, spec });
  return stranger === null ? null : fault('invalid_request', `the prompt holds ${stranger}`);
}

export function minTokensFault(minTokens: number, maxTokens: number | null): Fault | null {
  if (maxTokens === null || minTokens <= maxTokens) return null;
  const message = `min_tokens: ${minTokens} is above the most tokens allowed, ${maxTokens}`;
  return fault('invalid_request', message, { param: 'min_tokens' });
}

function biasFault(bias: Readonly<Record<string, number>>, vocabSize: number): Fault | null {
  const stray = Object.keys(bias).find((id) => Number(id) >= vocabSize);
  if (stray === undefined) return null;
  const message = `logit_bias: token ${stray} is not in [0, ${vocabSize})`;
  return fault('invalid_request', message, { param: `logit_bias.${stray}` });
}

function biasOf(bias: Readonly<Record<string, number>>): ReadonlyMap<number, number> | null {
  const entries = Object.entries(bias);
  return entries.length === 0 ? null : new Map(entries.map(([id, value]) => [Number(id), value]));
}

/** An empty string would end every answer before it begins; clients that send one mean none. */
function stopStringsOf(stop: string | readonly string[]): readonly string[] {
  return (typeof stop === 'string' ? [stop] : stop).filter((string) => string !== '');
}
