// The fields of Ollama's requests: their zod types, and what they mean in the words of chat/fields.ts. Options that are not
// known are ignored, as Ollama does; known ones are checked. Pure. Before it: chat.ts and generate.ts; after it:
// chat/fields.ts and chat/prompt-options.ts.
import { z } from 'zod';
import { fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { type CommonFields, commonFields } from '../chat/fields.ts';
import { textSource } from '../chat/form.ts';
import type { RequestBounds } from '../chat/local-model.ts';
import { type PromptFields, type PromptOptions, promptOptions } from '../chat/prompt-options.ts';
import type { GrammarSource } from '../grammar/compiler.ts';
import { keepAliveField } from '../shelf/keep-alive.ts';
import type { ServedModel } from '../text/served-model.ts';

export const IMAGE_COUNT_MAX = 1024; // of one message; each leaves a note

/** What both ways of asking have in common. */
export function askFields(bounds: RequestBounds) {
  const common = commonFields(bounds);
  return {
    model: z.string().min(1),
    stream: z.boolean().nullish(), // default: true
    format: z.union([z.literal(''), z.literal('json'), z.record(z.string(), z.unknown())]).nullish(),
    think: z.union([z.boolean(), z.enum(['low', 'medium', 'high', 'max'])]).nullish(),
    keep_alive: keepAliveField,
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(bounds.logprobsMax).nullish(),
    options: z
      .object({
        temperature: common.temperature,
        top_k: common.top_k,
        top_p: common.top_p,
        min_p: common.min_p,
        seed: common.seed,
        stop: common.stop,
        repeat_penalty: common.repetition_penalty,
        presence_penalty: common.presence_penalty,
        frequency_penalty: common.frequency_penalty,
        num_predict: z.int().min(-2).nullish(), // 0 and below: as far as the context goes
        num_ctx: z.int().min(1).nullish(), // prompt and answer together; what the server has not is not given
      })
      .nullish(),
  };
}

export type AskFields = z.output<z.ZodObject<ReturnType<typeof askFields>>>;

export function ollamaSampling({ options }: AskFields): CommonFields {
  const { repeat_penalty: repetition_penalty, num_predict: _length, num_ctx: _room, ...same } = options ?? {};
  return { ...same, repetition_penalty };
}

/** Output tokens, null: as far as the context goes; or why the prompt is too long for the context that was asked for. */
export function answerLength({ options }: AskFields, promptTokens: number): Parsed<number | null> {
  const asked = options?.num_predict ?? 0;
  const wanted = asked > 0 ? asked : null;
  const bound = options?.num_ctx ?? null;
  if (bound === null) return { ok: true, value: wanted };
  const room = bound - promptTokens;
  if (room > 0) return { ok: true, value: Math.min(wanted ?? room, room) };
  const message = `options.num_ctx: the prompt has ${promptTokens} tokens, which leaves no room for an answer in ${bound}`;
  return { ok: false, fault: fault('context_length_exceeded', message, { param: 'options.num_ctx' }) };
}

export function formatOf({ format }: AskFields): GrammarSource | null {
  if (format == null || format === '') return null;
  if (format === 'json') return textSource({ type: 'json_object' });
  return textSource({ type: 'json_schema', json_schema: { schema: format } });
}

/** How the prompt ends, and whether the model is to reason first. */
export function thinkingOptions(
  { think }: AskFields,
  { model, continueFinal }: { readonly model: ServedModel; readonly continueFinal: boolean },
): Parsed<PromptOptions> {
  if (think != null && think !== false && model.chatTemplate?.reasoning == null) {
    const message = `think: ${JSON.stringify(model.name)} does not support thinking`;
    return { ok: false, fault: fault('unsupported', message, { param: 'think' }) };
  }
  const effort: PromptFields['reasoning_effort'] =
    think === false ? 'none' : typeof think === 'string' ? think : null;
  const fields = { reasoning_effort: effort, enable_thinking: think === true ? true : null };
  return promptOptions({ ...fields, continue_final_message: continueFinal }, model, 'think');
}
