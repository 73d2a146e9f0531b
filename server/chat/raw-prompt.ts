// A prompt that is a text or token ids, and no conversation → tokens. Pure. Before it: the completions of every dialect; after
// it: text/prompt-text.ts and the tokenizer.
import { fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import { encodePrompt } from '../text/prompt-text.ts';
import type { LocalModel } from './local-model.ts';

/** A text begins like the texts the model was trained on; ids are taken as they are. Whoever writes it may write control tokens. */
export function rawPrompt(
  given: string | readonly number[],
  field: string,
  {
    model: { tokenizer, spec },
    generator: { contextTokensMax },
  }: Pick<LocalModel, 'model'> & { readonly generator: Pick<LocalModel['generator'], 'contextTokensMax'> },
  opens = true,
): Parsed<Int32Array> {
  let tokens = typeof given === 'string' ? new Int32Array(0) : Int32Array.from(given);
  if (typeof given === 'string') {
    const encoded = encodePrompt(given, tokenizer, { contextTokensMax, mode: 'raw' });
    if (!encoded.ok) return encoded;
    tokens = Int32Array.from([...(opens ? tokenizer.startIds : []), ...encoded.value]);
  }
  if (tokens.length > 0) return { ok: true, value: tokens };
  // Something must come before the first token: what ends a text also begins the next one.
  const [start] = spec.eosTokenIds;
  if (start !== undefined) return { ok: true, value: Int32Array.of(start) };
  return { ok: false, fault: fault('invalid_request', `${field}: must not be empty`, { param: 'prompt' }) };
}
