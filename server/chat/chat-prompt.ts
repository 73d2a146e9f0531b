// A conversation with tools → the tokens that the model goes on with. Shared by chat completions and the Responses API.
// Pure. Before it: openai/chat.ts and responses/plan.ts; after it: server/tools/prompt.ts and prompt-encoder.ts.
import { type ChatMessage, ChatTemplateError } from '../../models/template/chat-template.ts';
import { contextFault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { tooMuchSaid } from '../text/prompt-text.ts';
import type { Tool } from '../tools/definition.ts';
import { renderToolPrompt } from '../tools/prompt.ts';
import type { LocalModel } from './local-model.ts';
import type { PromptOptions } from './prompt-options.ts';
import type { PromptOrigin } from './prompt-trail.ts';
import type { ReasoningStart } from './reasoning-reader.ts';

export interface ChatPromptParts {
  readonly messages: readonly ChatMessage[]; // roles as templates know them
  readonly tools: readonly Tool[];
  readonly options: PromptOptions;
  readonly fits?: number; // tokens above which it is refused early; the context unless said
}

export interface ChatPrompt {
  readonly tokens: Int32Array; // [n]; empty where an upstream lays it out
  readonly origin?: PromptOrigin; // of a conversation: what it was made of
  readonly reasoning: ReasoningStart | null; // how its answer begins; null: this model does not reason
}

export function chatPrompt(
  parts: ChatPromptParts,
  service: Pick<LocalModel, 'model' | 'forms' | 'generator' | 'prompts'>,
): Parsed<ChatPrompt> {
  const { messages, options } = parts;
  const { model, generator, prompts } = service;
  const fits = parts.fits ?? generator.contextTokensMax;
  const least = tooMuchSaid(messages, model.tokenizer, fits);
  if (least !== null) {
    const said = `the messages have more than ${least} tokens (there are ${messages.length})`;
    return { ok: false, fault: contextFault(said, fits) };
  }
  const text = chatText(parts, service);
  if (!text.ok) return text;
  const tokens = prompts.encode(text.value, fits);
  if (!tokens.ok) return tokens;
  const final = options.continueFinal ? messages.at(-1) : undefined;
  const reasoning = reasoningStart(text.value, { model, final });
  const origin = { messages, tools: parts.tools };
  return { ok: true, value: { tokens: tokens.value, origin, reasoning } };
}

/** What the template makes of a conversation, callers' texts guarded (models/tokenizer/text-guard.ts). */
export function chatText(
  { messages, tools, options }: ChatPromptParts,
  { model, forms }: Pick<LocalModel, 'model' | 'forms'>,
): Parsed<string> {
  const { chatTemplate } = model;
  if (chatTemplate === null) {
    const message = `${model.name} has no chat template; it takes /v1/completions`;
    return { ok: false, fault: fault('unsupported', message) };
  }
  try {
    const prompt = { messages, tools, syntax: forms.toolSyntax, options };
    return { ok: true, value: renderToolPrompt(chatTemplate, prompt) };
  } catch (error) {
    if (!(error instanceof ChatTemplateError)) throw error;
    return { ok: false, fault: fault('unsupported', error.message, { param: paramOf(error.message) }) };
  }
}

/** By the end of what was rendered, or of the message that goes on. */
function reasoningStart(
  rendered: string,
  { model, final }: { readonly model: LocalModel['model']; readonly final: ChatMessage | undefined },
): ReasoningStart | null {
  const marks = model.chatTemplate?.reasoning ?? null;
  if (marks === null) return null;
  if (rendered.trimEnd().endsWith(marks.open)) return { marks, open: true };
  const begun = typeof final?.content === 'string' ? final.content : '';
  return { marks, open: begun.lastIndexOf(marks.open) > begun.lastIndexOf(marks.close) };
}

/** One system message at the beginning, as many templates take no other; what the client told comes after `system`. */
export function withSystem(messages: readonly ChatMessage[], system: string): readonly ChatMessage[] {
  if (system === '') return messages;
  const [first, ...rest] = messages;
  if (first === undefined || (first.role !== 'system' && first.role !== 'developer')) {
    return [{ role: 'system', content: system }, ...messages];
  }
  const { content } = first;
  const told =
    typeof content === 'string' ? content : (content ?? []).map(({ text }) => text ?? '').join('\n');
  return [{ ...first, content: `${system}\n\n${told}` }, ...rest];
}

/** The template's errors begin with the field where they know it. */
function paramOf(message: string): string | null {
  return /^((?:messages|tools|chat_template_kwargs)[\w.[\]]*):/.exec(message)?.[1] ?? null;
}
