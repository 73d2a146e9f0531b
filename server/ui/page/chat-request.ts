// From a conversation and its settings to the body of POST /v1/chat/completions. Pure; refuses, in words for people, what
// cannot be sent. Before it: playground.tsx; after it: chat-stream.ts.
import type { Conversation, Turn } from './conversation.ts';
import { type FormField, schemaOf } from './schema-form.ts';

/** As typed: an empty text leaves the choice to the server. */
export interface Sampling {
  readonly temperature: string;
  readonly topP: string;
  readonly topK: string;
  readonly minP: string;
  readonly repetitionPenalty: string;
  readonly maxTokens: string;
  readonly seed: string;
  readonly stop: string; // one a line
}

export interface ToolForm {
  readonly name: string;
  readonly description: string;
  readonly parameters: SchemaForm;
}

/** A schema, put together from fields or written out. */
export interface SchemaForm {
  readonly raw: boolean;
  readonly fields: readonly FormField[];
  readonly text: string; // where it is raw
}

export type WishedForm = 'text' | 'json' | 'schema';

export interface ChatSettings {
  readonly model: string; // '' for the server's choice
  readonly system: string;
  readonly sampling: Sampling;
  readonly form: WishedForm;
  readonly schema: SchemaForm;
  readonly tools: readonly ToolForm[];
  readonly toolChoice: 'auto' | 'required' | 'none';
  readonly file: { readonly name: string; readonly text: string };
  readonly sendFile: boolean; // show it to the model, and let it guess the answer from it
}

export const emptySchema: SchemaForm = { raw: false, fields: [], text: '{\n  "type": "object"\n}' };

export const defaultSettings: ChatSettings = {
  model: '',
  system: '',
  sampling: {
    temperature: '',
    topP: '',
    topK: '',
    minP: '',
    repetitionPenalty: '',
    maxTokens: '512',
    seed: '',
    stop: '',
  },
  form: 'text',
  schema: {
    ...emptySchema,
    fields: [{ name: 'answer', type: 'string', required: true, description: '', options: '' }],
  },
  tools: [],
  toolChoice: 'auto',
  file: { name: 'file.ts', text: '' },
  sendFile: false,
};

/** What cannot be sent, and where. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
}

const NUMBERS = [
  { field: 'temperature', name: 'temperature', label: 'Temperature' },
  { field: 'topP', name: 'top_p', label: 'Top p' },
  { field: 'topK', name: 'top_k', label: 'Top k' },
  { field: 'minP', name: 'min_p', label: 'Min p' },
  { field: 'repetitionPenalty', name: 'repetition_penalty', label: 'Repetition penalty' },
  { field: 'maxTokens', name: 'max_tokens', label: 'Longest answer' },
  { field: 'seed', name: 'seed', label: 'Seed' },
] as const;

/** The body; `conversation` ends with the answer to be written, which is not part of it. Throws RequestError. */
export function chatBody(conversation: Conversation, settings: ChatSettings): Record<string, unknown> {
  const { model, sampling, form, tools, toolChoice, file, sendFile } = settings;
  const body: Record<string, unknown> = {
    messages: messagesOfRounds(conversation, settings),
    stream: true,
    stream_options: { include_usage: true },
  };
  if (model !== '') body['model'] = model;
  for (const { field, name, label } of NUMBERS) {
    if (sampling[field].trim() !== '') body[name] = numberOf(sampling[field], label);
  }
  const stops = sampling.stop.split('\n').filter((line) => line !== '');
  if (stops.length > 0) body['stop'] = stops;
  if (form === 'json') body['response_format'] = { type: 'json_object' };
  if (form === 'schema') {
    const schema = readSchema(settings.schema, 'The schema');
    body['response_format'] = { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } };
  }
  if (tools.length > 0) {
    body['tools'] = tools.map(toolOf);
    body['tool_choice'] = toolChoice;
  }
  if (sendFile && file.text !== '') body['prediction'] = { type: 'content', content: file.text };
  return body;
}

/** The messages that the server will see, without the answer that is still to be written. */
export function messagesOfRounds(
  { turns }: Pick<Conversation, 'turns'>,
  { system, file, sendFile }: Pick<ChatSettings, 'system' | 'file' | 'sendFile'>,
): object[] {
  const messages: object[] = [];
  if (system.trim() !== '') messages.push({ role: 'system', content: system });
  const said = turns.filter(({ state, role }) => !(role === 'assistant' && state === 'writing'));
  const first = said.findIndex(({ role }) => role === 'user');
  const shown = sendFile && file.text !== '' ? `${file.name}:\n\`\`\`\n${file.text}\n\`\`\`\n\n` : '';
  for (const [index, turn] of said.entries()) messages.push(messageOf(turn, index === first ? shown : ''));
  return messages;
}

function messageOf(turn: Turn, before: string): object {
  if (turn.role === 'tool') return { role: 'tool', tool_call_id: turn.callId, content: turn.text };
  if (turn.role === 'user') return { role: 'user', content: before + turn.text };
  if (turn.calls.length === 0) return { role: 'assistant', content: turn.text };
  const calls = turn.calls.map(({ id, name, arguments: args }) => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  }));
  return { role: 'assistant', content: turn.text === '' ? null : turn.text, tool_calls: calls };
}

function toolOf(tool: ToolForm): object {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(tool.name)) {
    throw new RequestError(`A tool's name is 1 to 64 of A-Z, a-z, 0-9, _ and -, not “${tool.name}”`);
  }
  const { name, description } = tool;
  const parameters = readSchema(tool.parameters, `The parameters of ${name}`);
  return { type: 'function', function: { name, ...(description !== '' && { description }), parameters } };
}

/** The JSON Schema of a form. Throws RequestError. */
export function readSchema(form: SchemaForm, what: string): object {
  if (!form.raw) return schemaOf(form.fields);
  let schema: unknown;
  try {
    schema = JSON.parse(form.text);
  } catch (error) {
    throw new RequestError(`${what}: ${(error as Error).message}`);
  }
  if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) return schema;
  throw new RequestError(`${what} must be an object`);
}

function numberOf(text: string, label: string): number {
  const value = Number(text);
  if (Number.isFinite(value)) return value;
  throw new RequestError(`${label} must be a number, not “${text}”`);
}
