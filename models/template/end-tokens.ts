// What ends an answer: every token that the model's files or its template name as an end. A model that draws one of them
// has finished its turn; going on would play the user. Before it: model.ts; after it: the engine's stop tokens.
import { join } from 'node:path';
import { z } from 'zod';
import { readOptionalJson } from '../files/model-file.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { type ChatTemplate, ChatTemplateError } from './chat-template.ts';

const tokenSchema = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish();
const configSchema = z.looseObject({ eos_token: tokenSchema });

/** Ids of `config` (config.json's and generation_config.json's), and of what tokenizer and template know beside them. */
export function endTokens(
  config: readonly number[],
  model: {
    readonly directory: string | null; // of tokenizer_config.json; null: a GGUF file, whose metadata name all ends
    readonly tokenizer: Tokenizer;
    readonly template: ChatTemplate | null;
    readonly vocabSize: number;
  },
): readonly number[] {
  const texts = [model.directory && namedEnd(model.directory), model.template && turnEnd(model)];
  const ids = texts.map((text) => (text ? model.tokenizer.specialTokenId(text) : null));
  const known = ids.filter((id) => id !== null && id < model.vocabSize) as number[];
  return [...new Set([...config, ...known])];
}

function namedEnd(directory: string): string | null {
  const token = readOptionalJson(join(directory, 'tokenizer_config.json'), configSchema)?.eos_token;
  return typeof token === 'string' ? token : (token?.content ?? null);
}

const probe = 'sparklaneprobe';

/** The control token that the template writes behind an assistant's words; null where it writes none. */
function turnEnd({
  template,
  tokenizer,
}: {
  readonly template: ChatTemplate | null;
  readonly tokenizer: Tokenizer;
}): string | null {
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: probe },
  ];
  try {
    const text = template!.render(messages, { addGenerationPrompt: false });
    const rest = text.slice(text.lastIndexOf(probe) + probe.length).trimStart();
    const ends = tokenizer.controlTexts.filter((token) => rest.startsWith(token));
    return ends.sort((a, b) => b.length - a.length)[0] ?? null;
  } catch (error) {
    if (error instanceof ChatTemplateError) return null; // it takes no such conversation
    throw error;
  }
}
