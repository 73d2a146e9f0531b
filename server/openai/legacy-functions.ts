// Functions as chat completions had them before tools: `functions`, `function_call`, an assistant's `function_call` and
// messages of the role `function` → tools, so that everything behind knows one form. Owns that spelling on the way in;
// chat-tool-events.ts has it on the way out. Pure. Before it: chat.ts.
import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';

const FUNCTION_COUNT_MAX = 128; // OpenAI's

export const legacyFields = {
  functions: z
    .array(z.looseObject({ name: z.string().min(1).max(64) }))
    .min(1)
    .max(FUNCTION_COUNT_MAX)
    .nullish(),
  function_call: z.union([z.enum(['none', 'auto']), z.looseObject({ name: z.string() })]).nullish(),
};

type LegacyFields = z.output<z.ZodObject<typeof legacyFields>>;
type Message = Readonly<Record<string, unknown>> & { readonly role: string };

export function legacyFault(body: LegacyFields & { readonly tools?: unknown }): Fault | null {
  const { functions, function_call: choice, tools } = body;
  if (functions != null && tools != null) {
    const message = 'functions: give the functions as tools or as functions, not both';
    return fault('invalid_request', message, { param: 'functions' });
  }
  if (choice == null || choice === 'none' || choice === 'auto') return null;
  if (functions?.some(({ name }) => name === choice.name) === true) return null;
  const message = `function_call: '${choice.name}' is not in functions`;
  return fault('invalid_request', message, { param: 'function_call' });
}

/** Of a body that legacyFault has let through: the same request with tools. An answer has one call at most. */
export function withTools<B extends LegacyFields & { readonly messages: readonly Message[] }>(body: B): B {
  const { functions, function_call: choice } = body;
  const messages = body.messages.some(isLegacy) ? withToolCalls(body.messages) : body.messages;
  if (functions == null) return { ...body, messages };
  return {
    ...body,
    messages,
    tools: functions.map((one) => ({ type: 'function', function: one })),
    tool_choice: typeof choice === 'object' ? { type: 'function', function: choice } : choice,
    parallel_tool_calls: false,
  };
}

function isLegacy(message: Message): boolean {
  return message.role === 'function' || message['function_call'] != null;
}

/** Calls had no ids: a result belongs to the call before it. */
function withToolCalls(messages: readonly Message[]): Message[] {
  let count = 0;
  return messages.map((message) => {
    const { function_call: called, ...rest } = message;
    if (message.role === 'function') return { ...rest, role: 'tool', tool_call_id: `call_function_${count}` };
    if (called == null) return message;
    return { ...rest, tool_calls: [{ id: `call_function_${++count}`, type: 'function', function: called }] };
  });
}
