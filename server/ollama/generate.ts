// POST /api/generate: Ollama's completion of a prompt, which is a question for the model's template unless it is `raw`, has
// a `suffix` to be filled in before, or goes on from the `context` of an earlier answer. Owns the prompt's four forms.
// Before it: routes.ts; after it: answer.ts.

import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, answerInForm } from '../chat/answer.ts';
import type { ChatPrompt } from '../chat/chat-prompt.ts';
import type { ChatService } from '../chat/chat-service.ts';
import { fimPrompt } from '../chat/fim-prompt.ts';
import type { AnswerForm } from '../chat/form.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { ownModelFault } from '../chat/model-name.ts';
import { noTools } from '../chat/tool-set.ts';
import type { HttpCall } from '../http/http-call.ts';
import { encodePrompt } from '../text/prompt-text.ts';
import { strayFault, tokenIds } from '../text/token-ids.ts';
import { loaded, ollamaAnswer } from './answer.ts';
import { askFields, formatOf, IMAGE_COUNT_MAX, thinkingOptions } from './fields.ts';
import { ollamaContent } from './messages.ts';
import type { Said } from './reading.ts';

export const GENERATE_PATH = '/api/generate';

export function generateSchema(bounds: RequestBounds) {
  return z.object({
    ...askFields(bounds),
    prompt: z.string().nullish(),
    suffix: z.string().nullish(),
    system: z.string().nullish(),
    template: z.string().nullish(),
    raw: z.boolean().nullish(),
    images: z.array(z.string()).max(IMAGE_COUNT_MAX).nullish(),
    context: tokenIds({ empty: true }).nullish(),
  });
}

type GenerateRequest = z.output<ReturnType<typeof generateSchema>>;

export function answerGenerate(call: HttpCall, body: GenerateRequest, service: ChatService): void {
  const unusable = ownModelFault(body.model, service) ?? unsupportedFault(body, service);
  if (unusable !== null) {
    call.refuse(unusable);
    return;
  }
  if (!body.prompt && !body.suffix) {
    call.reply(200, loaded(body, { response: '' }, service));
    return;
  }
  answerInForm(call, { tools: noTools, text: formatOf(body), textParam: 'format' }, service, (form) =>
    generateAnswer(body, form, call.facts.owner, service),
  );
}

function unsupportedFault(body: GenerateRequest, { model }: ChatService): Fault | null {
  if (body.template) {
    const message =
      "template: prompts are laid out by the model's own template; with raw they are taken as they are";
    return fault('unsupported', message, { param: 'template' });
  }
  return strayFault(body.context ?? [], 'context', model.spec, 'context');
}

function generateAnswer(
  body: GenerateRequest,
  form: AnswerForm,
  owner: string,
  service: ChatService,
): Parsed<AnswerPlan> {
  const prompt = promptOf(body, service);
  if (!prompt.ok) return prompt;
  const { tokens, reasoning } = prompt.value;
  const whole = body.context == null ? tokens : Int32Array.from([...body.context, ...tokens]);
  const more = { form, spell: responseOf, withContext: body.raw !== true, owner, route: GENERATE_PATH };
  return ollamaAnswer(body, { tokens: whole, reasoning, ...more }, service);
}

function promptOf(body: GenerateRequest, service: ChatService): Parsed<ChatPrompt> {
  const { model, generator } = service;
  const { prompt, suffix, system } = body;
  if (suffix) {
    const filled = fimPrompt({ before: prompt ?? '', after: suffix, extra: [] }, service);
    return filled.ok ? { ok: true, value: { tokens: filled.value.tokens, reasoning: null } } : filled;
  }
  if (body.raw === true || model.chatTemplate === null) {
    const { contextTokensMax } = generator;
    const encoded = encodePrompt(prompt ?? '', model.tokenizer, { contextTokensMax, mode: 'raw' });
    if (!encoded.ok) return encoded;
    const start = body.context == null ? model.tokenizer.startIds : []; // a context has begun already
    return { ok: true, value: { tokens: Int32Array.from([...start, ...encoded.value]), reasoning: null } };
  }
  const options = thinkingOptions(body, { model, continueFinal: false });
  if (!options.ok) return options;
  const question = { role: 'user', content: ollamaContent({ content: prompt, images: body.images }) };
  const messages = [...(system ? [{ role: 'system', content: system }] : []), question];
  return service.answering.layOut({ messages, tools: [], options: options.value });
}

function responseOf({ text, thinking }: Said): object {
  return { response: text, ...(thinking !== '' && { thinking }) };
}
