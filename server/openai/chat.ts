// POST /v1/chat/completions: the request's fields, the conversation's way through the model's template to a prompt.
// Never generates. Before it: http.ts; after it: answer.ts.
import { z } from 'zod';
import { type ChatMessage, ChatTemplateError } from '../../models/chat-template.ts';
import { type Fault, fault } from '../errors.ts';
import type { Route } from '../http.ts';
import type { Parsed } from '../json-body.ts';
import { type Answer, deliverOutcome } from './answer.ts';
import { ChatEvents } from './chat-events.ts';
import { commonFields, generationOf, modelFault } from './fields.ts';
import { encodePrompt } from './prompt-text.ts';
import { newHead, type OpenAiWorld, type RequestBounds } from './world.ts';

const MESSAGE_COUNT_MAX = 8192;
const TOOL_COUNT_MAX = 1024;

function chatSchema(bounds: RequestBounds) {
  const part = z.looseObject({ type: z.string(), text: z.string().optional() });
  const message = z.looseObject({
    role: z.string().min(1).max(64),
    content: z.union([z.string(), z.array(part)]).nullish(),
  });
  return z.object({
    ...commonFields(bounds),
    messages: z.array(message).min(1).max(MESSAGE_COUNT_MAX),
    max_completion_tokens: z.int().min(0).nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(bounds.logprobsMax).nullish(),
    response_format: z.looseObject({ type: z.string() }).nullish(),
    tools: z
      .array(z.looseObject({ type: z.string() }))
      .max(TOOL_COUNT_MAX)
      .nullish(),
    tool_choice: z.union([z.string(), z.looseObject({})]).nullish(),
  });
}

type ChatRequest = z.output<ReturnType<typeof chatSchema>>;

export function chatRoute(world: OpenAiWorld): Route {
  const schema = chatSchema(world.bounds);
  return {
    method: 'POST',
    path: '/v1/chat/completions',
    open: false,
    answer: (call) =>
      call.readJson(schema, (body) => deliverOutcome(call, answerOf(body, call.facts.owner, world), world)),
  };
}

function answerOf(body: ChatRequest, owner: string, world: OpenAiWorld): Parsed<Answer> {
  const { model } = world;
  const unusable = modelFault(body.model, model.name) ?? unsupportedFault(body);
  if (unusable !== null) return { ok: false, fault: unusable };
  const prompt = promptOf(body, world);
  if (!prompt.ok) return prompt;
  const tokens = prompt.value;
  const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? null;
  const logprobs = body.logprobs === true ? (body.top_logprobs ?? 0) : null;
  const generation = generationOf(body, { tokens, maxTokens, logprobs, owner }, world);
  if (!generation.ok) return generation;
  const includeUsage = body.stream_options?.include_usage ?? null;
  const shape = new ChatEvents({
    head: newHead(world, 'chatcmpl'),
    tokenizer: model.tokenizer,
    stopTokenIds: new Set(body.ignore_eos === true ? [] : model.spec.eosTokenIds),
    promptTokens: body.return_token_ids === true ? tokens : null,
    withUsage: includeUsage === true,
  });
  const stream = body.stream === true;
  return { ok: true, value: { generations: [generation.value], stream, includeUsage, shape } };
}

/** Understood and not done here: better said than silently left out of the answer. */
function unsupportedFault(body: ChatRequest): Fault | null {
  const format = body.response_format?.type ?? 'text';
  if (format !== 'text') {
    const message = `response_format: only "text" is supported, not ${JSON.stringify(format)}`;
    return fault('unsupported', message, { param: 'response_format' });
  }
  if (body.top_logprobs != null && body.top_logprobs > 0 && body.logprobs !== true) {
    const message = 'top_logprobs: needs logprobs to be true';
    return fault('invalid_request', message, { param: 'top_logprobs' });
  }
  return null;
}

function promptOf(body: ChatRequest, { model, generator }: OpenAiWorld): Parsed<Int32Array> {
  if (model.chatTemplate === null) {
    const message = `${model.name} has no chat template; it takes /v1/completions`;
    return { ok: false, fault: fault('unsupported', message) };
  }
  const tools = body.tool_choice === 'none' ? [] : (body.tools ?? []);
  try {
    const text = model.chatTemplate.render(body.messages.map(forTemplate), {
      addGenerationPrompt: true,
      ...(tools.length > 0 && { tools }),
    });
    return encodePrompt(text, model.tokenizer, generator.contextTokensMax);
  } catch (error) {
    if (!(error instanceof ChatTemplateError)) throw error;
    return { ok: false, fault: fault('unsupported', error.message, { param: paramOf(error.message) }) };
  }
}

/** `developer` is OpenAI's newer word for `system`, and no template's. */
function forTemplate(message: ChatRequest['messages'][number]): ChatMessage {
  const { content, ...rest } = message;
  const role = message.role === 'developer' ? 'system' : message.role;
  return { ...rest, role, content: (content ?? null) as ChatMessage['content'] & {} };
}

/** The template's errors begin with the field where they know it. */
function paramOf(message: string): string | null {
  return /^((?:messages|tools)[\w.[\]]*):/.exec(message)?.[1] ?? null;
}
