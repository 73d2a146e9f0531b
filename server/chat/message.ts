// One message of a conversation as OpenAI's and llama-server's clients write it: its zod type, and the same message as the
// model's template takes it. Pure.
import { z } from 'zod';
import type { ChatMessage } from '../../models/template/chat-template.ts';

export const MESSAGE_COUNT_MAX = 8192; // of one conversation

export const contentPart = z.looseObject({ type: z.string(), text: z.string().optional() });

export const messageSchema = z.looseObject({
  role: z.string().min(1).max(64),
  content: z.union([z.string(), z.array(contentPart)]).nullish(),
});

type WireMessage = z.output<typeof messageSchema>;

/** `developer` is OpenAI's newer word for `system`, and no template's. */
export function forTemplate(message: WireMessage): ChatMessage {
  const { content, ...rest } = message;
  const role = message.role === 'developer' ? 'system' : message.role;
  return { ...rest, role, content: (content ?? null) as ChatMessage['content'] & {} };
}
