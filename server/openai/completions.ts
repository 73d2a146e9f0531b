// POST /v1/completions: prompts as text or token ids, one or a batch, and fill-in-the-middle by `suffix`.
// Never generates. Before it: http/door.ts; after it: chat/answer.ts.
import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, answerInForm } from '../chat/answer.ts';
import type { AnswerStart } from '../chat/answering.ts';
import { type ChatService, newHead } from '../chat/chat-service.ts';
import { commonFields, generationOf, usageChunk } from '../chat/fields.ts';
import type { AnswerForm } from '../chat/form.ts';
import { startOf } from '../chat/local-answering.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { namedTokens } from '../chat/logprobs.ts';
import { ownModelFault } from '../chat/model-name.ts';
import { rawPrompt } from '../chat/raw-prompt.ts';
import { silentEnds } from '../chat/token-rules.ts';
import { noTools } from '../chat/tool-set.ts';
import { type Route, routesIn } from '../http/route.ts';
import { encodePrompt } from '../text/prompt-text.ts';
import { shortList, strayFault, tokenIds } from '../text/token-ids.ts';
import { askedForm, formFields } from './asked-form.ts';
import { CompletionEvents } from './completion-events.ts';
import { contextToFit, evaluationFields, keptTokens, promptLogprobsFault } from './evaluation.ts';

const table = routesIn('openai');

const COMPLETIONS_PATH = '/v1/completions';
const MAX_TOKENS_DEFAULT = 16; // OpenAI's for this route; chat has none

function completionSchema(bounds: RequestBounds) {
  const ids = tokenIds();
  return z.object({
    ...commonFields(bounds),
    ...evaluationFields(bounds),
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
    add_special_tokens: z.boolean().nullish(), // before a text; default: true
    best_of: z.int().min(1).nullish(),
    logprobs: z.int().min(0).max(bounds.logprobsMax).nullish(),
  });
}

type CompletionRequest = z.output<ReturnType<typeof completionSchema>>;

export function completionRoute(service: ChatService): Route {
  const schema = completionSchema(service.bounds);
  return table.posted(
    COMPLETIONS_PATH,
    { summary: 'Completion of a text', body: schema, answers: 'events' },
    (call, body) => {
      const asked = askedForm(body);
      if (!asked.ok) {
        call.refuse(asked.fault);
        return;
      }
      answerInForm(call, { tools: noTools, ...asked.value }, service, (form) =>
        answerOf(body, call.facts.owner, form, service),
      );
    },
  );
}

function answerOf(
  body: CompletionRequest,
  owner: string,
  { newConstraint }: AnswerForm,
  service: ChatService,
): Parsed<AnswerPlan> {
  const { model } = service;
  const unusable = ownModelFault(body.model, service) ?? unsupportedFault(body) ?? promptLogprobsFault(body);
  if (unusable !== null) return { ok: false, fault: unusable };
  const prompts: Prompt[] = [];
  const starts: AnswerStart[] = [];
  const logprobs = body.logprobs ?? null;
  const asked = body.max_tokens ?? body.n_predict ?? MAX_TOKENS_DEFAULT;
  const maxTokens = asked < 0 ? null : asked;
  for (const [index, given] of promptList(body.prompt).entries()) {
    const prompt = promptOf(given, { body, maxTokens, field: `prompt[${index}]` }, service);
    if (!prompt.ok) return prompt;
    const { tokens } = prompt.value;
    const parts = { tokens, maxTokens, logprobs, promptLogprobs: judgedCount(body) };
    const generation = generationOf(body, { ...parts, owner, route: COMPLETIONS_PATH }, service);
    if (!generation.ok) return generation;
    prompts.push(prompt.value);
    starts.push(startOf({ ...generation.value, newConstraint }, service));
  }
  const includeUsage = usageChunk(body);
  const shape = new CompletionEvents({
    head: newHead(service, 'cmpl', body.model),
    tokenizer: namedTokens(model.tokenizer, body.return_tokens_as_token_ids === true),
    stopTokenIds: silentEnds(body, model.spec),
    prompts,
    choicesPerPrompt: body.n ?? 1,
    echo: body.echo === true,
    logprobs,
    promptLogprobs: body.prompt_logprobs ?? null,
    runningUsage: includeUsage === true && body.stream_options?.continuous_usage_stats === true,
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
  if (body.suffix && body.echo === true) {
    return fault('unsupported', 'echo: cannot be combined with suffix', { param: 'echo' });
  }
  if (body.suffix && body.truncate_prompt_tokens != null) {
    const message = 'truncate_prompt_tokens: cannot be combined with suffix';
    return fault('unsupported', message, { param: 'truncate_prompt_tokens' });
  }
  return null;
}

/** Alternatives for each of the prompt's own tokens, where somebody wants to see any; null: nobody does. */
function judgedCount({ echo, logprobs, prompt_logprobs: asked }: CompletionRequest): number | null {
  const echoed = echo === true ? (logprobs ?? null) : null;
  return echoed === null && asked == null ? null : Math.max(echoed ?? 0, asked ?? 0);
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
  options: { readonly body: CompletionRequest; readonly maxTokens: number | null; readonly field: string },
  service: ChatService,
): Parsed<Prompt> {
  const { body, maxTokens, field } = options;
  const suffix = body.suffix || null;
  const { tokenizer, fim, spec, name } = service.model;
  const stray = typeof given === 'string' ? null : strayFault(given, field, spec, 'prompt');
  if (stray !== null) return { ok: false, fault: stray };
  const text = typeof given === 'string' ? given : tokenizer.decode(given, { keepSpecial: true });
  const { contextTokensMax } = service.generator;
  if (suffix === null) {
    const generator = { contextTokensMax: contextToFit(body, contextTokensMax) };
    const opens = body.add_special_tokens !== false;
    const whole = rawPrompt(given, field, { model: service.model, generator }, opens);
    if (!whole.ok) return whole;
    const tokens = keptTokens(whole.value, body, { contextTokensMax, maxTokens });
    if (!tokens.ok) return tokens;
    const cut = tokens.value.length < whole.value.length;
    return {
      ok: true,
      value: {
        text: cut ? tokenizer.decode(tokens.value, { keepSpecial: true }) : text,
        tokens: tokens.value,
      },
    };
  }
  if (fim === null) {
    const message = `suffix: ${name} has no tokens for filling in the middle`;
    return { ok: false, fault: fault('unsupported', message, { param: 'suffix' }) };
  }
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
