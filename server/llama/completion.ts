// POST /completion: llama-server's own completion of a text or of token ids (Continue's llama.cpp provider, scripts).
// Never generates. Before it: http/door.ts; after it: answer.ts.

import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, answerInForm } from '../chat/answer.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { type AnswerForm, textSource } from '../chat/form.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { ownModelFault } from '../chat/model-name.ts';
import { rawPrompt } from '../chat/raw-prompt.ts';
import { noTools } from '../chat/tool-set.ts';
import type { Route } from '../http/door.ts';
import type { HttpCall } from '../http/http-call.ts';
import { strayFault, tokenIds } from '../text/token-ids.ts';
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
  answerInForm(call, { tools: noTools, text, textParam: 'json_schema' }, service, (form) =>
    answerOf(body, form, call.facts.owner, service),
  );
}

function unsupportedFault(body: CompletionRequest, { model }: ChatService): Fault | null {
  if (body.grammar)
    return fault('unsupported', 'grammar: only json_schema is held on this route', { param: 'grammar' });
  if (body.n_probs)
    return fault('unsupported', 'n_probs: /v1/completions has log-probabilities', { param: 'n_probs' });
  return typeof body.prompt === 'string' ? null : strayFault(body.prompt, 'prompt', model.spec, 'prompt');
}

function answerOf(
  body: CompletionRequest,
  form: AnswerForm,
  owner: string,
  service: ChatService,
): Parsed<AnswerPlan> {
  const tokens = rawPrompt(body.prompt, 'prompt', service);
  if (!tokens.ok) return tokens;
  const more = { truncated: false, predictDefault: PREDICT_DEFAULT, form, owner, route: COMPLETION_PATH };
  return llamaAnswer(body, { tokens: tokens.value, ...more }, service);
}
