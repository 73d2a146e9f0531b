// Text of a prompt → tokens, without looking at all of one that is far too long for the context. Before it: openai/chat.ts,
// openai/completions.ts; after it: the tokenizer, which has long texts looked at elsewhere (text/long-texts.ts).
import type { EncodeMode } from '../../models/tokenizer.ts';
import { fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { ServedModel } from '../text/served-model.ts';

// Code and prose have two to six characters per token. A text of more than this many per token of the whole context
// is looked at in part before it is tokenised in full.
const CHARACTERS_PER_TOKEN = 8;

const CUT_SLACK = 16; // tokens that may come out differently where a text is cut

/** Refuses early what cannot fit; what may fit is checked exactly later (fields.ts). */
export function encodePrompt(
  text: string,
  tokenizer: Pick<ServedModel['tokenizer'], 'encode'>,
  { contextTokensMax, mode }: { readonly contextTokensMax: number; readonly mode: EncodeMode },
): Parsed<Int32Array> {
  const length = contextTokensMax * CHARACTERS_PER_TOKEN;
  const least = text.length > length ? tokenizer.encode(text.slice(0, length), mode).length - CUT_SLACK : 0;
  if (least > contextTokensMax) {
    const message =
      `the prompt has more than ${least} tokens (its first ${length} of ${text.length} characters); ` +
      `the context holds ${contextTokensMax}, prompt and output together`;
    return { ok: false, fault: fault('context_length_exceeded', message) };
  }
  return { ok: true, value: tokenizer.encode(text, mode) };
}
