// The Responses API's events, which SSE and the WebSocket mode share, and its input items. Pure.
import { type Answer, field, numberOr, textOr } from './answer.ts';
import { type ContentOptions, messagesOf } from './content.ts';
import type { Ask } from './target.ts';

export interface ResponsesOptions {
  readonly model: string;
  readonly temperature: number | null;
  readonly plain: boolean;
  readonly content: ContentOptions;
}

/** Items of `input`; the model's own items join it as the server sent them. */
export type InputItem = Readonly<Record<string, unknown>>;

export function inputOf(ask: Ask, { content }: ResponsesOptions): InputItem[] {
  return messagesOf(ask.items, content).map(({ role, content: text }) => ({
    type: 'message',
    role,
    content: [{ type: 'input_text', text }],
  }));
}

export function createFields(
  { model, temperature, plain }: ResponsesOptions,
  ask: Ask,
): Record<string, unknown> {
  return {
    model,
    store: false,
    stream: true,
    max_output_tokens: ask.maxTokens,
    ...(temperature !== null && { temperature }),
    ...(!plain && ask.exact && { ignore_eos: true }),
  };
}

const TEXT_DELTAS = new Set([
  'response.output_text.delta',
  'response.refusal.delta',
  'response.function_call_arguments.delta',
  'response.custom_tool_call_input.delta',
]);
const REASONING_DELTAS = new Set(['response.reasoning_text.delta', 'response.reasoning_summary_text.delta']);
const ENDS = new Set(['response.completed', 'response.incomplete', 'response.failed']);

/** Fills `answer`; returns the finished response object once there is one. Unknown events are skipped. */
export function readResponseEvent(event: unknown, answer: Answer): unknown {
  const type = textOr(field(event, 'type'), '');
  if (TEXT_DELTAS.has(type) || REASONING_DELTAS.has(type)) {
    // token_count is an extension of ours: sequence_number counts events, not tokens.
    const count = numberOr(field(event, 'token_count'), null);
    const index = numberOr(field(event, 'token_index'), null);
    answer.add(textOr(field(event, 'delta'), ''), { count, index, reasoning: REASONING_DELTAS.has(type) });
    return null;
  }
  if (type === 'response.output_item.added') {
    // A tool call begins with its name; its tokens are stamped with the arguments, where they are.
    answer.add(textOr(field(event, 'item', 'name'), ''), { count: 0 });
    return null;
  }
  if (type === 'error') {
    // SSE puts the fields at the top, the WebSocket mode under `error`.
    const error = field(event, 'error') ?? event;
    const kind = textOr(field(error, 'code'), textOr(field(error, 'type'), 'error event'));
    answer.failure ??= { kind, message: textOr(field(error, 'message'), '') };
    return null;
  }
  if (!ENDS.has(type)) return null;
  const response = field(event, 'response');
  readEnd(type, response, answer);
  return response;
}

function readEnd(type: string, response: unknown, answer: Answer): void {
  const usage = field(response, 'usage');
  answer.promptTokens = numberOr(field(usage, 'input_tokens'), null);
  answer.outputTokens = numberOr(field(usage, 'output_tokens'), null);
  answer.cachedTokens = numberOr(field(usage, 'input_tokens_details', 'cached_tokens'), null);
  const details = field(usage, 'output_tokens_details');
  answer.acceptedTokens = numberOr(field(details, 'accepted_prediction_tokens'), null);
  answer.rejectedTokens = numberOr(field(details, 'rejected_prediction_tokens'), null);
  if (type === 'response.completed') {
    answer.finishReason = 'stop';
  } else if (type === 'response.incomplete') {
    const reason = textOr(field(response, 'incomplete_details', 'reason'), 'incomplete');
    answer.finishReason = reason === 'max_output_tokens' ? 'length' : null;
  } else {
    const error = field(response, 'error');
    const kind = textOr(field(error, 'code'), 'response.failed');
    answer.failure ??= { kind, message: textOr(field(error, 'message'), '') };
  }
}

/** What the history keeps of an answer: the server's own items, or the text where it listed none. */
export function outputItems(response: unknown, answer: Answer): InputItem[] {
  const output = field(response, 'output');
  if (Array.isArray(output) && output.length > 0) return output as InputItem[];
  if (answer.text === '') return [];
  return [
    {
      type: 'message',
      role: 'assistant',
      content: [{ type: 'output_text', text: answer.text, annotations: [] }],
    },
  ];
}
