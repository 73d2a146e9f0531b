// POST /v1/completions: prompts as text or token ids, one or a batch, and fill-in-the-middle by `suffix`.
// Never generates. Before it: http/door.ts; after it: chat/answer.ts.

import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, answerInForm } from '../chat/answer.ts';
import type { AnswerStart } from '../chat/answering.ts';
import { type ChatService, newHead } from '../chat/chat-service.ts';
import { commonFields, generationOf } from '../chat/fields.ts';
import type { AnswerForm } from '../chat/form.ts';
import { startOf } from '../chat/local-answering.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { ownModelFault } from '../chat/model-name.ts';
import { encodePrompt } from '../chat/prompt-text.ts';
import { rawPrompt } from '../chat/raw-prompt.ts';
import { noTools } from '../chat/tool-set.ts';
import type { Route } from '../http/door.ts';
import { shortList, strayFault, tokenIds } from '../text/token-ids.ts';
import { askedForm, formFields } from './asked-form.ts';
import { CompletionEvents } from './completion-events.ts';

const COMPLETIONS_PATH = '/v1/completions';
const MAX_TOKENS_DEFAULT = 16; // OpenAI's for this route; chat has none

function completionSchema(bounds: RequestBounds) {
  const ids = tokenIds();
  return z.object({
    ...commonFields(bounds),
    ...formFields,
    prompt: z.union([
      z.string(),
      shortList(z.string(), bounds.promptCountMax),
      ids,
      shortList(ids, bounds.promptCountMax),
    ]),
    suffix: z.string().nullish(),
    n_predict: z.int().min(-1).nullish(), // llama-server's max_tokens; −1: as far as the context goes
    echo: z.boolean().nullish(),
    best_of: z.int().min(1).nullish(),
    logprobs: z.int().min(0).max(bounds.logprobsMax).nullish(),
  });
}

type CompletionRequest = z.output<ReturnType<typeof completionSchema>>;

export function completionRoute(service: ChatService): Route {
  const schema = completionSchema(service.bounds);
  return {
    method: 'POST',
    path: COMPLETIONS_PATH,
    open: false,
    about: { group: 'openai', summary: 'Completion of a text', body: schema, answers: 'events' },
    answer: (call) =>
      call.readJson(schema, (body) => {
        const asked = askedForm(body);
        if (!asked.ok) {
          call.refuse(asked.fault);
          return;
        }
        answerInForm(call, { tools: noTools, ...asked.value }, service, (form) =>
          answerOf(body, call.facts.owner, form, service),
        );
      }),
  };
}

function answerOf(
  body: CompletionRequest,
  owner: string,
  { newConstraint }: AnswerForm,
  service: ChatService,
): Parsed<AnswerPlan> {
  const { model } = service;
  const unusable = ownModelFault(body.model, service) ?? unsupportedFault(body);
  if (unusable !== null) return { ok: false, fault: unusable };
  const prompts: Prompt[] = [];
  const starts: AnswerStart[] = [];
  const logprobs = body.logprobs ?? null;
  const asked = body.max_tokens ?? body.n_predict ?? MAX_TOKENS_DEFAULT;
  const maxTokens = asked < 0 ? null : asked;
  for (const [index, given] of promptList(body.prompt).entries()) {
    const prompt = promptOf(given, { suffix: body.suffix || null, field: `prompt[${index}]` }, service);
    if (!prompt.ok) return prompt;
    const { tokens } = prompt.value;
    const generation = generationOf(
      body,
      { tokens, maxTokens, logprobs, owner, route: COMPLETIONS_PATH },
      service,
    );
    if (!generation.ok) return generation;
    prompts.push(prompt.value);
    starts.push(startOf({ ...generation.value, newConstraint }, service));
  }
  const includeUsage = body.stream_options?.include_usage ?? null;
  const shape = new CompletionEvents({
    head: newHead(service, 'cmpl', body.model),
    tokenizer: model.tokenizer,
    stopTokenIds: body.ignore_eos === true ? [] : model.spec.eosTokenIds,
    prompts,
    choicesPerPrompt: body.n ?? 1,
    echo: body.echo === true,
    logprobs,
    tokenIds: body.return_token_ids === true,
    withUsage: includeUsage === true,
  });
  const stream = body.stream === true;
  return { ok: true, value: { starts, logprobs: logprobs !== null, stream, includeUsage, shape } };
}

function unsupportedFault(body: CompletionRequest): Fault | null {
  if (body.best_of != null && body.best_of !== (body.n ?? 1)) {
    const message = `best_of: choices are not ranked here, so it can only be n (${body.n ?? 1}), not ${body.best_of}`;
    return fault('unsupported', message, { param: 'best_of' });
  }
  if (body.echo === true && body.logprobs != null) {
    const message = 'logprobs: those of a prompt are not computed; leave out echo, or logprobs';
    return fault('unsupported', message, { param: 'logprobs' });
  }
  if (body.suffix && body.echo === true) {
    return fault('unsupported', 'echo: cannot be combined with suffix', { param: 'echo' });
  }
  return null;
}

interface Prompt {
  readonly text: string; // for echo
  readonly tokens: Int32Array;
}

function promptList(prompt: CompletionRequest['prompt']): readonly (string | readonly number[])[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as string[] | number[][]);
}

function promptOf(
  given: string | readonly number[],
  options: { readonly suffix: string | null; readonly field: string },
  service: ChatService,
): Parsed<Prompt> {
  const { suffix, field } = options;
  const { tokenizer, fim, spec, name } = service.model;
  const stray = typeof given === 'string' ? null : strayFault(given, field, spec, 'prompt');
  if (stray !== null) return { ok: false, fault: stray };
  const text = typeof given === 'string' ? given : tokenizer.decode(given);
  if (suffix === null) {
    const tokens = rawPrompt(given, field, service);
    return tokens.ok ? { ok: true, value: { text, tokens: tokens.value } } : tokens;
  }
  if (fim === null) {
    const message = `suffix: ${name} has no tokens for filling in the middle`;
    return { ok: false, fault: fault('unsupported', message, { param: 'suffix' }) };
  }
  const { contextTokensMax } = service.generator;
  const encode = (part: string) => encodePrompt(part, tokenizer, { contextTokensMax, mode: 'plain' }); // parts of a file
  const before: Parsed<ArrayLike<number>> =
    typeof given === 'string' ? encode(given) : { ok: true, value: given };
  if (!before.ok) return before;
  const after = encode(suffix);
  if (!after.ok) return after;
  const { prefixId, suffixId, middleId } = fim;
  const parts = [[prefixId], before.value, [suffixId], after.value, [middleId]];
  return { ok: true, value: { text, tokens: Int32Array.from(parts.flatMap((part) => Array.from(part))) } };
}
