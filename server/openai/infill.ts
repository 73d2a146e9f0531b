// Fill in the middle for editors: POST /infill in llama-server's shape (llama.vscode), POST /v1/fim/completions in
// Mistral's (Continue), whose answers are chat objects. Owns the prompt of prefix, suffix and other files; never
// generates. Before it: http.ts; after it: answer.ts.
import { z } from 'zod';
import { fault } from '../errors.ts';
import type { GenerationDelta } from '../generation.ts';
import type { Route } from '../http.ts';
import type { HttpCall } from '../http-call.ts';
import type { Parsed } from '../json-body.ts';
import { type Answer, type AnswerShape, deliverOutcome, type WholeChoice } from './answer.ts';
import { ChatEvents } from './chat-events.ts';
import { type CommonFields, commonFields, type GenerationParts, generationOf } from './fields.ts';
import { ownModelFault } from './model-name.ts';
import { encodePrompt } from './prompt-text.ts';
import type { Usage } from './usage.ts';
import { newHead, type OpenAiWorld, type RequestBounds } from './world.ts';

const INFILL_PATH = '/infill';
const FIM_PATH = '/v1/fim/completions';
const PREDICT_DEFAULT = 128; // tokens; editors ask for a line or a few
const EXTRA_COUNT_MAX = 256;

function infillSchema(bounds: RequestBounds) {
  return z.object({
    ...commonFields(bounds),
    input_prefix: z.string().nullish(),
    input_suffix: z.string().nullish(),
    input_extra: z
      .array(z.looseObject({ text: z.string().nullish(), filename: z.string().nullish() }))
      .max(EXTRA_COUNT_MAX)
      .nullish(),
    prompt: z.string().nullish(), // the line of the cursor, up to it
    n_predict: z.int().min(-1).nullish(), // −1: as far as the context goes; 0: only compute the prompt
  });
}

function fimSchema(bounds: RequestBounds) {
  return z.object({ ...commonFields(bounds), prompt: z.string(), suffix: z.string().nullish() });
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

function infillAnswer(
  body: z.output<ReturnType<typeof infillSchema>>,
  owner: string,
  world: OpenAiWorld,
): Parsed<Answer> {
  const before = (body.input_prefix ?? '') + (body.prompt ?? '');
  const extra = (body.input_extra ?? []).map(({ text, filename }) => ({ name: filename, text: text ?? '' }));
  const tokens = fimTokens({ before, after: body.input_suffix ?? '', extra }, world);
  if (!tokens.ok) return tokens;
  const asked = body.n_predict ?? body.max_tokens ?? PREDICT_DEFAULT;
  const parts = { tokens: tokens.value, maxTokens: asked < 0 ? null : asked, owner, route: INFILL_PATH };
  const generation = plain(body, parts, world);
  if (!generation.ok) return generation;
  const shape = new InfillEvents(world.model.name, asked);
  return {
    ok: true,
    value: { generations: [generation.value], stream: body.stream === true, includeUsage: null, shape },
  };
}

function fimAnswer(
  body: z.output<ReturnType<typeof fimSchema>>,
  owner: string,
  world: OpenAiWorld,
): Parsed<Answer> {
  const absent = ownModelFault(body.model, world);
  if (absent !== null) return { ok: false, fault: absent };
  const tokens = fimTokens({ before: body.prompt, after: body.suffix ?? '', extra: [] }, world);
  if (!tokens.ok) return tokens;
  const maxTokens = body.max_tokens ?? PREDICT_DEFAULT;
  const generation = plain(body, { tokens: tokens.value, maxTokens, owner, route: FIM_PATH }, world);
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

function plain(
  body: CommonFields,
  parts: Omit<GenerationParts, 'logprobs' | 'prediction'>,
  world: OpenAiWorld,
) {
  return generationOf({ ...body, n: 1 }, { ...parts, logprobs: null }, world);
}

interface Cursor {
  readonly before: string;
  readonly after: string;
  readonly extra: readonly { readonly name: string | null | undefined; readonly text: string }[]; // best first
}

/**
 * prefix, text before, suffix, text after, middle. Other files go before the text, the best one next to it, as many as
 * fit; of a text that is too long the part around the cursor is kept.
 */
function fimTokens({ before, after, extra }: Cursor, world: OpenAiWorld): Parsed<Int32Array> {
  const { model, generator } = world;
  const { fim, tokenizer } = model;
  if (fim === null) {
    const message = `${model.name} has no tokens for filling in the middle`;
    return { ok: false, fault: fault('unsupported', message) };
  }
  const { contextTokensMax } = generator;
  // A quarter for the answer and what an editor adds while typing; of the rest three parts in four before the cursor.
  const room = contextTokensMax - 3 - (contextTokensMax >> 2);
  const bounds = { contextTokensMax: contextTokensMax * 16, mode: 'plain' } as const; // files quote control tokens
  const head = encodePrompt(before, tokenizer, bounds);
  const tail = encodePrompt(after, tokenizer, bounds);
  if (!head.ok) return head;
  if (!tail.ok) return tail;
  const tailTokens = tail.value.subarray(0, Math.max(room >> 2, room - head.value.length));
  const headTokens = head.value.subarray(Math.max(0, head.value.length - (room - tailTokens.length)));
  let left = room - tailTokens.length - headTokens.length;
  const files: number[] = [];
  for (const { name, text } of extra) {
    if (text.length > left * 64) continue; // cannot fit, and need not be looked at
    const tokens = tokenizer.encode(`${name == null ? '' : `// ${name}\n`}${text}\n`, 'plain');
    if (tokens.length > left) continue;
    left -= tokens.length;
    files.unshift(...tokens);
  }
  const { prefixId, suffixId, middleId } = fim;
  return {
    ok: true,
    value: Int32Array.from([prefixId, ...files, ...headTokens, suffixId, ...tailTokens, middleId]),
  };
}

/** llama-server's objects, as far as llama.vscode reads them. */
class InfillEvents implements AnswerShape {
  readonly #model: string;
  readonly #predictMax: number;

  constructor(model: string, predictMax: number) {
    this.#model = model;
    this.#predictMax = predictMax;
  }

  opening(): null {
    return null;
  }

  delta(choice: number, { text, tokens }: GenerationDelta): string | null {
    if (text === '') return null;
    return JSON.stringify({ index: choice, content: text, tokens, stop: false });
  }

  ending(_choice: number, reason: 'stop' | 'length', usage: Usage | null): string {
    return JSON.stringify({ content: '', stop: true, ...this.#facts(reason, usage) });
  }

  usage(usage: Usage): string {
    return JSON.stringify({ content: '', stop: true, ...this.#facts('stop', usage) });
  }

  whole([choice]: readonly WholeChoice[], usage: Usage): unknown {
    const { text, reason } = choice!;
    return { content: text, stop: true, ...this.#facts(reason, usage) };
  }

  #facts(reason: 'stop' | 'length', usage: Usage | null): object {
    const cached = usage?.prompt_tokens_details.cached_tokens ?? 0;
    return {
      model: this.#model,
      stop_type: reason === 'length' ? 'limit' : 'eos',
      generation_settings: { n_predict: this.#predictMax },
      tokens_predicted: usage?.completion_tokens ?? 0,
      tokens_evaluated: usage?.prompt_tokens ?? 0,
      tokens_cached: cached,
      truncated: false,
      timings: {
        cache_n: cached,
        prompt_n: (usage?.prompt_tokens ?? 0) - cached,
        predicted_n: usage?.completion_tokens ?? 0,
      },
    };
  }
}
