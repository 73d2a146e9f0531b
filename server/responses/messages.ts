// Items → the messages that a chat template takes. Owns which items the model sees and in what role; calls become
// `tool_calls` of the assistant's turn, their outputs messages of the role `tool`. Pure.
// Before it: items.ts; after it: tools/prompt.ts.
import type { ChatMessage } from '../../models/template/chat-template.ts';
import { contentText, outputText, textField } from '../base/content.ts';
import { wireToolName } from '../chat/tool-set.ts';
import { customInputKey } from '../tools/definition.ts';
import { compactedText } from './compaction.ts';
import type { Item } from './items.ts';

/** A call in the shape of chat completions, its arguments an object. */
export interface MessageCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> };
}

const COMPACTED = 'Summary of the conversation so far:\n';

interface Turn {
  role: string;
  content: string;
  calls: MessageCall[];
}

/** Reasoning is not shown again, items of unknown types never. */
export function messagesOfItems(items: readonly Item[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  const names = new Map<string, string>(); // call id → function
  let turn: Turn | null = null;
  const close = (): void => {
    if (turn === null) return;
    messages.push({
      role: turn.role,
      content: turn.content,
      ...(turn.calls.length > 0 && { tool_calls: turn.calls }),
    });
    turn = null;
  };
  for (const item of items) {
    const call = callOf(item);
    if (call !== null) {
      names.set(call.id, call.function.name);
      // One answer of the model is one turn: its text, then its calls.
      if (turn === null) turn = { role: 'assistant', content: '', calls: [] };
      turn.calls.push(call);
    } else if (item.type === 'message') {
      const role = roleOf(item);
      const content = contentText(item['content']);
      close();
      if (role === 'assistant') turn = { role, content, calls: [] };
      else messages.push({ role, content });
    } else if (item.type === 'compaction') {
      close();
      messages.push({ role: 'assistant', content: `${COMPACTED}${compactedText(item) ?? ''}` });
    } else if (item.type === 'function_call_output' || item.type === 'custom_tool_call_output') {
      close();
      const id = textField(item, 'call_id');
      const name = names.get(id);
      messages.push({
        role: 'tool',
        tool_call_id: id,
        ...(name !== undefined && { name }),
        content: outputText(item['output']),
      });
    }
  }
  close();
  return messages;
}

/** `developer` is OpenAI's newer word for `system`, and no template's. */
function roleOf(item: Item): string {
  const role = textField(item, 'role');
  return role === 'developer' ? 'system' : role === '' ? 'user' : role;
}

function callOf(item: Item): MessageCall | null {
  if (item['status'] === 'incomplete') return null; // it was cut off: nobody ran it
  const id = textField(item, 'call_id');
  const name = wireToolName(textField(item, 'name'), item['namespace']);
  if (item.type === 'function_call') {
    return { id, type: 'function', function: { name, arguments: argumentsOf(textField(item, 'arguments')) } };
  }
  if (item.type === 'custom_tool_call') {
    const input = { [customInputKey]: textField(item, 'input') };
    return { id, type: 'function', function: { name, arguments: input } };
  }
  return null;
}

/** History may hold what another model once got wrong; the template needs an object. */
function argumentsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>;
    }
  } catch {
    // falls through: shown as it was said
  }
  return text.trim() === '' ? {} : { [customInputKey]: text };
}
