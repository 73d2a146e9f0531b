// A request of Anthropic's API as one of the one meaning of chat: its tools, its prompt's options, its sampling, and what
// cannot be had of it. Pure. Before it: routes.ts; after it: chat/chat-prompt.ts, chat/form.ts and chat/fields.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { CommonFields } from '../chat/fields.ts';
import { textSource } from '../chat/form.ts';
import { type PromptFields, type PromptOptions, promptOptions } from '../chat/prompt-options.ts';
import { type ToolSet, toolSetOf } from '../chat/tool-set.ts';
import type { UpstreamDialect } from '../lanes/lanes-file.ts';
import type { ServedModel } from '../text/served-model.ts';
import { THREAD } from './errors.ts';
import type { CountRequest, MessagesRequest } from './schema.ts';

/** `hidden`: this model cannot be told not to think, and nobody asked to see it. */
export type ThinkingShown = 'shown' | 'omitted' | 'hidden';

export interface Thinking {
  readonly shown: ThinkingShown;
  readonly options: PromptOptions;
}

// Anthropic's budget is a target, not a bound; templates know levels.
const LOW_BUDGET = 4096;
const HIGH_BUDGET = 16_384;

/** What nobody here could do, so that nothing is asked for in vain. */
export function unusableFault(body: CountRequest): Fault | null {
  if ((body.mcp_servers ?? []).length > 0) {
    return refusal('mcp_servers', 'this server calls no servers of tools: give their tools in `tools`');
  }
  if (body.thread != null) {
    return refusal(THREAD, 'this server keeps no conversations of this API: send all messages');
  }
  if (body.compaction != null) {
    return refusal('compaction', 'this server makes no compaction blocks: ask for a summary in a message');
  }
  if (body.container != null) return refusal('container', 'there is none here to run code in');
  const format = messagesFormat(body);
  if (format != null && format['type'] !== 'json_schema') {
    return refusal(
      'output_config.format.type',
      `json_schema is known, not ${JSON.stringify(format['type'])}`,
    );
  }
  if (format != null && format['schema'] == null) {
    return refusal('output_config.format.schema', 'a schema is needed');
  }
  return toolsFault(body) ?? choiceFault(body);
}

function toolsFault({ tools }: CountRequest): Fault | null {
  const names = new Set<string>();
  for (const [index, tool] of (tools ?? []).entries()) {
    const { type, name } = tool;
    const at = `tools[${index}]`;
    if (type != null && type !== 'custom') {
      const message = `${JSON.stringify(type)} is a tool of Anthropic’s: nobody would run it here, and this model was not taught it`;
      return refusal(`${at}.type`, message);
    }
    if (tool.input_schema == null) return refusal(`${at}.input_schema`, 'a tool needs it');
    if (names.has(name))
      return refusal(`${at}.name`, `a tool before it is called ${JSON.stringify(name)} too`);
    names.add(name);
  }
  return null;
}

function choiceFault({ tools, tool_choice: choice }: CountRequest): Fault | null {
  if (choice == null || choice.type === 'auto' || choice.type === 'none') return null;
  if ((tools ?? []).length === 0) return refusal('tool_choice', `${choice.type} needs tools`);
  if (choice.type === 'any') return null;
  if (choice.name == null) return refusal('tool_choice.name', 'which tool is to be used?');
  if (tools!.some(({ name }) => name === choice.name)) return null;
  return refusal('tool_choice.name', `no tool is called ${JSON.stringify(choice.name)}`);
}

export function messagesTools({ tools, tool_choice: choice }: CountRequest): ToolSet {
  const functions = (tools ?? []).map(({ name, description, input_schema, strict }) => ({
    type: 'function',
    ...{ name, description, strict },
    parameters: input_schema,
  }));
  const { type = 'auto', name } = choice ?? {};
  const chosen = { auto: 'auto', none: 'none', any: 'required', tool: { type: 'function', name } }[type];
  return toolSetOf([functions], {
    choice: chosen,
    parallel: choice?.disable_parallel_tool_use !== true,
  });
}

/** Without `thinking` there is none, as Anthropic has it, where the model can be told so. */
export function thinkingOf(
  { thinking, output_config: config }: CountRequest,
  continueFinal: boolean,
  model: Pick<ServedModel, 'name' | 'chatTemplate'>,
): Thinking {
  const base = { continue_final_message: continueFinal };
  const isOn = thinking != null && thinking.type !== 'disabled';
  const effort = isOn ? (config?.effort ?? effortOf(thinking.budget_tokens)) : 'none';
  const told = promptOptions({ ...base, reasoning_effort: effort }, model);
  if (told.ok) {
    const shown = isOn && effort !== 'none' ? 'shown' : 'hidden';
    return { options: told.value, shown: thinking?.display === 'omitted' && isOn ? 'omitted' : shown };
  }
  // It always thinks.
  const always = promptOptions(base, model);
  if (!always.ok) throw new Error(always.fault.message); // `base` excludes nothing
  return { options: always.value, shown: 'hidden' };
}

/**
 * The same for an upstream, in its words: OpenAI's level of reasoning, and the switch of templates where there is one. Not to
 * think is what nobody has to be told who has no switch.
 */
export function upstreamThinking(
  { thinking, output_config: config }: CountRequest,
  dialect: UpstreamDialect,
): Pick<PromptFields, 'reasoning_effort' | 'enable_thinking'> {
  const hasSwitch = dialect !== 'openai';
  if (thinking?.type === 'disabled') return hasSwitch ? { enable_thinking: false } : {};
  if (thinking == null && config?.effort == null) return {};
  const effort = config?.effort ?? effortOf(thinking?.budget_tokens);
  const known = effort === 'max' && !hasSwitch ? 'xhigh' : effort; // OpenAI's highest
  return { reasoning_effort: known, ...(hasSwitch && thinking != null && { enable_thinking: true }) };
}

function effortOf(budget: number | null | undefined): 'low' | 'medium' | 'high' {
  if (budget == null || budget >= HIGH_BUDGET) return 'high';
  return budget < LOW_BUDGET ? 'low' : 'medium';
}

/** The schema that the answer's text is to follow, in the spelling of chat completions. */
export function messagesFormat(body: CountRequest): Readonly<Record<string, unknown>> | null {
  return body.output_config?.format ?? body.output_format ?? null;
}

export function messagesText(body: CountRequest): ReturnType<typeof textSource> {
  return textSource(messagesFormat(body));
}

export function messagesSampling(body: MessagesRequest): CommonFields {
  const { temperature, top_p, top_k, stop_sequences: stop } = body;
  return { temperature, top_p, top_k, stop };
}

function refusal(param: string, message: string): Fault {
  return fault('invalid_request', `${param}: ${message}`, { param });
}
