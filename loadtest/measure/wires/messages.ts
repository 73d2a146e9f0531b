// POST /v1/messages as a client of Anthropic's API sees it. Pure; http-target.ts sends it.
import { type Answer, field, numberOr, textOr } from './answer.ts';
import type { OpenAiOptions } from './chat.ts';
import { type Message, messagesOf } from './content.ts';
import type { HttpProtocol } from './http-target.ts';

const VERSION = '2023-06-01';

export function messagesProtocol(options: OpenAiOptions, apiKey: string | null): HttpProtocol<Message[]> {
  return {
    name: 'Messages',
    path: '/v1/messages',
    headers: { 'anthropic-version': VERSION, ...(apiKey !== null && { 'x-api-key': apiKey }) },
    newHistory: () => [],
    append: (history, ask) => {
      for (const message of messagesOf(ask.items, options.content)) append(history, message);
    },
    body: (history, ask) => {
      const system = history.filter(({ role }) => role === 'system').map(({ content }) => content);
      return {
        model: options.model,
        max_tokens: ask.maxTokens,
        messages: history.filter(({ role }) => role !== 'system'),
        ...(system.length > 0 && { system: system.join('\n') }),
        ...(options.temperature !== null && { temperature: options.temperature }),
        stream: true,
      };
    },
    read: readEvent,
    remember: (history, answer) => {
      if (answer.text !== '') append(history, { role: 'assistant', content: answer.text });
    },
  };
}

// Roles take turns in this API: what one side says twice is one message.
function append(history: Message[], message: Message): void {
  const last = history.at(-1);
  if (last?.role !== message.role) history.push(message);
  else history[history.length - 1] = { ...last, content: `${last.content}\n${message.content}` };
}

function readEvent(event: unknown, answer: Answer): void {
  switch (textOr(field(event, 'type'), '')) {
    case 'message_start':
      readUsage(field(event, 'message', 'usage'), answer);
      return;
    case 'content_block_start': // a tool call begins with its name
      answer.add(
        textOr(field(event, 'content_block', 'name'), textOr(field(event, 'content_block', 'text'), '')),
      );
      return;
    case 'content_block_delta': {
      const delta = field(event, 'delta');
      const thinking = textOr(field(delta, 'thinking'), '');
      if (thinking !== '') answer.add(thinking, { reasoning: true });
      answer.add(textOr(field(delta, 'text'), textOr(field(delta, 'partial_json'), '')));
      return;
    }
    case 'message_delta': {
      readUsage(field(event, 'usage'), answer);
      const reason = textOr(field(event, 'delta', 'stop_reason'), '');
      if (reason !== '') answer.finishReason = reason === 'max_tokens' ? 'length' : 'stop';
      return;
    }
    case 'error': {
      const kind = textOr(field(event, 'error', 'type'), 'error event');
      answer.failure ??= { kind, message: textOr(field(event, 'error', 'message'), '') };
    }
  }
}

// The prompt is what was read from the cache, what was written to it, and the rest.
function readUsage(usage: unknown, answer: Answer): void {
  const input = numberOr(field(usage, 'input_tokens'), null);
  const read = numberOr(field(usage, 'cache_read_input_tokens'), null);
  const written = numberOr(field(usage, 'cache_creation_input_tokens'), null);
  if (input !== null) answer.promptTokens = input + (read ?? 0) + (written ?? 0);
  answer.cachedTokens = read ?? answer.cachedTokens;
  answer.outputTokens = numberOr(field(usage, 'output_tokens'), answer.outputTokens);
}
