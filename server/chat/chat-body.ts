// What an upstream is asked: a body of chat completions that any OpenAI-compatible server takes, made of either API's
// request. Owns which fields travel (those of OpenAI; extensions of ours would be refused elsewhere) and the spelling of
// messages, tools and formats. Pure. Before it: the dialects say what lanes/visit.ts is to ask.
import type { ChatMessage } from '../../models/chat-template.ts';
import { asFunction } from '../tools/definition.ts';
import { withSystem } from './chat-prompt.ts';
import type { ToolSet } from './tool-set.ts';

type Fields = Readonly<Record<string, unknown>>;

const PASSED_FIELDS = [
  'temperature',
  'top_p',
  'stop',
  'seed',
  'n',
  'frequency_penalty',
  'presence_penalty',
  'logit_bias',
  'prediction',
  // Where a client says one of these, it knows what the upstream is.
  'reasoning_effort',
  'chat_template_kwargs',
  'continue_final_message',
  'add_generation_prompt',
];

export interface UpstreamAsk {
  readonly model: string; // as the upstream calls it
  readonly system: string; // first of all; '' is nothing
  readonly messages: readonly ChatMessage[];
  readonly tools: ToolSet;
  readonly maxTokens: number | null;
  readonly responseFormat: unknown; // in the spelling of chat completions
  readonly sampling: Fields; // the request: what it has of PASSED_FIELDS goes along
}

export function upstreamBody(ask: UpstreamAsk): string {
  const { tools, maxTokens, responseFormat, sampling } = ask;
  const passed = PASSED_FIELDS.flatMap((name) =>
    sampling[name] == null ? [] : [[name, sampling[name]] as const],
  );
  return JSON.stringify({
    model: ask.model,
    messages: withSystem(ask.messages.map(forWire), ask.system),
    stream: true,
    stream_options: { include_usage: true },
    ...Object.fromEntries(passed),
    ...(maxTokens !== null && { max_tokens: maxTokens }),
    ...(responseFormat != null && { response_format: responseFormat }),
    ...toolFields(tools),
  });
}

/** `text.format` of the Responses API in the spelling of chat completions; formats of other types are left out. */
export function chatFormat(format: Fields | null | undefined): unknown {
  if (format?.['type'] === 'json_object') return format;
  if (format?.['type'] !== 'json_schema') return null;
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}

function toolFields({ shown, choice, parallel }: ToolSet): object {
  if (shown.length === 0) return {};
  const strict = (index: number): object => {
    const { tool } = shown[index]!;
    return tool.kind === 'function' && tool.strict ? { strict: true } : {};
  };
  return {
    tools: shown.map(({ tool }, index) => ({
      type: 'function',
      function: { ...asFunction(tool), ...strict(index) },
    })),
    tool_choice:
      choice.kind === 'named' ? { type: 'function', function: { name: choice.name } } : choice.kind,
    parallel_tool_calls: parallel,
  };
}

/** Templates want arguments as an object, wires as JSON. */
function forWire(message: ChatMessage): ChatMessage {
  const calls = message['tool_calls'];
  if (!Array.isArray(calls)) return message;
  return {
    ...message,
    content: message.content === '' ? null : (message.content ?? null),
    tool_calls: (calls as readonly Fields[]).map((call) => {
      const called = call['function'] as Fields | undefined;
      if (called === undefined || typeof called['arguments'] === 'string') return call;
      return { ...call, function: { ...called, arguments: JSON.stringify(called['arguments'] ?? {}) } };
    }),
  } as ChatMessage;
}
