// What an upstream is asked: a body of chat completions made of any API's request. Owns the spelling of messages, tools and
// formats; which other fields travel is upstream-fields.ts's. Pure. Before it: the dialects say what lanes/visit.ts is to ask.
import type { ChatMessage } from '../../models/template/chat-template.ts';
import type { Parsed } from '../base/json-body.ts';
import type { GrammarSource } from '../grammar/compiler.ts';
import type { UpstreamOf } from '../lanes/visit.ts';
import { asFunction } from '../tools/definition.ts';
import { withSystem } from './chat-prompt.ts';
import type { ToolSet } from './tool-set.ts';
import { upstreamFields, upstreamForm } from './upstream-fields.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface UpstreamAsk {
  readonly messages: readonly ChatMessage[];
  readonly tools: ToolSet;
  readonly maxTokens: number | null;
  readonly responseFormat: unknown; // in the spelling of chat completions
  readonly form?: Parsed<UpstreamForm>; // what other fields say of the answer's form
  readonly sampling: Fields; // the request: what the upstream understands of it goes along
}

export interface UpstreamForm {
  readonly text: GrammarSource | null;
  readonly textParam: string;
}

/** What of a request's form `response_format` cannot say, or not in words that others know. */
export function formBeside(
  form: Parsed<UpstreamForm>,
  format: Fields | null | undefined,
): Parsed<UpstreamForm> {
  if (!form.ok || form.value.textParam !== 'response_format' || isOwnFormat(format)) return form;
  return { ok: true, value: { ...form.value, text: null } };
}

export function upstreamBody(
  { model, system, dialect }: UpstreamOf,
  { tools, maxTokens, responseFormat, sampling, messages, form }: UpstreamAsk,
): Parsed<string> {
  const passed = upstreamFields(sampling, dialect);
  if (!passed.ok) return passed;
  const held = form === undefined ? null : form.ok ? upstreamForm(form.value, dialect) : form;
  if (held !== null && !held.ok) return held;
  const { seed, ...fields } = passed.value;
  const body = JSON.stringify({
    model,
    messages: withSystem(messages.map(forWire), system),
    stream: true,
    stream_options: { include_usage: true },
    ...fields,
    ...(maxTokens !== null && { max_tokens: maxTokens }),
    ...(responseFormat != null && { response_format: responseFormat }),
    ...held?.value,
    ...toolFields(tools),
  });
  // To its last digit, as JSON.stringify could not.
  return { ok: true, value: seed === undefined ? body : `${body.slice(0, -1)},"seed":${String(seed)}}` };
}

/** A grammar as a format is an extension of ours, an object with a schema one of llama-server's. */
export function isOwnFormat(format: Fields | null | undefined): boolean {
  return format?.['type'] === 'grammar' || (format?.['type'] === 'json_object' && format['schema'] != null);
}

/** `text.format` of the Responses API in the spelling of chat completions; of other types nothing is said. */
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
