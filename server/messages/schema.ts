// The fields of POST /v1/messages and /v1/messages/count_tokens, with bounds, as Anthropic's document names them. Fields
// that nobody here knows are dropped; those that ask for what cannot be had are refused in request.ts. Before it:
// base/json-body.ts; after it: conversation.ts and request.ts.
import { z } from 'zod';
import { commonFields } from '../chat/fields.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { promptFields } from '../chat/prompt-options.ts';

const MESSAGE_COUNT_MAX = 100_000; // Anthropic's
const BLOCK_COUNT_MAX = 16_384; // of one message
const TOOL_COUNT_MAX = 1024;
const NAME_LENGTH_MAX = 256;
const TOKEN_COUNT_MAX = 2 ** 31 - 1;

const name = z.string().min(1).max(NAME_LENGTH_MAX);

/** A block of any kind; conversation.ts knows what each has to bring. */
const block = z.looseObject({
  type: z.string().min(1).max(64),
  text: z.string().nullish(),
  thinking: z.string().nullish(),
  id: z.string().max(NAME_LENGTH_MAX).nullish(),
  tool_use_id: z.string().max(NAME_LENGTH_MAX).nullish(),
  is_error: z.boolean().nullish(),
});

export type Block = z.output<typeof block>;

const blocks = z.array(block).max(BLOCK_COUNT_MAX);

const message = z.object({
  role: z.enum(['user', 'assistant', 'system']),
  content: z.union([z.string(), blocks]),
});

const tool = z.looseObject({
  type: z.string().max(64).nullish(), // absent or custom: a tool of the client's own
  name,
  description: z.string().nullish(),
  input_schema: z.looseObject({}).nullish(),
  strict: z.boolean().nullish(),
});

const promptParts = {
  model: z.string().nullish(),
  system: z.union([z.string(), blocks]).nullish(),
  messages: z.array(message).min(1).max(MESSAGE_COUNT_MAX),
  tools: z.array(tool).max(TOOL_COUNT_MAX).nullish(),
  tool_choice: z
    .object({
      type: z.enum(['auto', 'any', 'tool', 'none']),
      name: name.nullish(),
      disable_parallel_tool_use: z.boolean().nullish(),
    })
    .nullish(),
  thinking: z
    .object({
      type: z.enum(['enabled', 'disabled', 'adaptive']),
      budget_tokens: z.int().min(0).max(TOKEN_COUNT_MAX).nullish(),
      display: z.enum(['summarized', 'omitted']).nullish(),
    })
    .nullish(),
  output_config: z
    .object({
      effort: promptFields.reasoning_effort,
      format: z.looseObject({ type: z.string() }).nullish(),
    })
    .nullish(),
  mcp_servers: z.array(z.unknown()).max(TOOL_COUNT_MAX).nullish(),
  output_format: z.looseObject({ type: z.string() }).nullish(), // the older name of output_config.format
  container: z.unknown().optional(),
  compaction: z.unknown().optional(),
  thread: z.unknown().optional(),
  context_management: z.looseObject({}).nullish(),
};

export const countSchema = z.object(promptParts);

export function messagesSchema(bounds: RequestBounds) {
  const { temperature, top_p, top_k, stop, stream } = commonFields(bounds);
  return z.object({
    ...promptParts,
    ...{ temperature, top_p, top_k, stream },
    stop_sequences: stop,
    cache_control: z.looseObject({}).nullish(),
    max_tokens: z.int().min(0).max(TOKEN_COUNT_MAX),
    metadata: z
      .looseObject({ user_id: z.string().max(4096).nullish(), task_id: z.string().max(512).nullish() })
      .nullish(),
  });
}

export type CountRequest = z.output<typeof countSchema>;
export type MessagesRequest = z.output<ReturnType<typeof messagesSchema>>;
