// Fill in the middle for editors: POST /infill in llama-server's shape (llama.vscode), POST /v1/fim/completions in
// Mistral's (Continue), whose answers are chat objects. Owns their fields; never generates. Before it: http/door.ts; after it:
// chat/fim-prompt.ts and chat/answer.ts.
import { z } from 'zod';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, deliverOutcome } from '../chat/answer.ts';
import { type ChatService, newHead } from '../chat/chat-service.ts';
import { commonFields, generationOf, usageChunk } from '../chat/fields.ts';
import { fimPrompt } from '../chat/fim-prompt.ts';
import { startOf } from '../chat/local-answering.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { ownModelFault } from '../chat/model-name.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { ChatEvents } from '../openai/chat-events.ts';
import { llamaAnswer, llamaFields, predictField } from './answer.ts';

const llama = routesIn('llama-server');
const mistral = routesIn('mistral');

const INFILL_PATH = '/infill';
const FIM_PATH = '/v1/fim/completions';
const PREDICT_DEFAULT = 128; // tokens; editors ask for a line or a few
const EXTRA_COUNT_MAX = 256;

function infillSchema(bounds: RequestBounds) {
  return z.object({
    ...llamaFields(bounds),
    input_prefix: z.string().nullish(),
    input_suffix: z.string().nullish(),
    input_extra: z
      .array(z.looseObject({ text: z.string().nullish(), filename: z.string().nullish() }))
      .max(EXTRA_COUNT_MAX)
      .nullish(),
    prompt: z.string().nullish(), // the line of the cursor, up to it
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

export function infillRoutes(service: ChatService): readonly Route[] {
  const infill = infillSchema(service.bounds);
  const fim = fimSchema(service.bounds);
  const deliver = (call: HttpCall, answer: (owner: string) => Parsed<AnswerPlan>): void =>
    deliverOutcome(call, answer(call.facts.owner), service);
  return [
    llama.posted(
      INFILL_PATH,
      { summary: 'Fill in the middle', body: infill, answers: 'events' },
      (call, body) => deliver(call, (owner) => infillAnswer(body, owner, service)),
    ),
    mistral.posted(FIM_PATH, { summary: 'Fill in the middle', body: fim, answers: 'events' }, (call, body) =>
      deliver(call, (owner) => fimAnswer(body, owner, service)),
    ),
  ];
}

function infillAnswer(
  body: z.output<ReturnType<typeof infillSchema>>,
  owner: string,
  service: ChatService,
): Parsed<AnswerPlan> {
  const before = (body.input_prefix ?? '') + (body.prompt ?? '');
  const extra = (body.input_extra ?? []).map(({ text, filename }) => ({ name: filename, text: text ?? '' }));
  const prompt = fimPrompt({ before, after: body.input_suffix ?? '', extra }, service);
  if (!prompt.ok) return prompt;
  const more = { predictDefault: PREDICT_DEFAULT, owner, route: INFILL_PATH };
  const { tokens, truncated } = prompt.value;
  return llamaAnswer(body, { prompts: [tokens], truncated, ...more }, service);
}

function fimAnswer(
  body: z.output<ReturnType<typeof fimSchema>>,
  owner: string,
  service: ChatService,
): Parsed<AnswerPlan> {
  const absent = ownModelFault(body.model, service);
  if (absent !== null) return { ok: false, fault: absent };
  const prompt = fimPrompt({ before: body.prompt, after: body.suffix ?? '', extra: [] }, service);
  if (!prompt.ok) return prompt;
  const { tokens } = prompt.value;
  const asked = body.max_tokens ?? body.n_predict ?? PREDICT_DEFAULT;
  const maxTokens = asked < 0 ? null : asked;
  const parts = { tokens, maxTokens, logprobs: null, owner, route: FIM_PATH };
  const generation = generationOf({ ...body, n: 1 }, parts, service);
  if (!generation.ok) return generation;
  const includeUsage = usageChunk(body);
  const shape = new ChatEvents({
    head: newHead(service, 'chatcmpl', body.model),
    tokenizer: service.model.tokenizer,
    stopTokenIds: service.model.spec.eosTokenIds,
    promptTokens: null,
    withUsage: includeUsage === true,
  });
  const starts = [startOf(generation.value, service)];
  const stream = body.stream === true;
  return { ok: true, value: { starts, logprobs: false, stream, includeUsage, shape } };
}
