// Text of a prompt → tokens, without looking at all of one that is far too long for the context. Before it: openai/chat.ts,
// sessions/transcript.ts; after it: the tokenizer, which has long texts looked at elsewhere (long-texts.ts).
import type { ChatMessage } from '../../models/template/chat-template.ts';
import type { EncodeMode } from '../../models/tokenizer/tokenizer.ts';
import { contextFault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { ServedModel } from './served-model.ts';

// Code and prose have two to six characters per token. A text of more than this many per token of the whole context
// is looked at in part before it is tokenised in full.
const CHARACTERS_PER_TOKEN = 8;

const CUT_SLACK = 16; // tokens that may come out differently where a text is cut

interface TextBound {
  readonly contextTokensMax: number;
  readonly mode: EncodeMode;
}

/** Tokens that a text has at least where those are too many already, seen by its beginning; else null. */
export function tooManyTokens(
  text: string,
  tokenizer: Pick<ServedModel['tokenizer'], 'encode'>,
  { contextTokensMax, mode }: TextBound,
): number | null {
  const length = contextTokensMax * CHARACTERS_PER_TOKEN;
  if (text.length <= length) return null;
  const least = tokenizer.encode(text.slice(0, length), mode).length - CUT_SLACK;
  return least > contextTokensMax ? least : null;
}

// A template may leave out some of what was said (old reasoning), but hardly so much of it.
const LAID_OUT_ANYWAY = 4; // times the text that a context can hold

/** The same of a conversation that is so long that laying it out would take a while. */
export function tooMuchSaid(
  messages: readonly ChatMessage[],
  tokenizer: Pick<ServedModel['tokenizer'], 'encode'>,
  contextTokensMax: number,
): number | null {
  const lengthMax = contextTokensMax * CHARACTERS_PER_TOKEN;
  let length = 0;
  let sample = '';
  for (const { content } of messages) {
    const parts = typeof content === 'string' ? [content] : (content ?? []).map(({ text }) => text ?? '');
    for (const text of parts) {
      length += text.length;
      if (sample.length <= lengthMax) sample += text.slice(0, lengthMax + 1 - sample.length);
    }
  }
  if (length <= LAID_OUT_ANYWAY * lengthMax) return null;
  return tooManyTokens(sample, tokenizer, { contextTokensMax, mode: 'plain' });
}

/** Refuses early what cannot fit; what may fit is checked exactly later (chat/fields.ts). */
export function encodePrompt(
  text: string,
  tokenizer: Pick<ServedModel['tokenizer'], 'encode'>,
  bound: TextBound,
): Parsed<Int32Array> {
  const { contextTokensMax, mode } = bound;
  const least = tooManyTokens(text, tokenizer, bound);
  if (least !== null) {
    const length = contextTokensMax * CHARACTERS_PER_TOKEN;
    const said = `the prompt has more than ${least} tokens (its first ${length} of ${text.length} characters)`;
    return { ok: false, fault: contextFault(said, contextTokensMax) };
  }
  return { ok: true, value: tokenizer.encode(text, mode) };
}
