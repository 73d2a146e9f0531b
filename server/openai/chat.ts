// POST /v1/chat/completions: the request's fields, the conversation's way through the model's template to a prompt.
// Never generates. Before it: http/door.ts; after it: chat/answer.ts.
import { z } from 'zod';
import type { ChatMessage } from '../../models/template/chat-template.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, answerInForm } from '../chat/answer.ts';
import { plainReader } from '../chat/answer-reader.ts';
import { formBeside, isOwnFormat, upstreamBody } from '../chat/chat-body.ts';
import type { ChatPrompt } from '../chat/chat-prompt.ts';
import { type ChatService, newHead } from '../chat/chat-service.ts';
import { commonFields, usageChunk } from '../chat/fields.ts';
import type { AnswerForm } from '../chat/form.ts';
import { inLane, type LaneCall } from '../chat/lane-edge.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { namedTokens } from '../chat/logprobs.ts';
import { contentPart, forTemplate, MESSAGE_COUNT_MAX, messageSchema } from '../chat/message.ts';
import { modelFault } from '../chat/model-name.ts';
import { promptFields, promptOptions } from '../chat/prompt-options.ts';
import { leavesReasoning, reasoningFields, reasoningTokens } from '../chat/reasoning.ts';
import { silentEnds } from '../chat/token-rules.ts';
import { type ToolSet, toolChoiceFault, toolSetOf, toolsFault } from '../chat/tool-set.ts';
import { unservedOfChats } from '../chat/unserved-fields.ts';
import type { HttpCall } from '../http/http-call.ts';
import { type Route, routesIn } from '../http/route.ts';
import { chatConversation } from '../lanes/conversation.ts';
import { sessionKeyOf } from '../lanes/router.ts';
import { askedForm, formFields } from './asked-form.ts';
import { ChatEvents } from './chat-events.ts';
import { ChatToolEvents } from './chat-tool-events.ts';
import { contextToFit, evaluationFields, keptTokens, promptLogprobsFault } from './evaluation.ts';
import { legacyFault, legacyFields, withTools } from './legacy-functions.ts';

const llama = routesIn('llama-server');
const openai = routesIn('openai');

const CHAT_PATH = '/v1/chat/completions';
const TOOL_COUNT_MAX = 1024;

function chatSchema(bounds: RequestBounds) {
  return z.object({
    ...commonFields(bounds),
    ...evaluationFields(bounds),
    ...unservedOfChats,
    ...promptFields,
    ...reasoningFields,
    n_predict: z.int().min(-1).nullish(), // llama-server's max_tokens; −1: as far as the context goes
    messages: z.array(messageSchema).min(1).max(MESSAGE_COUNT_MAX),
    max_completion_tokens: z.int().min(0).nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(bounds.logprobsMax).nullish(),
    ...formFields,
    ...legacyFields,
    modalities: z.array(z.string().max(64)).max(8).nullish(),
    tools: z
      .array(z.looseObject({ type: z.string() }))
      .max(TOOL_COUNT_MAX)
      .nullish(),
    tool_choice: z.union([z.string(), z.looseObject({})]).nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    prompt_cache_key: z.string().max(1024).nullish(), // names the conversation, for lanes
    metadata: z.looseObject({ task_id: z.string().max(512).nullish() }).nullish(), // names the task, likewise
    prediction: z
      .object({ type: z.literal('content'), content: z.union([z.string(), z.array(contentPart)]) })
      .nullish(),
  });
}

type ChatRequest = z.output<ReturnType<typeof chatSchema>>;

export function chatRoutes(service: ChatService): readonly Route[] {
  const schema = chatSchema(service.bounds);
  const counting: Route = llama.posted(
    `${CHAT_PATH}/input_tokens`,
    { summary: 'The tokens of a chat request, counted', body: schema },
    (call, body) => countTokens(call, body, service),
  );
  return [chatRoute(schema, service), counting];
}

function chatRoute(schema: ReturnType<typeof chatSchema>, service: ChatService): Route {
  return openai.posted(
    CHAT_PATH,
    { summary: 'The next message of a conversation', body: schema, answers: 'events' },
    (call, given) => {
      const refused = legacyFault(given);
      if (refused !== null) {
        call.refuse(refused);
        return;
      }
      const body = withTools(given);
      const of = () => laneCall(body, call.facts.owner);
      inLane(call, { model: body.model, of }, service, (within, routed) =>
        answer(call, routed ? { ...body, model: null } : body, within),
      );
    },
  );
}

/** What lanes ask about a request; its messages go to an upstream as they came. */
function laneCall(body: ChatRequest, owner: string): LaneCall {
  const conversation = chatConversation(body);
  return {
    stream: body.stream === true,
    logprobs: body.logprobs === true || body.return_token_ids === true,
    ask: (model, requestId) => ({
      ...{ model, requestId, owner, conversation, taskId: body.metadata?.task_id ?? null },
      sessionKey: sessionKeyOf(owner, body.prompt_cache_key, conversation),
      upstreamBody: (upstream) =>
        upstreamBody(upstream, {
          messages: body.messages as readonly ChatMessage[],
          tools: toolsOf(body),
          maxTokens: maxTokensOf(body),
          responseFormat: isOwnFormat(body.response_format) ? null : body.response_format,
          form: formBeside(askedForm(body), body.response_format),
          sampling: body,
        }),
    }),
  };
}

function answer(call: HttpCall, body: ChatRequest, service: ChatService): void {
  const unusable =
    modelFault(body.model, service.model) ?? contradictionFault(body) ?? promptLogprobsFault(body);
  if (unusable !== null) {
    call.refuse(unusable);
    return;
  }
  const tools = toolsOf(body);
  const asked = askedForm(body);
  const unkept =
    toolsFault(body.tools) ?? toolChoiceFault(body.tool_choice, tools) ?? (asked.ok ? null : asked.fault);
  if (unkept !== null || !asked.ok) {
    call.refuse(unkept!);
    return;
  }
  answerInForm(call, { tools, ...asked.value }, service, (form) =>
    answerOf(body, call.facts.owner, { tools, form }, service),
  );
}

function answerOf(
  body: ChatRequest,
  owner: string,
  { tools, form }: { readonly tools: ToolSet; readonly form: AnswerForm },
  service: ChatService,
): Parsed<AnswerPlan> {
  const { model, answering } = service;
  const maxTokens = maxTokensOf(body);
  const prompt = promptOf(body, tools, answering);
  if (!prompt.ok) return prompt;
  const logprobs = body.logprobs === true ? (body.top_logprobs ?? 0) : null;
  const prediction = body.prediction == null ? null : predictedText(body.prediction.content);
  const prepared = answering.prepare(body, {
    ...{ prompt: prompt.value, maxTokens, logprobs, prediction },
    promptLogprobs: body.prompt_logprobs ?? null,
    ...{ owner, route: CHAT_PATH },
  });
  if (!prepared.ok) return prepared;
  const includeUsage = usageChunk(body);
  const events = new ChatEvents({
    head: newHead(service, 'chatcmpl', body.model),
    tokenizer: namedTokens(model.tokenizer, body.return_tokens_as_token_ids === true),
    stopTokenIds: silentEnds(body, model.spec),
    promptTokens: body.return_token_ids === true ? prompt.value.tokens : null,
    withUsage: includeUsage === true,
    runningUsage:
      includeUsage === true && body.stream_options?.continuous_usage_stats === true
        ? prepared.value.promptTokenCount
        : null,
    judged:
      body.prompt_logprobs == null ? null : { tokens: prompt.value.tokens, topCount: body.prompt_logprobs },
    metadata: answering.route?.metadata ?? null,
  });
  const { reasoning: start } = prompt.value;
  const ready = prepared.value.ready(form, !leavesReasoning(body));
  const { newReader } = ready;
  const countReasoning = (text: string) => reasoningTokens(text, { tokenizer: model.tokenizer, start });
  const shape =
    newReader === plainReader
      ? events
      : new ChatToolEvents(events, {
          ...{ newReader, countReasoning, freshId: service.freshId },
          legacy: body.functions != null,
        });
  const stream = body.stream === true;
  return { ok: true, value: { starts: [ready], logprobs: logprobs !== null, stream, includeUsage, shape } };
}

function promptOf(
  body: ChatRequest,
  tools: ToolSet,
  answering: ChatService['answering'],
): ReturnType<typeof answering.layOut> {
  const options = promptOptions(body, answering.model);
  if (!options.ok) return options;
  const laidOut = answering.layOut({
    messages: body.messages.map(forTemplate),
    tools: tools.shown.map(({ tool }) => tool),
    options: options.value,
    fits: contextToFit(body, answering.contextTokensMax),
  });
  return laidOut.ok ? shortened(laidOut.value, body, answering.contextTokensMax) : laidOut;
}

/** llama-server's: the tokens of a request, whichever lane it would go to, in those of the server's own model. */
function countTokens(call: HttpCall, given: ChatRequest, service: ChatService): void {
  const body = withTools(given);
  const tools = toolsOf(body);
  const routed = (service.lanes?.meaning(body.model, service.model.name) ?? null) !== null;
  const refused =
    legacyFault(given) ??
    (routed ? null : modelFault(body.model, service.model)) ??
    toolsFault(body.tools) ??
    toolChoiceFault(body.tool_choice, tools);
  const prompt = refused === null ? promptOf(body, tools, service.answering) : null;
  if (prompt?.ok) call.reply(200, { input_tokens: prompt.value.tokens.length });
  else call.refuse(refused ?? (prompt as { readonly fault: Fault }).fault);
}

function contradictionFault(body: ChatRequest): Fault | null {
  const unspoken = body.modalities?.find((one) => one !== 'text');
  if (unspoken !== undefined) {
    return fault('unsupported', `modalities: only text is answered, not ${unspoken}`, {
      param: 'modalities',
    });
  }
  if (body.top_logprobs == null || body.top_logprobs === 0 || body.logprobs === true) return null;
  return fault('invalid_request', 'top_logprobs: needs logprobs to be true', { param: 'top_logprobs' });
}

/** The end of the prompt, where no more of it was asked for. */
function shortened(prompt: ChatPrompt, body: ChatRequest, contextTokensMax: number): Parsed<ChatPrompt> {
  const tokens = keptTokens(prompt.tokens, body, { contextTokensMax, maxTokens: maxTokensOf(body) });
  return tokens.ok ? { ok: true, value: { ...prompt, tokens: tokens.value } } : tokens;
}

/** null: as far as the context goes. */
function maxTokensOf(body: ChatRequest): number | null {
  const asked = body.max_completion_tokens ?? body.max_tokens ?? body.n_predict ?? -1;
  return asked < 0 ? null : asked;
}

function toolsOf(body: ChatRequest): ToolSet {
  return toolSetOf([body.tools], { choice: body.tool_choice, parallel: body.parallel_tool_calls ?? true });
}

function predictedText(content: string | readonly { readonly text?: string | undefined }[]): string {
  if (typeof content === 'string') return content;
  return content.map(({ text }) => text ?? '').join('');
}
