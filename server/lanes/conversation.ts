// One view of a conversation for both APIs: what was said, called and answered, in order. Owns the reading of chat
// messages and Responses items; keeps references to their texts and copies none. Pure. Before it: the edge's parsed
// request; after it: signals.ts, evidence.ts, hand-off.ts.
import { contentText, outputText, textField } from '../base/content.ts';

export interface Entry {
  readonly kind: 'system' | 'user' | 'assistant' | 'call' | 'output';
  readonly text: string; // of a call: its arguments
  readonly name: string; // of the tool that was called; else ''
}

/** What chat completions and the Responses API have in common, for routing. */
export interface LaneConversation {
  readonly entries: readonly Entry[];
  readonly toolsOffered: number;
  readonly outputTokensMax: number | null; // as asked
  readonly background: boolean; // nobody waits for it
}

/** A body of POST /v1/chat/completions, as its schema or its client left it. */
export function chatConversation(body: Readonly<Record<string, unknown>>): LaneConversation {
  const entries: Entry[] = [];
  for (const message of listOf(body['messages'])) {
    const fields = fieldsOf(message);
    if (fields === null) continue;
    const text = contentText(fields['content']);
    const kind = kindOf(fields['role']);
    if (text !== '' || kind === 'user') entries.push({ kind, text, name: '' });
    for (const call of listOf(fields['tool_calls'])) {
      const made = fieldsOf(fieldsOf(call)?.['function']) ?? fieldsOf(fieldsOf(call)?.['custom']);
      if (made === null) continue;
      const given = made['arguments'] ?? made['input'];
      entries.push({ kind: 'call', text: textOf(given), name: textOf(made['name']) });
    }
  }
  return {
    entries,
    toolsOffered: listOf(body['tools']).length,
    outputTokensMax: numberOf(body['max_completion_tokens']) ?? numberOf(body['max_tokens']),
    background: false,
  };
}

/** A body of POST /v1/responses, with all items of its conversation (history and input). */
export function itemsConversation(
  body: Readonly<Record<string, unknown>>,
  items: readonly (Readonly<Record<string, unknown>> & { readonly type: string })[],
): LaneConversation {
  const entries: Entry[] = [];
  const instructions = contentText(body['instructions']);
  if (instructions !== '') entries.push({ kind: 'system', text: instructions, name: '' });
  for (const item of items) {
    if (item.type === 'message') {
      entries.push({ kind: kindOf(item['role']), text: contentText(item['content']), name: '' });
    } else if (item.type === 'function_call' || item.type === 'custom_tool_call') {
      const field = item.type === 'function_call' ? 'arguments' : 'input';
      entries.push({ kind: 'call', text: textField(item, field), name: textField(item, 'name') });
    } else if (item.type.endsWith('_call_output')) {
      entries.push({ kind: 'output', text: outputText(item['output']), name: '' });
    }
  }
  return {
    entries,
    toolsOffered: listOf(body['tools']).length,
    outputTokensMax: numberOf(body['max_output_tokens']),
    background: body['background'] === true,
  };
}

function kindOf(role: unknown): Entry['kind'] {
  if (role === 'assistant') return 'assistant';
  if (role === 'system' || role === 'developer') return 'system';
  return role === 'tool' || role === 'function' ? 'output' : 'user';
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? '' : JSON.stringify(value);
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : null;
}
