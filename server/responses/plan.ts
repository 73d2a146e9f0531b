// A checked request and what came before it → the plan of one response: conversation, tools, prompt, generation. Owns
// which fields matter how, truncation and priority; runs nothing. Before it: schema.ts; after it: run.ts.

import { contentText } from '../base/content.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { PreparedAnswer } from '../chat/answering.ts';
import { chatFormat, isOwnFormat, type UpstreamAsk } from '../chat/chat-body.ts';
import type { ChatPrompt } from '../chat/chat-prompt.ts';
import { type FormAsk, formatFault, textSource } from '../chat/form.ts';
import { askedName, modelFault } from '../chat/model-name.ts';
import { type PromptOptions, promptOptions } from '../chat/prompt-options.ts';
import type { ReasoningStart } from '../chat/reasoning-reader.ts';
import { type ToolSet, toolChoiceFault, toolSetOf } from '../chat/tool-set.ts';
import type { Priority } from '../engine/request.ts';
import { compactedText } from './compaction.ts';
import type { ConversationTurn } from './conversation-store.ts';
import { type Item, itemsOf } from './items.ts';
import { messagesOfItems } from './messages.ts';
import type { ResponseHead } from './response-object.ts';
import type { ResponsesService } from './responses-service.ts';
import { ITEM_COUNT_MAX, type ResponseRequest } from './schema.ts';

export interface PlanParts {
  readonly request: ResponseRequest;
  readonly owner: string;
  readonly history: readonly Item[]; // of the response or the conversation that this one goes on from
  readonly conversation: ConversationTurn | null; // that it is written into
  readonly input?: readonly Item[]; // instead of the request's own
  readonly previousId?: string | null; // likewise
  readonly warmUp: boolean; // compute the prompt, say nothing
  readonly id?: string; // of the response, where it was told before it was planned
  readonly createdAt?: number; // likewise
  readonly repeatable?: boolean; // another node may have to say the same, event by event
  readonly delegated?: readonly Item[]; // results of background work: before the input, and first in the answer
}

export interface ResponsePlan {
  readonly head: ResponseHead;
  readonly owner: string;
  readonly history: readonly Item[];
  readonly conversation: ConversationTurn | null;
  readonly input: readonly Item[];
  readonly delegated: readonly Item[];
  readonly form: FormAsk;
  readonly reasoning: ReasoningStart | null; // how the answer begins
  readonly prepared: PreparedAnswer;
  readonly repeatable: boolean;
}

/** What the title requests of Codex are called; they come beside a person's turn and may wait. */
const SIDE_FORMAT = 'codex_output_schema';
const LOGPROBS_INCLUDE = 'message.output_text.logprobs';

/** Plans at once, or once the tokens of long texts are there; calls `then` once. */
export function withPlan(
  parts: PlanParts,
  service: ResponsesService,
  then: (plan: Parsed<ResponsePlan>) => void,
): void {
  let plan: Parsed<ResponsePlan> | null = null;
  service.texts.run(
    () => {
      plan = planResponse(parts, service);
    },
    {
      over: () => false,
      failed: (error) => then({ ok: false, fault: fault('internal_error', `the prompt: ${String(error)}`) }),
      ended: () => then(plan!),
    },
  );
}

export function planResponse(parts: PlanParts, service: ResponsesService): Parsed<ResponsePlan> {
  const { request, owner, history } = parts;
  const { model, freshId } = service;
  const resolved = inputItems(parts, service);
  if (!resolved.ok) return resolved;
  const input = resolved.value;
  const delegated = parts.delegated ?? [];
  const items = [...history, ...delegated, ...input];
  const refused =
    modelFault(request.model, model) ??
    itemsFault(history, input) ??
    compactionFault(input) ??
    orphanFault(items, input);
  if (refused !== null) return { ok: false, fault: refused };
  const tools = toolsOf(request, items);
  const unkept =
    toolChoiceFault(request.tool_choice, tools) ?? formatFault(request.text?.format, 'text.format');
  if (unkept !== null) return { ok: false, fault: unkept };
  const system = itemsOf(instructionItems(request.instructions), freshId);
  const options = optionsOf(parts, service);
  if (!options.ok) return options;
  const prompt = promptOf({ system, items, tools, request, options: options.value }, service);
  if (!prompt.ok) return prompt;
  const crowded = thresholdFault(request, prompt.value.tokens.length);
  if (crowded !== null) return { ok: false, fault: crowded };
  const withLogprobs = request.include?.includes(LOGPROBS_INCLUDE) === true || request.top_logprobs != null;
  const prepared = service.answering.prepare(
    { ...request, n: 1 },
    {
      prompt: prompt.value,
      maxTokens: parts.warmUp ? 0 : (request.max_output_tokens ?? null),
      logprobs: withLogprobs ? (request.top_logprobs ?? 0) : null,
      owner,
      route: '/v1/responses',
      prediction: request.prediction == null ? null : contentText(request.prediction.content),
      priority: priorityOf(parts),
      eachToken: parts.repeatable === true,
    },
  );
  if (!prepared.ok) return prepared;
  return {
    ok: true,
    value: {
      head: headOf(request, service, {
        ...parts,
        previousId: parts.previousId ?? request.previous_response_id ?? null,
      }),
      owner,
      history,
      conversation: parts.conversation,
      input,
      delegated,
      form: { tools, text: textSource(request.text?.format), textParam: 'text.format' },
      reasoning: prompt.value.reasoning,
      prepared: prepared.value,
      repeatable: parts.repeatable === true,
    },
  };
}

export function headOf(
  request: ResponseRequest,
  { answering: { model, route }, freshId, epochSeconds }: ResponsesService,
  told: { readonly previousId?: string | null; readonly id?: string; readonly createdAt?: number } = {},
): ResponseHead {
  return {
    id: told.id ?? `resp_${freshId()}`,
    createdAt: told.createdAt ?? epochSeconds(),
    model: askedName(request.model, model),
    previousResponseId: told.previousId ?? request.previous_response_id ?? null,
    temperature: request.temperature ?? model.defaults.temperature,
    topP: request.top_p ?? model.defaults.topP,
    request,
    route: route?.metadata,
  };
}

function priorityOf({ request, warmUp }: PlanParts): Priority {
  if (warmUp) return 'background';
  const beside = request.background === true || request.service_tier === 'flex';
  return beside || request.text?.format?.['name'] === SIDE_FORMAT ? 'side' : 'turn';
}

/** The request's own items, each with an id; what it only names is found in the store. */
export function inputItems(
  { request, owner, history, input }: Pick<PlanParts, 'request' | 'owner' | 'history' | 'input'>,
  service: ResponsesService,
): Parsed<readonly Item[]> {
  // The same ids, however often it is planned.
  const given = input ?? service.texts.once('input', () => itemsOf(request.input, service.freshId));
  return withoutReferences(given, { owner, history }, service);
}

/** What an upstream is asked instead of a prompt; `items`: the whole conversation. */
export function upstreamAskOf(request: ResponseRequest, items: readonly Item[]): UpstreamAsk {
  const told = itemsOf(instructionItems(request.instructions), () => '');
  return {
    messages: messagesOfItems([...told, ...items]),
    tools: toolsOf(request, items),
    maxTokens: request.max_output_tokens ?? null,
    responseFormat: chatFormat(request.text?.format),
    ...(isOwnFormat(request.text?.format) && {
      form: { ok: true, value: { text: textSource(request.text?.format), textParam: 'text.format' } },
    }),
    sampling: request,
  };
}

/** Tools may also come as items; those stay in force for the rest of the conversation. */
function toolsOf(request: ResponseRequest, items: readonly Item[]): ToolSet {
  const added = items.filter(({ type }) => type === 'additional_tools').map((item) => item['tools']);
  const parallel = request.parallel_tool_calls ?? true;
  return toolSetOf([request.tools, ...added], { choice: request.tool_choice, parallel });
}

function instructionItems(instructions: ResponseRequest['instructions']): unknown {
  if (typeof instructions !== 'string') return instructions;
  return instructions === '' ? [] : [{ type: 'message', role: 'system', content: instructions }];
}

/** Some SDKs name an item of a stored response, or of what came before, instead of sending it again. */
export function withoutReferences(
  items: readonly Item[],
  { owner, history }: Pick<PlanParts, 'owner' | 'history'>,
  { store }: ResponsesService,
): Parsed<readonly Item[]> {
  const resolved: Item[] = [];
  const named = (id: unknown) => store.item(String(id), owner) ?? history.find((item) => item['id'] === id);
  for (const item of items) {
    const found = item.type === 'item_reference' ? named(item['id']) : item;
    if (found === undefined) {
      const message = `input: item with id '${String(item['id'])}' not found`;
      return { ok: false, fault: fault('not_found', message, { param: 'input' }) };
    }
    resolved.push(found);
  }
  return { ok: true, value: resolved };
}

function itemsFault(history: readonly Item[], input: readonly Item[]): Fault | null {
  const count = history.length + input.length;
  if (count === 0) return fault('invalid_request', 'input: must not be empty', { param: 'input' });
  if (count <= ITEM_COUNT_MAX) return null;
  const message = `the conversation has ${count} items, at most ${ITEM_COUNT_MAX} are taken`;
  return fault('context_length_exceeded', message, { param: 'input' });
}

/** A summary that is not ours cannot be read, and a response makes none: both would be lost without a word. */
function compactionFault(input: readonly Item[]): Fault | null {
  for (const [index, item] of input.entries()) {
    const param = `input[${index}]`;
    if (item.type === 'compaction_trigger') {
      const message = `${param}: a response compacts nothing: POST /v1/responses/compact`;
      return fault('unsupported', message, { param });
    }
    if (item.type === 'compaction' && compactedText(item) === null) {
      const message = `${param}.encrypted_content: is no summary that this server wrote`;
      return fault('invalid_request', message, { param: `${param}.encrypted_content` });
    }
  }
  return null;
}

/** The threshold beyond which a client relies on its conversation being made shorter. */
function thresholdFault(request: ResponseRequest, tokenCount: number): Fault | null {
  const thresholds = (request.context_management ?? []).map((one) => one.compact_threshold ?? Infinity);
  if (tokenCount < Math.min(...thresholds, Infinity)) return null;
  const message = `context_management: the prompt has ${tokenCount} tokens, and a response compacts nothing: POST /v1/responses/compact`;
  return fault('unsupported', message, { param: 'context_management' });
}

/** What nobody called for answers nothing: the model would be told of a result without its question. */
function orphanFault(items: readonly Item[], input: readonly Item[]): Fault | null {
  const kept = new Set(withoutOrphans(items));
  const isOutput = ({ type }: Item) => type === 'function_call_output' || type === 'custom_tool_call_output';
  const index = input.findIndex((item) => isOutput(item) && !kept.has(item));
  if (index < 0) return null;
  const callId = String(input[index]!['call_id']);
  const message = `input[${index}]: no tool call found for the output with call_id '${callId}'`;
  return fault('invalid_request', message, { param: `input[${index}].call_id` });
}

interface PromptAsk {
  readonly system: readonly Item[];
  readonly items: readonly Item[];
  readonly tools: ToolSet;
  readonly request: ResponseRequest;
  readonly options: PromptOptions;
}

/** `reasoning.effort` as chat completions' `reasoning_effort`. */
function optionsOf({ request, warmUp }: PlanParts, { answering }: ResponsesService): Parsed<PromptOptions> {
  const effort = request.reasoning?.effort ?? null;
  return promptOptions(
    { reasoning_effort: effort, add_generation_prompt: !warmUp },
    answering.model,
    'reasoning.effort',
  );
}

function promptOf(ask: PromptAsk, service: ResponsesService): Parsed<ChatPrompt> {
  const whole = service.texts.once(`all ${ask.items.length}`, () => layOut(ask, ask.items, service));
  const tooLong = !whole.ok && whole.fault.code === 'context_length_exceeded';
  if (ask.request.truncation !== 'auto' || (!whole.ok && !tooLong)) return whole;
  const { contextTokensMax } = service.answering;
  // Room for an answer, else the truncated prompt would be of no use.
  const room =
    contextTokensMax - Math.min(ask.request.max_output_tokens ?? contextTokensMax, contextTokensMax >> 3);
  return whole.ok && whole.value.tokens.length <= room ? whole : truncated(ask, room, service);
}

/**
 * Leaves out the oldest items, but none that instructs; the fewest that suffice. Looked for from the question backwards, as far as
 * the items so far foretell, so that what takes time is what fits, not what was said.
 */
function truncated(ask: PromptAsk, room: number, service: ResponsesService): Parsed<ChatPrompt> {
  const droppable = ask.items.flatMap((item, index) => (isInstruction(item) ? [] : [index]));
  const last = (count: number) => {
    const from = droppable.at(-count)!;
    const kept = () => [...ask.items.slice(0, from).filter(isInstruction), ...ask.items.slice(from)];
    return service.texts.once(`last ${count} of ${ask.items.length}`, () =>
      layOut(ask, withoutOrphans(kept()), service),
    );
  };
  if (droppable.length === 0) return layOut(ask, ask.items, service);
  const question = last(1); // stays, whatever its length
  let best = question;
  let [low, high] = [1, droppable.length]; // fits; does not
  for (let step = 1; best.ok && best.value.tokens.length <= room && low + 1 < high; step++) {
    const count = step % 3 === 0 ? Math.min((low + high) >> 1, 4 * low) : foretold(best, low, question);
    const tried = Math.min(Math.max(count, low + 1), high - 1);
    const longer = last(tried);
    if (longer.ok && longer.value.tokens.length <= room) [best, low] = [longer, tried];
    else high = tried;
  }
  return best;

  /** How many items fill the room if those before are as long as these. */
  function foretold(prompt: Parsed<ChatPrompt>, count: number, one: Parsed<ChatPrompt>): number {
    if (!prompt.ok || !one.ok) return count;
    const { length } = prompt.value.tokens;
    const each = count === 1 ? length : (length - one.value.tokens.length) / (count - 1);
    return count + Math.floor((room - length) / Math.max(each, 1));
  }
}

function isInstruction(item: Item): boolean {
  if (item.type !== 'message') return false;
  return item['role'] === 'developer' || item['role'] === 'system';
}

/** An output whose call was left out would answer nothing. */
function withoutOrphans(items: readonly Item[]): Item[] {
  const calls = new Set<unknown>();
  return items.filter((item) => {
    if (item.type.endsWith('_call')) calls.add(item['call_id']);
    return !item.type.endsWith('_call_output') || calls.has(item['call_id']);
  });
}

function layOut(ask: PromptAsk, items: readonly Item[], service: ResponsesService): Parsed<ChatPrompt> {
  const messages = messagesOfItems([...ask.system, ...items]);
  const tools = ask.tools.shown.map(({ tool }) => tool);
  return service.answering.layOut({ messages, tools, options: ask.options });
}
