// EmbeddingDesk: where texts of one model become vectors. Owns what of a text is taken and what is refused, and that the
// model is in memory meanwhile. Before it: the routes; after it: shelf/shelf.ts and device/embedding-device.ts.
import type { EmbeddingModel } from '../../models/embedding-model.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { EmbeddingDevice } from '../device/embedding-device.ts';
import type { Lease, Shelf, UseOptions } from '../shelf/shelf.ts';
import { encodePrompt } from '../text/prompt-text.ts';

export type EmbeddedText = string | readonly number[];

/** Owns the order of everything that is asked of it. */
export interface EmbeddingDesk {
  readonly name: string;
  readonly dimensions: number; // of a whole vector
  readonly tokensMax: number; // of a text
  /** `field` names the text in refusals. `truncates`: a text that is too long is cut, else refused. */
  tokensOf(text: EmbeddedText, field: string, truncates: boolean): Parsed<Int32Array>;
  open(options: UseOptions): Promise<Parsed<Lease>>;
  /** While a lease is held. */
  embed(ids: Int32Array, dimensions: number | null): Promise<Float32Array>;
}

export function openEmbeddingDesk(
  model: EmbeddingModel,
  { shelf, device }: { readonly shelf: Pick<Shelf, 'use'>; readonly device: EmbeddingDevice },
): EmbeddingDesk {
  return {
    name: model.name,
    dimensions: model.dimensions,
    tokensMax: model.tokensMax,
    tokensOf: (text, field, truncates) => tokensOf(model, text, { field, truncates }),
    open: (options) => shelf.use(device.resident, options),
    embed: device.embed,
  };
}

function tokensOf(
  { tokenizer, pooling, vocabSize, tokensMax }: EmbeddingModel,
  text: EmbeddedText,
  { field, truncates }: { readonly field: string; readonly truncates: boolean },
): Parsed<Int32Array> {
  if (typeof text !== 'string') {
    const stray = text.findIndex((id) => id >= vocabSize);
    if (stray >= 0) return refused(`${field}[${stray}]: token ${text[stray]} is not in [0, ${vocabSize})`);
    return fitting(Int32Array.from(text), { field, truncates, tokensMax, endCount: 0 });
  }
  const { startIds, endIds } = tokenizer; // a caller's text holds no control tokens: it is encoded as plain text
  const meant = pooling.lowersCase ? text.toLowerCase() : text;
  const encoded: Parsed<Int32Array> = truncates
    ? { ok: true, value: tokenizer.encode(meant.slice(0, tokensMax * CHARACTERS_MAX), 'plain') }
    : encodePrompt(meant, tokenizer, { contextTokensMax: tokensMax, mode: 'plain' });
  if (!encoded.ok)
    return {
      ok: false,
      fault: { ...encoded.fault, param: field, message: `${field}: ${encoded.fault.message}` },
    };
  const ids = Int32Array.from([...startIds, ...encoded.value, ...endIds]);
  return fitting(ids, { field, truncates, tokensMax, endCount: endIds.length });
}

const CHARACTERS_MAX = 64; // of a token, where a text is cut

function fitting(
  ids: Int32Array,
  {
    field,
    truncates,
    tokensMax,
    endCount,
  }: { field: string; truncates: boolean; tokensMax: number; endCount: number },
): Parsed<Int32Array> {
  if (ids.length === 0) return refused(`${field}: must not be empty`);
  if (ids.length <= tokensMax) return { ok: true, value: ids };
  if (!truncates) {
    const message = `${field}: ${ids.length} tokens, start and end included, are more than the ${tokensMax} that the model takes`;
    return { ok: false, fault: fault('context_length_exceeded', message, { param: field }) };
  }
  const end = ids.subarray(ids.length - endCount);
  const kept = ids.slice(0, tokensMax);
  kept.set(end, tokensMax - end.length);
  return { ok: true, value: kept };
}

function refused(message: string): { readonly ok: false; readonly fault: Fault } {
  return {
    ok: false,
    fault: fault('invalid_request', message, { param: message.slice(0, message.indexOf(':')) }),
  };
}
