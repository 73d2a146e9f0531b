// The response object: what every lifecycle event and GET /v1/responses/{id} carry. Owns its exact shape. Pure.
// Before it: plan.ts; after it: events.ts.
import { extensionOf } from '../chat/usage.ts';
import type { GenerationEnd } from '../generation/generation.ts';
import type { PrefixReport } from '../generation/prefix-report.ts';
import type { ResponseRequest } from './schema.ts';

export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';

export interface ResponseUsage {
  readonly input_tokens: number;
  readonly input_tokens_details: { readonly cached_tokens: number; readonly cache_write_tokens: number };
  readonly output_tokens: number;
  readonly output_tokens_details: {
    readonly reasoning_tokens: number;
    readonly accepted_prediction_tokens: number;
    readonly rejected_prediction_tokens: number;
  };
  readonly total_tokens: number;
  readonly sparklane?: { readonly prefix: PrefixReport }; // ours: why the prompt was computed
  readonly cost?: number; // where lanes have prices, in their currency
}

/** What may change while a response runs. */
export interface ResponseState {
  readonly status: ResponseStatus;
  readonly output: readonly unknown[];
  readonly usage: ResponseUsage | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly incompleteReason: string | null;
  readonly completedAt: number | null; // time of day, seconds
}

/** But its status. */
export const NOTHING_YET = {
  output: [],
  usage: null,
  error: null,
  incompleteReason: null,
  completedAt: null,
} as const satisfies Omit<ResponseState, 'status'>;

export interface ResponseHead {
  readonly id: string;
  readonly createdAt: number; // time of day, seconds
  readonly model: string;
  readonly previousResponseId: string | null;
  readonly temperature: number; // as sampled
  readonly topP: number;
  readonly request: ResponseRequest;
  readonly route?: Readonly<Record<string, string>> | undefined; // of its lane, added to the metadata
}

export type ResponseObject = Readonly<Record<string, unknown>> & { readonly id: string };

export function responseObject(head: ResponseHead, state: ResponseState): ResponseObject {
  const { request } = head;
  return {
    id: head.id,
    object: 'response',
    created_at: head.createdAt,
    status: state.status,
    background: request.background === true,
    completed_at: state.completedAt,
    conversation: conversationOf(request),
    error: state.error,
    frequency_penalty: request.frequency_penalty ?? 0,
    incomplete_details: state.incompleteReason === null ? null : { reason: state.incompleteReason },
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: null,
    model: head.model,
    output: state.output,
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    presence_penalty: request.presence_penalty ?? 0,
    previous_response_id: head.previousResponseId,
    prompt_cache_key: request.prompt_cache_key ?? null,
    reasoning: { effort: request.reasoning?.effort ?? null, summary: null },
    safety_identifier: request.safety_identifier ?? null,
    service_tier: 'default',
    store: request.store ?? true,
    temperature: head.temperature,
    text: {
      format: request.text?.format ?? { type: 'text' },
      verbosity: request.text?.verbosity ?? 'medium',
    },
    tool_choice: request.tool_choice ?? 'auto',
    tools: (request.tools ?? []).map(shownTool),
    top_logprobs: request.top_logprobs ?? 0,
    top_p: head.topP,
    truncation: request.truncation ?? 'disabled',
    usage: state.usage,
    ...(request.user != null && { user: request.user }),
    metadata: { ...request.metadata, ...head.route },
  };
}

function conversationOf({ conversation: given }: ResponseRequest): object | null {
  if (given == null) return null;
  return { id: typeof given === 'string' ? given : given.id };
}

/** A function as OpenAI's document requires it: with all its fields, null where nothing was said. */
function shownTool(given: unknown): unknown {
  if (typeof given !== 'object' || given === null) return given;
  const isFunction = (given as { readonly type?: unknown }).type === 'function';
  return isFunction ? { parameters: null, strict: null, ...given } : given;
}

/** `reasoningTokens` of the output. */
export function responseUsage(end: GenerationEnd, reasoningTokens: number): ResponseUsage {
  return {
    input_tokens: end.promptTokens,
    input_tokens_details: { cached_tokens: end.cachedTokens, cache_write_tokens: 0 },
    output_tokens: end.outputTokens,
    output_tokens_details: {
      reasoning_tokens: Math.min(reasoningTokens, end.outputTokens),
      accepted_prediction_tokens: end.acceptedDraftTokens,
      rejected_prediction_tokens: end.rejectedDraftTokens,
    },
    total_tokens: end.promptTokens + end.outputTokens,
    ...(end.cost !== undefined && { cost: end.cost }),
    ...extensionOf([end]),
  };
}

/** Of a response that only prepares a prompt. */
export function promptUsage(promptTokens: number): ResponseUsage {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
    output_tokens: 0,
    output_tokens_details: {
      reasoning_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
    total_tokens: promptTokens,
  };
}
