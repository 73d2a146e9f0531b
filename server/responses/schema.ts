// The fields of POST /v1/responses and of the WebSocket's frames, with bounds. What is unknown is dropped or kept unread,
// never refused: clients are newer than servers. Before it: base/json-body.ts; after it: plan.ts.
import { z } from 'zod';
import { commonFields } from '../chat/fields.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { promptFields } from '../chat/prompt-options.ts';
import { unserved } from '../chat/unserved-fields.ts';

export const ITEM_COUNT_MAX = 16_384; // of a request, and of a conversation
const TOOL_COUNT_MAX = 1024;
const ID_LENGTH_MAX = 128;
const METADATA_COUNT_MAX = 16; // OpenAI's bounds
const METADATA_KEY_MAX = 64;
const METADATA_VALUE_MAX = 512;

const idField = z.string().max(ID_LENGTH_MAX);

export const metadataSchema = z
  .record(z.string().max(METADATA_KEY_MAX), z.string().max(METADATA_VALUE_MAX))
  .refine((metadata) => Object.keys(metadata).length <= METADATA_COUNT_MAX, {
    message: `at most ${METADATA_COUNT_MAX} entries`,
  });

function responseFields(bounds: RequestBounds) {
  const { n: _n, stream_options: _options, max_tokens: _max, ...sampling } = commonFields(bounds);
  return {
    ...sampling,
    input: z.union([z.string(), z.array(z.unknown()).max(ITEM_COUNT_MAX)]).nullish(),
    instructions: z.union([z.string(), z.array(z.unknown()).max(ITEM_COUNT_MAX)]).nullish(),
    prompt: unserved(), // OpenAI's templates, kept with OpenAI
    conversation: z.union([idField, z.looseObject({ id: idField })]).nullish(),
    previous_response_id: idField.nullish(),
    store: z.boolean().nullish(),
    background: z.boolean().nullish(),
    max_output_tokens: z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .nullish(),
    truncation: z.enum(['auto', 'disabled']).nullish(),
    text: z
      .looseObject({
        format: z.looseObject({ type: z.string() }).nullish(),
        verbosity: z.string().nullish(),
      })
      .nullish(),
    tools: z.array(z.unknown()).max(TOOL_COUNT_MAX).nullish(),
    tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]).nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    context_management: z
      .array(z.looseObject({ type: z.string(), compact_threshold: z.int().min(1).nullish() }))
      .max(16)
      .nullish(),
    include: z.array(z.string()).max(64).nullish(),
    return_tokens_as_token_ids: z.boolean().nullish(), // vLLM: `token_id:42` for a token's text, in log-probabilities
    top_logprobs: z.int().min(0).max(bounds.logprobsMax).nullish(),
    metadata: metadataSchema.nullish(),
    prompt_cache_key: z.string().max(1024).nullish(),
    safety_identifier: z.string().max(1024).nullish(),
    service_tier: z.string().max(64).nullish(),
    reasoning: z.looseObject({ effort: promptFields.reasoning_effort }).nullish(),
    prediction: z
      .looseObject({ type: z.string(), content: z.union([z.string(), z.array(z.unknown())]) })
      .nullish(), // as of chat completions
  };
}

export function responseSchema(bounds: RequestBounds) {
  return z.object(responseFields(bounds));
}

export type ResponseRequest = z.output<ReturnType<typeof responseSchema>>;

/** The fields that only a frame has. `stream` and `background` mean nothing there. */
export function createFrameSchema(bounds: RequestBounds) {
  return z.object({ ...responseFields(bounds), generate: z.boolean().nullish() });
}

export const steerFrameSchema = z.object({
  previous_response_id: z.string().max(ID_LENGTH_MAX),
  input: z.union([z.string().min(1), z.array(z.unknown()).min(1).max(64)]),
});

export const resumeFrameSchema = z.object({
  response_id: z.string().max(ID_LENGTH_MAX),
  starting_after: z.int().min(-1).nullish(),
});

export type CreateFrame = z.output<ReturnType<typeof createFrameSchema>>;

/** Read before all else: what a frame is and whose. */
export const frameHeadSchema = z.looseObject({ type: z.string() });

export const STREAM_ID = /^[A-Za-z0-9_.-]{1,256}$/;
