// A conversation with tools → the tokens that the model goes on with. Shared by chat completions and the Responses API.
// Pure. Before it: chat.ts and responses/plan.ts; after it: server/tools/prompt.ts and prompt-encoder.ts.
import { type ChatMessage, ChatTemplateError } from '../../models/chat-template.ts';
import { fault } from '../errors.ts';
import type { Parsed } from '../json-body.ts';
import type { Tool } from '../tools/definition.ts';
import { renderToolPrompt } from '../tools/prompt.ts';
import type { OpenAiWorld } from './world.ts';

export interface ChatPromptParts {
  readonly messages: readonly ChatMessage[]; // roles as templates know them
  readonly tools: readonly Tool[];
  readonly open: boolean; // with the opening of the assistant's turn
}

export function chatPrompt(
  { messages, tools, open }: ChatPromptParts,
  { model, forms: { dialect }, generator, prompts, route }: OpenAiWorld,
): Parsed<Int32Array> {
  const { chatTemplate } = model;
  if (chatTemplate === null) {
    const message = `${model.name} has no chat template; it takes /v1/completions`;
    return { ok: false, fault: fault('unsupported', message) };
  }
  try {
    const told = withSystem(messages, route?.system ?? '');
    const text = renderToolPrompt(chatTemplate, {
      messages: told,
      tools,
      dialect,
      addGenerationPrompt: open,
    });
    return prompts.encode(text, generator.contextTokensMax);
  } catch (error) {
    if (!(error instanceof ChatTemplateError)) throw error;
    return { ok: false, fault: fault('unsupported', error.message, { param: paramOf(error.message) }) };
  }
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
  return /^((?:messages|tools)[\w.[\]]*):/.exec(message)?.[1] ?? null;
}
