// What llama-server's clients (Zed, llama.vscode, its web page) ask before their first question: GET /props and /slots,
// POST /apply-template. Owns their shapes; generates nothing. Before it: http/door.ts; after it: chat/model-facts.ts and chat/chat-prompt.ts.
import { z } from 'zod';
import { ChatTemplateError } from '../../models/template/chat-template.ts';
import { unguarded } from '../../models/tokenizer/text-guard.ts';
import { contentText } from '../base/content.ts';
import { fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { chatText } from '../chat/chat-prompt.ts';
import type { DescribedService } from '../chat/described-service.ts';
import { forTemplate, MESSAGE_COUNT_MAX, messageSchema } from '../chat/message.ts';
import { modelFacts } from '../chat/model-facts.ts';
import { promptFields, promptOptions } from '../chat/prompt-options.ts';
import { toolSetOf } from '../chat/tool-set.ts';
import type { Seat } from '../engine/seats.ts';
import { type Route, routesIn } from '../http/route.ts';
import { settingsOf } from './infill-events.ts';
import { tooLong } from './tokenize.ts';

const table = routesIn('llama-server');

const templateSchema = z.object({
  messages: z.array(messageSchema).min(1).max(MESSAGE_COUNT_MAX),
  tools: z.array(z.looseObject({ type: z.string() })).nullish(),
  ...promptFields,
});

export function llamaServerRoutes(service: DescribedService): readonly Route[] {
  return [
    table.get('/props', 'What is served: settings, seats, template', (call) =>
      call.reply(200, propsOf(service)),
    ),
    // that is when somebody looks
    table.get(
      '/slots',
      {
        summary: 'The seats, by counts; never texts',
        query: { fail_on_no_slot: '503 while every seat is taken' },
        whenFull: true,
      },
      (call) => {
        const slots = slotsOf(service);
        const wanted = new URLSearchParams(call.request.query).has('fail_on_no_slot');
        if (wanted && slots.every((slot) => slot.is_processing)) {
          call.refuse(fault('connection_limit', `all ${slots.length} slots are taken`));
        } else call.reply(200, slots);
      },
    ),
    table.posted(
      '/apply-template',
      { summary: 'A conversation as the prompt it becomes', body: templateSchema },
      (call, body) => {
        const text = rendered(body, service);
        if (text.ok) call.reply(200, { prompt: unguarded(text.value) });
        else call.refuse(text.fault);
      },
    ),
  ];
}

function propsOf(service: DescribedService): object {
  const { model, about } = service;
  const { spec, tokenizer, defaults, chatTemplate } = model;
  const { contextTokens } = modelFacts(service);
  const settings = { ...defaults, presencePenalty: 0, frequencyPenalty: 0, seed: null };
  const textOf = (id: number | null | undefined): string =>
    id == null ? '' : tokenizer.decode([id], { keepSpecial: true });
  return {
    default_generation_settings: {
      n_ctx: contextTokens,
      params: { n_predict: -1, ...settingsOf(settings), stop: [] },
    },
    total_slots: about.seatCount,
    model_alias: model.aliases?.[0] ?? model.name,
    model_path: model.path ?? model.name,
    modalities: { vision: false, audio: false },
    endpoint_slots: true,
    endpoint_props: false, // not-served.ts says why
    endpoint_metrics: true,
    chat_template: chatTemplate?.source ?? '',
    chat_template_caps: capsOf(service),
    bos_token: textOf(spec.bosTokenId),
    eos_token: textOf(spec.eosTokenIds[0]),
    build_info: `sparklane-${about.version}`,
    is_sleeping: (service.residence?.() ?? { kind: 'loaded' }).kind !== 'loaded', // a request loads it (--idle-unload)
    device: about.device,
  };
}

/** Calls are written in words where the template has none for them, so what counts is whether they can be read. */
function capsOf(service: DescribedService): object {
  const calls = modelFacts(service).capabilities.includes('tools');
  return {
    supports_tools: calls,
    supports_tool_calls: calls,
    supports_parallel_tool_calls: calls,
    supports_system_role: takesSystem(service.model),
    supports_string_content: service.model.chatTemplate !== null,
    supports_typed_content: service.model.chatTemplate !== null,
  };
}

function takesSystem({ chatTemplate }: DescribedService['model']): boolean {
  const messages = ['system', 'user'].map((role) => ({ role, content: 'a' }));
  try {
    return chatTemplate?.render(messages, { addGenerationPrompt: true }) !== undefined;
  } catch (error) {
    if (error instanceof ChatTemplateError) return false;
    throw error;
  }
}

interface Slot {
  readonly id: number;
  readonly is_processing: boolean;
}

/** Counts only: what a slot reads and writes is its owner's. */
function slotsOf({ about, generator, bounds }: DescribedService): readonly Slot[] {
  const { seats, seatCount, slotCount } = about;
  const taken = new Map(seats.map((seat) => [seat.replica * slotCount + seat.slot, seat]));
  const common = { n_ctx: generator.contextTokensMax, speculative: bounds.draftTokensMax > 0 };
  return Array.from({ length: seatCount }, (_, id) => {
    const seat = taken.get(id);
    return { id, is_processing: seat !== undefined, ...common, ...(seat && progressOf(seat)) };
  });
}

function progressOf(seat: Seat): object {
  return {
    n_prompt_tokens: seat.promptTokens,
    n_prompt_tokens_cache: seat.cachedTokens,
    n_prompt_tokens_processed: Math.min(seat.promptTokens, seat.computedTokens),
    next_token: [{ n_decoded: seat.outputTokens, n_remain: seat.outputTokensMax - seat.outputTokens }],
  };
}

function rendered(body: z.output<typeof templateSchema>, service: DescribedService): Parsed<string> {
  const size = body.messages.reduce((sum, { content }) => sum + contentText(content).length, 0);
  if (size > service.bounds.tokenizeSizeMax) return tooLong({ param: 'messages', size }, service);
  const options = promptOptions(body, service.model);
  if (!options.ok) return options;
  const tools = toolSetOf([body.tools], { choice: 'auto', parallel: true }).shown.map(({ tool }) => tool);
  return chatText({ messages: body.messages.map(forTemplate), tools, options: options.value }, service);
}
