// POST /v1/chat/completions as a client sees it: ours, llama-server's, Ollama's, vLLM's. Pure; http-target.ts sends it.
import { type Answer, field, numberOr, textOr } from './answer.ts';
import { type ContentOptions, type Message, messagesOf } from './content.ts';
import type { HttpProtocol } from './http-target.ts';
import type { Ask } from './target.ts';

export interface OpenAiOptions {
  readonly model: string;
  readonly temperature: number | null; // null: the server's default
  readonly plain: boolean; // only fields that OpenAI documents
  readonly content: ContentOptions;
}

export function chatProtocol(options: OpenAiOptions): HttpProtocol<Message[]> {
  return {
    name: 'chat completions',
    path: '/v1/chat/completions',
    newHistory: () => [],
    append: (history, ask) => {
      history.push(...messagesOf(ask.items, options.content));
    },
    body: (history, ask) => ({
      model: options.model,
      messages: history,
      max_tokens: ask.maxTokens,
      ...streamFields(options, ask),
    }),
    read: (event, answer) => {
      const choice = readCommon(event, answer);
      const delta = field(choice, 'delta');
      const ids = field(choice, 'token_ids');
      const count = Array.isArray(ids) ? ids.length : null;
      const reasoning = textOr(field(delta, 'reasoning_content'), textOr(field(delta, 'reasoning'), ''));
      if (reasoning !== '') answer.add(reasoning, { reasoning: true, count });
      const calls = field(delta, 'tool_calls') ?? [{ function: field(delta, 'function_call') }];
      const text = textOr(field(delta, 'content'), '') + toolText(calls);
      if (text !== '' || reasoning === '') answer.add(text, { count });
    },
    remember: (history, answer) => {
      if (answer.text !== '') history.push({ role: 'assistant', content: answer.text });
    },
  };
}

/** What both OpenAI text routes share. `return_token_ids` makes the server say how many tokens a chunk has. */
export function streamFields({ temperature, plain }: OpenAiOptions, ask: Ask): Record<string, unknown> {
  return {
    stream: true,
    stream_options: { include_usage: true },
    ...(temperature !== null && { temperature }),
    ...(!plain && { return_token_ids: true }),
    ...(!plain && ask.exact && { ignore_eos: true, min_tokens: ask.maxTokens }),
  };
}

/** Usage, errors and the finish reason; returns the first choice, if the event has one. */
export function readCommon(event: unknown, answer: Answer): unknown {
  const error = field(event, 'error');
  if (error !== undefined && error !== null) {
    const kind = textOr(field(error, 'code'), textOr(field(error, 'type'), 'error event'));
    answer.failure ??= {
      kind,
      message: textOr(field(error, 'message'), JSON.stringify(error).slice(0, 200)),
    };
  }
  const usage = field(event, 'usage');
  if (typeof usage === 'object' && usage !== null) {
    answer.promptTokens = numberOr(field(usage, 'prompt_tokens'), answer.promptTokens);
    answer.outputTokens = numberOr(field(usage, 'completion_tokens'), answer.outputTokens);
    answer.cachedTokens = numberOr(
      field(usage, 'prompt_tokens_details', 'cached_tokens'),
      answer.cachedTokens,
    );
    const details = field(usage, 'completion_tokens_details');
    answer.acceptedTokens = numberOr(field(details, 'accepted_prediction_tokens'), answer.acceptedTokens);
    answer.rejectedTokens = numberOr(field(details, 'rejected_prediction_tokens'), answer.rejectedTokens);
  }
  const choices = field(event, 'choices');
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const reason = field(choice, 'finish_reason');
  if (typeof reason === 'string') answer.finishReason = reason;
  return choice;
}

/** Name and arguments: a tool call begins with its name. */
function toolText(calls: unknown): string {
  if (!Array.isArray(calls)) return '';
  const textOfCall = (call: unknown) =>
    textOr(field(call, 'function', 'name'), '') + textOr(field(call, 'function', 'arguments'), '');
  return calls.map(textOfCall).join('');
}
