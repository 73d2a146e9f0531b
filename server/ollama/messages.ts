// Ollama's messages → those of a template. Owns what Ollama leaves out: calls have no ids there, so a result belongs to the
// earliest call of its tool that has none yet; pictures stand beside the text and leave a note in it. Pure.
// Before it: chat.ts; after it: chat/chat-prompt.ts.
import { z } from 'zod';
import type { ChatMessage } from '../../models/template/chat-template.ts';
import { IMAGE_COUNT_MAX } from './fields.ts';

const callSchema = z.looseObject({
  id: z.string().max(256).nullish(),
  function: z.looseObject({ name: z.string(), arguments: z.unknown() }),
});

export const ollamaMessage = z.looseObject({
  role: z.string().min(1).max(64),
  content: z.string().nullish(),
  thinking: z.string().nullish(),
  images: z.array(z.string()).max(IMAGE_COUNT_MAX).nullish(),
  tool_calls: z.array(callSchema).nullish(),
  tool_name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
});

type OllamaMessage = z.output<typeof ollamaMessage>;

interface OpenCall {
  readonly id: string;
  readonly name: string;
}

export function messagesForTemplate(messages: readonly OllamaMessage[]): readonly ChatMessage[] {
  const open: OpenCall[] = []; // calls without a result
  let callCount = 0;
  // Nine letters and digits: the one form that every template takes.
  const freshId = (): string => `call${(callCount++).toString().padStart(5, '0')}`;
  return messages.map((message) => {
    const { role, thinking, tool_name: name } = message;
    const content = ollamaContent(message);
    if (role === 'tool') {
      const id = message.tool_call_id ?? takeCall(open, name) ?? freshId();
      return { role, content, tool_call_id: id, ...(name != null && { name }) };
    }
    const calls = (message.tool_calls ?? []).map(({ id, function: called }) => {
      const call = { id: id ?? freshId(), name: called.name };
      open.push(call);
      const given = JSON.stringify(called.arguments ?? {});
      return { id: call.id, type: 'function', function: { name: call.name, arguments: given } };
    });
    return {
      role,
      content,
      ...(thinking != null && thinking !== '' && { reasoning_content: thinking }),
      ...(calls.length > 0 && { tool_calls: calls }),
    };
  });
}

/** Text, with a note for each picture. */
export function ollamaContent({
  content,
  images,
}: Pick<OllamaMessage, 'content' | 'images'>): NonNullable<ChatMessage['content']> {
  const text = content ?? '';
  if (images == null || images.length === 0) return text;
  return [...(text === '' ? [] : [{ type: 'text', text }]), ...images.map(() => ({ type: 'image' }))];
}

function takeCall(open: OpenCall[], name: string | null | undefined): string | null {
  const named = open.findIndex((call) => call.name === name);
  return open.splice(Math.max(0, named), 1)[0]?.id ?? null;
}
