// POST /completion: llama-server's own completion of a text or of token ids (Continue's llama.cpp provider, scripts).
// Never generates. Before it: http/door.ts; after it: answer.ts.
import { z } from 'zod';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, answerInForm } from '../chat/answer.ts';
import type { ChatService } from '../chat/chat-service.ts';
import type { AnswerForm } from '../chat/form.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { ownModelFault } from '../chat/model-name.ts';
import { noTools } from '../chat/tool-set.ts';
import { unserved } from '../chat/unserved-fields.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { askedForm, formFields } from '../openai/asked-form.ts';
import { llamaAnswer, llamaFields } from './answer.ts';
import { biasById, llamaLogitBias } from './logit-bias.ts';
import { promptField, promptsOf, tokensOfPrompt } from './prompts.ts';

const table = routesIn('llama-server');

const COMPLETION_PATH = '/completion';
const PREDICT_DEFAULT = -1; // llama-server's
const FIELD_COUNT_MAX = 64;

function completionSchema(bounds: RequestBounds) {
  return z.object({
    ...llamaFields(bounds),
    prompt: promptField(bounds.promptCountMax),
    logit_bias: llamaLogitBias,
    json_schema: formFields.json_schema,
    grammar: formFields.grammar,
    n_probs: z.int().min(0).max(bounds.logprobsMax).nullish(),
    post_sampling_probs: unserved(false), // chances are the model's own, before anything narrows them
    return_tokens: z.boolean().nullish(),
    response_fields: z.array(z.string().max(256)).max(FIELD_COUNT_MAX).nullish(), // `a/b` is b within a
    lora: unserved(),
  });
}

type CompletionRequest = z.output<ReturnType<typeof completionSchema>>;

export function llamaCompletionRoute(service: ChatService): Route {
  const schema = completionSchema(service.bounds);
  return table.posted(
    COMPLETION_PATH,
    { summary: "Completion in llama-server's shape", body: schema, answers: 'events' },
    (call, body) => answer(call, body, service),
  );
}

function answer(call: HttpCall, body: CompletionRequest, service: ChatService): void {
  const unusable = ownModelFault(body.model, service);
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

function answerOf(
  body: CompletionRequest,
  form: AnswerForm,
  owner: string,
  service: ChatService,
): Parsed<AnswerPlan> {
  const prompts: Int32Array[] = [];
  const given = promptsOf(body.prompt);
  for (const [index, one] of given.entries()) {
    const tokens = tokensOfPrompt(one, given.length === 1 ? 'prompt' : `prompt[${index}]`, service);
    if (!tokens.ok) return tokens;
    prompts.push(tokens.value);
  }
  const logprobs = body.n_probs == null || body.n_probs === 0 ? null : body.n_probs;
  const more = {
    truncated: false,
    predictDefault: PREDICT_DEFAULT,
    form,
    logprobs,
    owner,
    route: COMPLETION_PATH,
  };
  const shown = {
    prompt: true,
    tokens: body.return_tokens === true,
    isList: given === body.prompt, // of one prompt, too
    fields: body.response_fields ?? [],
  };
  const logitBias = biasById(body.logit_bias, service.model);
  return llamaAnswer({ ...body, logit_bias: logitBias }, { prompts, shown, ...more }, service);
}
