// POST /completion: llama-server's own completion of a text or of token ids (Continue's llama.cpp provider, scripts).
// Never generates. Before it: http/door.ts; after it: answer.ts.

import { z } from 'zod';
import type { Fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, answerInForm } from '../chat/answer.ts';
import type { ChatService } from '../chat/chat-service.ts';
import type { AnswerForm } from '../chat/form.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { ownModelFault } from '../chat/model-name.ts';
import { rawPrompt } from '../chat/raw-prompt.ts';
import { noTools } from '../chat/tool-set.ts';
import type { Route } from '../http/door.ts';
import type { HttpCall } from '../http/http-call.ts';
import { askedForm, formFields } from '../openai/asked-form.ts';
import { strayFault, tokenIds } from '../text/token-ids.ts';
import { llamaAnswer, llamaFields } from './answer.ts';

const COMPLETION_PATH = '/completion';
const PREDICT_DEFAULT = -1; // llama-server's

function completionSchema(bounds: RequestBounds) {
  return z.object({
    ...llamaFields(bounds),
    prompt: z.union([z.string(), tokenIds()]),
    json_schema: formFields.json_schema,
    grammar: formFields.grammar,
    n_probs: z.int().min(0).max(bounds.logprobsMax).nullish(),
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
  const asked = askedForm({ json_schema: body.json_schema, grammar: body.grammar });
  if (!asked.ok) {
    call.refuse(asked.fault);
    return;
  }
  answerInForm(call, { tools: noTools, ...asked.value }, service, (form) =>
    answerOf(body, form, call.facts.owner, service),
  );
}

function unsupportedFault(body: CompletionRequest, { model }: ChatService): Fault | null {
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
  const logprobs = body.n_probs == null || body.n_probs === 0 ? null : body.n_probs;
  const more = {
    truncated: false,
    predictDefault: PREDICT_DEFAULT,
    form,
    logprobs,
    owner,
    route: COMPLETION_PATH,
  };
  return llamaAnswer(body, { tokens: tokens.value, ...more }, service);
}
