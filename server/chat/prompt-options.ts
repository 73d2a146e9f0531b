// How a conversation is to become a prompt, as requests say it: where it ends, the template's own switches, how much to
// reason. Owns the fields' names and which of them exclude each other; pure. Before it: the routes; after it: chat-prompt.ts.
import { z } from 'zod';
import { reasoningVariables } from '../../models/template/reasoning-marks.ts';
import { fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { ServedModel } from '../text/served-model.ts';

const VARIABLE_COUNT_MAX = 64;

/** Of vLLM, SGLang and llama-server, and OpenAI's `reasoning_effort`. */
export const promptFields = {
  add_generation_prompt: z.boolean().nullish(), // default: true, unless the last message is to be continued
  continue_final_message: z.boolean().nullish(),
  chat_template_kwargs: z
    .record(z.string().max(64), z.unknown())
    .refine((variables) => Object.keys(variables).length <= VARIABLE_COUNT_MAX, {
      message: `at most ${VARIABLE_COUNT_MAX} variables`,
    })
    .nullish(),
  enable_thinking: z.boolean().nullish(), // short for the variable of this name
  reasoning_effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']).nullish(),
};

export type PromptFields = z.output<z.ZodObject<typeof promptFields>>;

export interface PromptOptions {
  readonly open: boolean; // with the opening of the assistant's turn
  readonly continueFinal: boolean; // up to where the last message, an assistant's, ends
  readonly variables: Readonly<Record<string, unknown>>; // of the template
}

export const plainPrompt: PromptOptions = { open: true, continueFinal: false, variables: {} };

/** What the fields mean to this model's template, or why they cannot be had. */
export function promptOptions(
  fields: PromptFields,
  { name, chatTemplate }: Pick<ServedModel, 'name' | 'chatTemplate'>,
  effortParam = 'reasoning_effort',
): Parsed<PromptOptions> {
  const continueFinal = fields.continue_final_message === true;
  if (continueFinal && fields.add_generation_prompt === true) {
    const message =
      'continue_final_message: a prompt that goes on within a message has no add_generation_prompt';
    return refused(message, 'continue_final_message');
  }
  const reads = (variable: string) => chatTemplate?.reads?.(variable) ?? true;
  const template = { reads, reasoning: chatTemplate?.reasoning ?? null };
  const { reasoning_effort: effort, enable_thinking: thinking, chat_template_kwargs: kwargs } = fields;
  const ofEffort = effort == null ? {} : reasoningVariables(effort, template);
  if (ofEffort === null) return refused(`${effortParam}: ${name} always reasons`, effortParam);
  const ofSwitch = thinking == null ? {} : reasoningVariables(thinking ? 'medium' : 'none', template);
  if (ofSwitch === null) return refused(`enable_thinking: ${name} always reasons`, 'enable_thinking');
  const { reasoning_effort: _level, ...switched } = ofSwitch;
  const variables = { ...ofEffort, ...switched, ...withoutIdle(kwargs ?? {}, template) };
  return {
    ok: true,
    value: { open: fields.add_generation_prompt ?? !continueFinal, continueFinal, variables },
  };
}

/** Switching off what the model does not do anyway is no variable it would have to read. */
function withoutIdle(
  given: Readonly<Record<string, unknown>>,
  template: Parameters<typeof reasoningVariables>[1],
): Readonly<Record<string, unknown>> {
  if (template.reasoning !== null) return given;
  const idle = ([variable, value]: [string, unknown]) =>
    value === false && /thinking/.test(variable) && !template.reads(variable);
  return Object.fromEntries(Object.entries(given).filter((entry) => !idle(entry)));
}

function refused(message: string, param: string): Parsed<never> {
  return { ok: false, fault: fault('invalid_request', message, { param }) };
}
