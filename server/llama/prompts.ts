// The prompts of POST /completion in llama-server's forms: a text, token ids, both in one sequence, an object with the text, or a
// list of such. Pure. Before it: completion.ts; after it: chat/raw-prompt.ts.
import { z } from 'zod';
import type { Parsed } from '../base/json-body.ts';
import type { LocalModel } from '../chat/local-model.ts';
import { rawPrompt } from '../chat/raw-prompt.ts';
import { unserved } from '../chat/unserved-fields.ts';
import { encodePrompt } from '../text/prompt-text.ts';
import { shortList, strayFault, tokenIds } from '../text/token-ids.ts';

const PIECE_COUNT_MAX = 1024; // of one sequence that is made of texts and ids

type Piece = string | number;
export type LlamaPrompt = string | readonly Piece[] | { readonly prompt_string: string };

/** One prompt, or a list of them. */
export function promptField(promptCountMax: number) {
  const ids = tokenIds();
  const piece = z.union([z.string(), z.int().min(0)]);
  const mixed = shortList(piece, PIECE_COUNT_MAX).refine((pieces) => pieces.some(isId), {
    message: 'expected a token id among the texts',
  });
  const one = z.object({ prompt_string: z.string(), multimodal_data: unserved() });
  return z.union([
    z.string(),
    ids,
    one,
    mixed,
    shortList(z.union([z.string(), ids, one, mixed]), promptCountMax),
  ]);
}

/** A list with an id in it is one sequence, any other a list of prompts. */
export function promptsOf(given: z.output<ReturnType<typeof promptField>>): readonly LlamaPrompt[] {
  if (!Array.isArray(given)) return [given as LlamaPrompt];
  const listed = given as readonly unknown[];
  return listed.some(isId) ? [listed as readonly Piece[]] : (listed as readonly LlamaPrompt[]);
}

/** The tokens of one. Only its beginning begins like the texts the model was trained on. */
export function tokensOfPrompt(
  given: LlamaPrompt,
  field: string,
  service: Pick<LocalModel, 'model' | 'generator'>,
): Parsed<Int32Array> {
  if (typeof given === 'string') return rawPrompt(given, field, service);
  if (!isPieces(given)) return rawPrompt(given.prompt_string, field, service);
  const stray = strayFault(given.filter(isId), field, service.model.spec, 'prompt');
  if (stray !== null) return { ok: false, fault: stray };
  if (given.every(isId)) return rawPrompt(given, field, service);
  const { tokenizer } = service.model;
  const tokens: number[] = typeof given[0] === 'string' ? [...tokenizer.startIds] : [];
  for (const piece of given) {
    if (isId(piece)) tokens.push(piece);
    else {
      const { contextTokensMax } = service.generator;
      const encoded = encodePrompt(piece, tokenizer, { contextTokensMax, mode: 'raw' });
      if (!encoded.ok) return encoded;
      for (const token of encoded.value) tokens.push(token);
    }
  }
  return rawPrompt(tokens, field, service);
}

function isPieces(given: LlamaPrompt): given is readonly Piece[] {
  return Array.isArray(given);
}

function isId(piece: unknown): piece is number {
  return typeof piece === 'number';
}
