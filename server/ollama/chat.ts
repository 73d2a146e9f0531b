// POST /api/chat: Ollama's conversation, over the same prompt, tools and reader as chat completions.
// Before it: routes.ts; after it: answer.ts.
import { z } from 'zod';
import type { Parsed } from '../base/json-body.ts';
import { type AnswerPlan, answerInForm } from '../chat/answer.ts';
import { upstreamBody } from '../chat/chat-body.ts';
import type { ChatService } from '../chat/chat-service.ts';
import type { AnswerForm } from '../chat/form.ts';
import { inLane, type LaneCall } from '../chat/lane-edge.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { MESSAGE_COUNT_MAX } from '../chat/message.ts';
import { ownModelFault } from '../chat/model-name.ts';
import { type PromptOptions, plainPrompt } from '../chat/prompt-options.ts';
import { type ToolSet, toolSetOf } from '../chat/tool-set.ts';
import type { HttpCall } from '../http/http-call.ts';
import { chatConversation } from '../lanes/conversation.ts';
import { sessionKeyOf } from '../lanes/router.ts';
import { loaded, ollamaAnswer } from './answer.ts';
import { answerLength, askFields, formatOf, ollamaSampling, thinkingOptions } from './fields.ts';
import { messagesForTemplate, ollamaMessage } from './messages.ts';
import type { Said } from './reading.ts';

export const CHAT_PATH = '/api/chat';
const TOOL_COUNT_MAX = 1024;

export function chatSchema(bounds: RequestBounds) {
  return z.object({
    ...askFields(bounds),
    messages: z.array(ollamaMessage).max(MESSAGE_COUNT_MAX).nullish(),
    tools: z
      .array(z.looseObject({ type: z.string() }))
      .max(TOOL_COUNT_MAX)
      .nullish(),
  });
}

type ChatRequest = z.output<ReturnType<typeof chatSchema>>;

export function answerChat(call: HttpCall, body: ChatRequest, service: ChatService): void {
  if (body.messages == null || body.messages.length === 0) {
    const absent = ownModelFault(body.model, service);
    if (absent !== null) call.refuse(absent);
    else call.reply(200, loaded(body, messageOf({ text: '', thinking: '', calls: [] }), service));
    return;
  }
  // An alias is the model's own name to the lanes.
  const isOwn = ownModelFault(body.model, { model: service.model }) === null;
  const model = isOwn ? service.model.name : body.model;
  inLane(call, { model, of: () => laneCall(body, call.facts.owner) }, service, (within, routed) =>
    answer(call, body, { service: within, routed }),
  );
}

/** What lanes ask about a request, in the spelling of chat completions. */
function laneCall(body: ChatRequest, owner: string): LaneCall {
  const messages = messagesForTemplate(body.messages ?? []);
  const maxTokens = answerLength(body, 0);
  const conversation = chatConversation({
    messages,
    tools: body.tools ?? [],
    max_tokens: maxTokens.ok ? maxTokens.value : null,
  });
  const { think } = body;
  return {
    stream: false, // a stream of lines has no comments for who waits
    logprobs: body.logprobs === true,
    ask: (model, requestId) => ({
      ...{ model, requestId, owner, conversation, taskId: null },
      sessionKey: sessionKeyOf(owner, null, conversation),
      upstreamBody: (upstream) =>
        upstreamBody(upstream, {
          messages,
          tools: toolSetOf([body.tools], { choice: 'auto', parallel: true }),
          maxTokens: maxTokens.ok ? maxTokens.value : null,
          responseFormat: null,
          form: { ok: true, value: { text: formatOf(body), textParam: 'format' } },
          sampling: {
            ...ollamaSampling(body),
            ...(typeof think === 'boolean' && { enable_thinking: think }),
            ...(typeof think === 'string' && { reasoning_effort: think }),
          },
        }),
    }),
  };
}

interface Lane {
  readonly service: ChatService; // as the request's lane has it
  readonly routed: boolean;
}

function answer(call: HttpCall, body: ChatRequest, lane: Lane): void {
  const { service, routed } = lane;
  const absent = routed ? null : ownModelFault(body.model, service);
  if (absent !== null) {
    call.refuse(absent);
    return;
  }
  const tools = toolSetOf([body.tools], { choice: 'auto', parallel: true });
  answerInForm(call, { tools, text: formatOf(body), textParam: 'format' }, service, (form) =>
    chatAnswer(body, { tools, form, owner: call.facts.owner }, service),
  );
}

function chatAnswer(
  body: ChatRequest,
  { tools, form, owner }: { readonly tools: ToolSet; readonly form: AnswerForm; readonly owner: string },
  service: ChatService,
): Parsed<AnswerPlan> {
  const messages = messagesForTemplate(body.messages ?? []);
  const last = messages.at(-1);
  // An answer that has begun goes on.
  const continueFinal = last?.role === 'assistant' && last['tool_calls'] === undefined;
  const isUpstream = service.answering.contextTokensMax === Number.POSITIVE_INFINITY; // it was told already
  const options: Parsed<PromptOptions> = isUpstream
    ? { ok: true, value: plainPrompt }
    : thinkingOptions(body, { model: service.model, continueFinal });
  if (!options.ok) return options;
  const shown = tools.shown.map(({ tool }) => tool);
  const prompt = service.answering.layOut({ messages, tools: shown, options: options.value });
  if (!prompt.ok) return prompt;
  const more = { form, spell: messageOf, withContext: false, owner, route: CHAT_PATH };
  return ollamaAnswer(body, { ...prompt.value, ...more }, service);
}

function messageOf({ text, thinking, calls }: Said): object {
  return {
    message: {
      role: 'assistant',
      content: text,
      ...(thinking !== '' && { thinking }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
  };
}
