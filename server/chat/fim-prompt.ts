// A text with a cursor in it, and other files → the prompt that has a model fill in the middle. Owns what is left out where
// not all fits. Pure. Before it: llama/infill.ts, server/ollama; after it: text/prompt-text.ts and the tokenizer.
import { fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { encodePrompt } from '../text/prompt-text.ts';
import type { ChatService } from './chat-service.ts';

export interface Cursor {
  readonly before: string;
  readonly after: string;
  readonly extra: readonly { readonly name: string | null | undefined; readonly text: string }[]; // best first
}

export interface FimPrompt {
  readonly tokens: Int32Array;
  readonly truncated: boolean; // something was left out
}

/**
 * prefix, text before, suffix, text after, middle. Other files go before the text, the best one next to it, as many as
 * fit; of a text that is too long the part around the cursor is kept.
 */
export function fimPrompt(
  { before, after, extra }: Cursor,
  { model, generator }: Pick<ChatService, 'model' | 'generator'>,
): Parsed<FimPrompt> {
  const { fim, tokenizer } = model;
  if (fim === null) {
    const message =
      `${model.name} has no tokens for filling in the middle: such models are spark-nano and Qwen2.5-Coder, ` +
      'and any model completes a text without a suffix (/v1/completions)';
    return { ok: false, fault: fault('unsupported', message) };
  }
  const { contextTokensMax } = generator;
  // A quarter for the answer and what an editor adds while typing; of the rest three parts in four before the cursor.
  const room = contextTokensMax - 3 - (contextTokensMax >> 2);
  const bounds = { contextTokensMax: contextTokensMax * 16, mode: 'plain' } as const; // files quote control tokens
  const head = encodePrompt(before, tokenizer, bounds);
  const tail = encodePrompt(after, tokenizer, bounds);
  if (!head.ok) return head;
  if (!tail.ok) return tail;
  const tailTokens = tail.value.subarray(0, Math.max(room >> 2, room - head.value.length));
  const headTokens = head.value.subarray(Math.max(0, head.value.length - (room - tailTokens.length)));
  let left = room - tailTokens.length - headTokens.length;
  let truncated = tailTokens.length < tail.value.length || headTokens.length < head.value.length;
  const files: number[] = [];
  for (const { name, text } of extra) {
    const fits = text.length <= left * 64; // else it need not be looked at
    const tokens = fits ? tokenizer.encode(`${name == null ? '' : `// ${name}\n`}${text}\n`, 'plain') : null;
    if (tokens === null || tokens.length > left) {
      truncated = true;
      continue;
    }
    left -= tokens.length;
    files.unshift(...tokens);
  }
  const { prefixId, suffixId, middleId } = fim;
  const tokens = Int32Array.from([prefixId, ...files, ...headTokens, suffixId, ...tailTokens, middleId]);
  return { ok: true, value: { tokens, truncated } };
}
