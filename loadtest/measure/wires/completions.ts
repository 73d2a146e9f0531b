// POST /v1/completions as a client sees it; prompts as text or as token ids. Pure; http-target.ts sends it.
import { field, textOr } from './answer.ts';
import { type OpenAiOptions, readCommon, streamFields } from './chat.ts';
import { contentTokens, textOf } from './content.ts';
import type { HttpProtocol } from './http-target.ts';

/** The whole conversation as one prompt; only one of the two is used. */
interface Prompt {
  text: string;
  tokens: number[];
}

export interface CompletionOptions extends OpenAiOptions {
  readonly as: 'text' | 'tokens';
}

export function completionsProtocol(options: CompletionOptions): HttpProtocol<Prompt> {
  const asTokens = options.as === 'tokens';
  return {
    name: 'completions',
    path: '/v1/completions',
    newHistory: () => ({ text: '', tokens: [] }),
    append: (history, ask) => {
      if (asTokens) for (const id of contentTokens(ask.items, options.content)) history.tokens.push(id);
      else history.text += textOf(ask.items, options.content);
    },
    body: (history, ask) => ({
      model: options.model,
      prompt: asTokens ? history.tokens : history.text,
      max_tokens: ask.maxTokens,
      ...streamFields(options, ask),
    }),
    read: (event, answer) => {
      const choice = readCommon(event, answer);
      const ids = field(choice, 'token_ids');
      const count = Array.isArray(ids) ? ids.length : null;
      if (Array.isArray(ids)) for (const id of ids) answer.tokens.push(Number(id));
      answer.add(textOr(field(choice, 'text'), ''), { count });
    },
    remember: (history, answer) => {
      if (asTokens) for (const id of answer.tokens) history.tokens.push(id);
      else history.text += answer.text;
    },
  };
}
