// POST /completion: llama-server's own completion of a text or of token ids (Continue's llama.cpp provider, scripts).
// Never generates. Before it: http/door.ts; after it: answer.ts.
import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, deliverOutcome } from '../chat/answer.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { type AnswerForm, textSource, withForm } from '../chat/form.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { ownModelFault } from '../chat/model-name.ts';
import { encodePrompt } from '../chat/prompt-text.ts';
import { toolSetOf } from '../chat/tool-set.ts';
import type { Route } from '../http/door.ts';
import type { HttpCall } from '../http/http-call.ts';
import { tokenIds } from '../text/token-ids.ts';
import { llamaAnswer, llamaFields } from './answer.ts';

const COMPLETION_PATH = '/completion';
const PREDICT_DEFAULT = -1; // llama-server's

function completionSchema(bounds: RequestBounds) {
  return z.object({
    ...llamaFields(bounds),
    prompt: z.union([z.string(), tokenIds()]),
    json_schema: z.record(z.string(), z.unknown()).nullish(),
    grammar: z.string().nullish(),
    n_probs: z.int().min(0).nullish(),
  });
}

type CompletionRequest = z.output<ReturnType<typeof completionSchema>>;

export function llamaCompletionRoute(service: ChatService): Route {
  const schema = completionSchema(service.bounds);
  return {
    method: 'POST',
    path: COMPLETION_PATH,
    open: false,
    about: {
      group: 'llama-server',
      summary: "Completion in llama-server's shape",
      body: schema,
      answers: 'events',
    },
    answer: (call) => call.readJson(schema, (body) => answer(call, body, service)),
  };
}

function answer(call: HttpCall, body: CompletionRequest, service: ChatService): void {
  const unusable = ownModelFault(body.model, service) ?? unsupportedFault(body, service);
  if (unusable !== null) {
    call.refuse(unusable);
    return;
  }
  const schema = body.json_schema ?? null;
  const text = schema === null ? null : textSource({ type: 'json_schema', json_schema: { schema } });
  const tools = toolSetOf([], { choice: 'none', parallel: true });
  withForm({ tools, text, textParam: 'json_schema' }, service.forms, (form) => {
    if (call.over) return; // left while the grammar was compiled
    call.guard(() =>
      deliverOutcome(call, form.ok ? answerOf(body, form.value, call.facts.owner, service) : form, service),
    );
  });
}

function unsupportedFault(body: CompletionRequest, { model }: ChatService): Fault | null {
  if (body.grammar)
    return fault('unsupported', 'grammar: only json_schema is held on this route', { param: 'grammar' });
  if (body.n_probs)
    return fault('unsupported', 'n_probs: /v1/completions has log-probabilities', { param: 'n_probs' });
  const stray =
    typeof body.prompt === 'string' ? -1 : body.prompt.findIndex((id) => id >= model.spec.vocabSize);
  if (stray < 0) return null;
  const message = `prompt[${stray}]: ${body.prompt[stray]} is not in [0, ${model.spec.vocabSize})`;
  return fault('invalid_request', message, { param: 'prompt' });
}

function answerOf(
  body: CompletionRequest,
  form: AnswerForm,
  owner: string,
  service: ChatService,
): Parsed<AnswerPlan> {
  const tokens = tokensOf(body.prompt, service);
  if (!tokens.ok) return tokens;
  const more = { truncated: false, predictDefault: PREDICT_DEFAULT, form, owner, route: COMPLETION_PATH };
  return llamaAnswer(body, { tokens: tokens.value, ...more }, service);
}

/** A text begins like the texts the model was trained on; ids are taken as they are. */
function tokensOf(
  prompt: CompletionRequest['prompt'],
  { model: { tokenizer, spec }, generator }: ChatService,
): Parsed<Int32Array> {
  if (typeof prompt !== 'string') return { ok: true, value: Int32Array.from(prompt) };
  const encoded = encodePrompt(prompt, tokenizer, {
    contextTokensMax: generator.contextTokensMax,
    mode: 'raw',
  });
  if (!encoded.ok) return encoded;
  const tokens = Int32Array.from([...tokenizer.startIds, ...encoded.value]);
  if (tokens.length > 0) return { ok: true, value: tokens };
  const [start] = spec.eosTokenIds; // what ends a text also begins the next one
  if (start !== undefined) return { ok: true, value: Int32Array.of(start) };
  return { ok: false, fault: fault('invalid_request', 'prompt: must not be empty', { param: 'prompt' }) };
}
