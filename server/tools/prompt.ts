// A conversation with tools → a prompt. Templates that know tools get them as they expect; for the others tools, calls
// and results are written into the messages, in the words that Qwen and Hermes models were trained on.
// Before it: the API routes; after it: models/template/chat-template.ts.
import type { ChatMessage, ChatTemplate } from '../../models/template/chat-template.ts';
import { partText } from '../../models/template/content-part.ts';
import { asFunction, type Tool } from './definition.ts';
import { dialectOf, type ToolDialect, type ToolSyntax, takesTools } from './dialect.ts';
import type { ForeignSyntax } from './foreign-syntax.ts';

export interface ToolPrompt {
  readonly messages: readonly ChatMessage[]; // OpenAI's chat shape: `tool_calls` of assistants, role `tool` for results
  readonly tools: readonly Tool[]; // [] with tool_choice none
  readonly syntax: ToolSyntax;
  readonly options: {
    readonly open: boolean;
    readonly continueFinal: boolean;
    readonly variables: Readonly<Record<string, unknown>>;
  };
}

/** Throws ChatTemplateError. */
export function renderToolPrompt(template: Pick<ChatTemplate, 'render'>, prompt: ToolPrompt): string {
  const { messages, tools, syntax, options } = prompt;
  const functions = tools.map((tool) => ({ type: 'function', function: asFunction(tool) }));
  const usesTools = tools.length > 0 || messages.some(hasToolContent);
  const how = {
    addGenerationPrompt: options.open,
    continueFinal: options.continueFinal,
    variables: options.variables,
  };
  if (!usesTools) return template.render(messages, how);
  if (takesTools(template)) return template.render(messages, { ...how, tools: functions });
  // A template that shows calls in a form of its own, but no tools, is told of these in words.
  if (syntax.kind === 'foreign')
    return template.render(withToolBlock(messages, functions, syntax.syntax), how);
  return template.render(writeToolMessages(messages, { functions, dialect: dialectOf(syntax) }), how);
}

/** Tools, calls and results as plain messages. */
export function writeToolMessages(
  messages: readonly ChatMessage[],
  { functions, dialect }: { readonly functions: readonly unknown[]; readonly dialect: ToolDialect },
): ChatMessage[] {
  const written: ChatMessage[] = [];
  for (const message of messages) {
    if (message.role === 'tool') {
      const result = `<tool_response>\n${textOf(message)}\n</tool_response>`;
      const last = written.at(-1);
      // Results of parallel calls are one turn.
      if (last !== undefined && isResults(last)) {
        written[written.length - 1] = { role: 'user', content: `${String(last.content)}\n${result}` };
      } else written.push({ role: 'user', content: result });
    } else if (Array.isArray(message['tool_calls'])) {
      const calls = message['tool_calls'].map((call) => writeCall(call, dialect));
      written.push({
        role: message.role,
        content: [textOf(message), ...calls].filter((part) => part !== '').join('\n'),
      });
    } else written.push(message);
  }
  return withToolBlock(written, functions, dialect);
}

/** The tools in the first system message. */
function withToolBlock(
  messages: readonly ChatMessage[],
  functions: readonly unknown[],
  form: ToolDialect | ForeignSyntax,
): ChatMessage[] {
  if (functions.length === 0) return [...messages];
  const block = toolBlock(functions, form);
  const [first, ...rest] = messages;
  if (first?.role !== 'system') return [{ role: 'system', content: block }, ...messages];
  return [{ ...first, content: `${textOf(first)}\n\n${block}` }, ...rest];
}

function hasToolContent(message: ChatMessage): boolean {
  return message.role === 'tool' || Array.isArray(message['tool_calls']);
}

function isResults({ role, content }: ChatMessage): boolean {
  return role === 'user' && typeof content === 'string' && content.startsWith('<tool_response>');
}

function textOf({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => partText(part) ?? '').join('\n');
}

function writeCall(call: unknown, dialect: ToolDialect): string {
  const called = (call as { function?: { name?: unknown; arguments?: unknown } }).function;
  const given = called?.arguments;
  const text = typeof given === 'string' ? given || '{}' : JSON.stringify(given ?? {});
  const json = `{"name": ${JSON.stringify(String(called?.name))}, "${dialect.argumentsKey}": ${text}}`;
  return dialect.open === '' ? json : `${dialect.open}\n${json}\n${dialect.close}`;
}

function toolBlock(functions: readonly unknown[], form: ToolDialect | ForeignSyntax): string {
  const how = 'told' in form ? `To call a function, write exactly:\n${form.told}` : howTo(form);
  return [
    '# Tools',
    '',
    'You may call one or more functions to assist with the user query.',
    '',
    'You are provided with function signatures within <tools></tools> XML tags:',
    '<tools>',
    ...functions.map((one) => JSON.stringify(one)),
    '</tools>',
    '',
    how,
  ].join('\n');
}

function howTo({ open, close, argumentsKey }: ToolDialect): string {
  const call = `{"name": <function-name>, "${argumentsKey}": <args-json-object>}`;
  return open === ''
    ? `To call a function, answer with nothing but a JSON object:\n${call}`
    : `For each function call, return a json object with function name and arguments within ${open}${close} XML tags:\n${open}\n${call}\n${close}`;
}
