// POST /v1/messages and /v1/messages/count_tokens: Anthropic's Messages API as a third dialect over the one meaning of
// chat. Owns the way from a checked body through its lane to a generation; never generates. Before it: http/door.ts; after it:
// answer.ts.
import type { ChatMessage } from '../../models/template/chat-template.ts';
import type { Parsed } from '../base/json-body.ts';
import { chatFormat, upstreamBody } from '../chat/chat-body.ts';
import type { ChatPrompt } from '../chat/chat-prompt.ts';
import type { ChatService } from '../chat/chat-service.ts';
import type { AnswerForm } from '../chat/form.ts';
import { inLane, type LaneCall } from '../chat/lane-edge.ts';
import { askedName, modelFault, ownModelFault } from '../chat/model-name.ts';
import type { ToolSet } from '../chat/tool-set.ts';
import type { HttpCall } from '../http/http-call.ts';
import type { Route } from '../http/route.ts';
import { chatConversation } from '../lanes/conversation.ts';
import { sessionKeyOf } from '../lanes/router.ts';
import { deliverMessage, type MessageAnswer } from './answer.ts';
import { conversationOf, type MessagesConversation } from './conversation.ts';
import { messagesErrors } from './errors.ts';
import type { MessagesService } from './messages-service.ts';
import {
  messagesFormat,
  messagesSampling,
  messagesText,
  messagesTools,
  thinkingOf,
  unusableFault,
  upstreamThinking,
} from './request.ts';
import { type CountRequest, countSchema, type MessagesRequest, messagesSchema } from './schema.ts';
import { sessionNameOf } from './session-name.ts';

const PATH = '/v1/messages';

export function messagesRoutes(service: MessagesService): readonly Route[] {
  const schema = messagesSchema(service.bounds);
  const post = { method: 'POST', open: false, ...messagesErrors } as const;
  return [
    {
      ...post,
      path: PATH,
      about: {
        group: 'anthropic',
        summary: 'The next message of a conversation',
        body: schema,
        answers: 'events',
      },
      answer: (call) => call.readJson(schema, (body) => enter(call, body, service)),
    },
    {
      ...post,
      path: `${PATH}/count_tokens`,
      about: { group: 'anthropic', summary: 'The tokens of a request, counted', body: countSchema },
      answer: (call) =>
        call.readJson(countSchema, (body) => {
          const counted = countOf(body, service);
          if (counted.ok) call.reply(200, { input_tokens: counted.value });
          else call.refuse(counted.fault);
        }),
    },
  ];
}

function countOf(body: CountRequest, service: ChatService): Parsed<number> {
  const unusable = ownModelFault(body.model, service) ?? unusableFault(body);
  if (unusable !== null) return { ok: false, fault: unusable };
  const conversation = conversationOf(body);
  if (!conversation.ok) return conversation;
  const prompt = promptOf(body, { conversation: conversation.value, tools: messagesTools(body) }, service);
  return prompt.ok ? { ok: true, value: prompt.value.tokens.length } : prompt;
}

interface Turn {
  readonly body: MessagesRequest;
  readonly conversation: MessagesConversation;
  readonly tools: ToolSet;
}

function enter(call: HttpCall, body: MessagesRequest, service: MessagesService): void {
  const conversation = conversationOf(body);
  const refused = unusableFault(body) ?? (conversation.ok ? null : conversation.fault);
  if (refused !== null || !conversation.ok) {
    call.refuse(refused!);
    return;
  }
  const turn = { body, conversation: conversation.value, tools: messagesTools(body) };
  // An alias is the model's own name to the lanes.
  const isOwn = body.model != null && modelFault(body.model, service.model) === null;
  const model = isOwn ? service.model.name : body.model;
  inLane(call, { model, of: () => laneCall(call, turn) }, service, (within, routed) =>
    answer(call, routed ? { ...turn, body: { ...body, model: null } } : turn, within),
  );
}

/** What lanes ask about a request, in the spelling of chat completions. */
function laneCall(call: HttpCall, { body, conversation: { messages, continues }, tools }: Turn): LaneCall {
  const { owner } = call.facts;
  const conversation = chatConversation({
    messages,
    tools: body.tools ?? [],
    max_tokens: body.max_tokens,
  });
  const { stop, ...sampling } = messagesSampling(body);
  return {
    stream: body.stream === true,
    logprobs: false,
    ask: (model, requestId) => ({
      ...{ model, requestId, owner, conversation, taskId: body.metadata?.task_id ?? null },
      sessionKey: sessionKeyOf(owner, sessionNameOf(call.request, body.metadata?.user_id), conversation),
      upstreamBody: (upstream) =>
        upstreamBody(upstream, {
          messages,
          tools,
          maxTokens: body.max_tokens,
          responseFormat: chatFormat(messagesFormat(body)),
          sampling: {
            ...sampling,
            ...upstreamThinking(body, upstream.dialect),
            ...(stop != null && stop.length > 0 && { stop }),
            ...(continues && { continue_final_message: true, add_generation_prompt: false }),
          },
        }),
    }),
  };
}

function answer(call: HttpCall, turn: Turn, service: MessagesService): void {
  const unusable = modelFault(turn.body.model, service.model);
  if (unusable !== null) {
    call.refuse(unusable);
    return;
  }
  const { tools, body } = turn;
  const asked = { tools, text: messagesText(body), textParam: 'output_config.format' };
  service.answering.withForm(asked, (form) => {
    if (call.over) return; // left while the grammar was compiled
    call.guard(() => {
      const made = form.ok ? answerOf(call, turn, form.value, service) : form;
      if (made.ok) deliverMessage(call, made.value, service);
      else call.refuse(made.fault);
    });
  });
}

function answerOf(
  call: HttpCall,
  turn: Turn,
  form: AnswerForm,
  service: MessagesService,
): Parsed<MessageAnswer> {
  const { body } = turn;
  const { answering } = service;
  const { model } = answering;
  const prompt = promptOf(body, turn, service);
  if (!prompt.ok) return prompt;
  const prepared = answering.prepare(messagesSampling(body), {
    ...{ prompt: prompt.value, maxTokens: body.max_tokens, logprobs: null },
    ...{ owner: call.facts.owner, route: PATH },
  });
  if (!prepared.ok) return prepared;
  const { promptTokenCount } = prepared.value;
  return {
    ok: true,
    value: {
      ready: prepared.value.ready(form),
      promptTokenCount,
      stream: body.stream === true,
      marked: isMarked(body),
      writer: {
        id: `msg_${service.freshId()}`,
        model: askedName(body.model, model),
        freshId: service.freshId,
        thinking: thinkingOf(body, false, model).shown,
        maxTokens: body.max_tokens,
        edited: body.context_management != null,
      },
    },
  };
}

function promptOf(
  body: CountRequest,
  { conversation, tools }: Pick<Turn, 'conversation' | 'tools'>,
  { answering }: ChatService,
): Parsed<ChatPrompt> {
  const messages: readonly ChatMessage[] = conversation.messages;
  const { options } = thinkingOf(body, conversation.continues, answering.model);
  return answering.layOut({ messages, tools: tools.shown.map(({ tool }) => tool), options });
}

/** Whether its client says anywhere what is to be cached: all of it is, and it is told how much was. */
function isMarked({ cache_control: automatic, system, tools, messages }: MessagesRequest): boolean {
  const marks = (parts: unknown): boolean =>
    Array.isArray(parts) &&
    parts.some((part: { readonly cache_control?: unknown }) => part.cache_control != null);
  return automatic != null || marks(system) || marks(tools) || messages.some(({ content }) => marks(content));
}
