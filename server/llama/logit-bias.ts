// llama-server's ways to write `logit_bias`: an object or a list of pairs, of token ids or of texts, each of whose tokens is meant;
// `false` is never. Pure. Before it: completion.ts; after it: answer.ts.
import { z } from 'zod';
import type { ServedModel } from '../text/served-model.ts';

const BIAS_COUNT_MAX = 1024;
export const NEVER = -1e9; // far below any logit, and still a number

const bias = z.union([z.number().min(-100).max(100), z.literal(false)]);
const token = z.union([z.int().min(0), z.string().min(1).max(256)]);

export const llamaLogitBias = z
  .union([
    z.record(z.string().min(1).max(256), bias).refine((all) => Object.keys(all).length <= BIAS_COUNT_MAX, {
      message: `at most ${BIAS_COUNT_MAX} tokens can be biased`,
    }),
    z.array(z.tuple([token, bias])).max(BIAS_COUNT_MAX),
  ])
  .nullish();

/** By token id, as chat and text completions have it. */
export function biasById(
  given: z.output<typeof llamaLogitBias>,
  { tokenizer }: Pick<ServedModel, 'tokenizer'>,
): Record<string, number> {
  const byId: Record<string, number> = {};
  const pairs = Array.isArray(given) ? given : Object.entries(given ?? {});
  for (const [which, value] of pairs) {
    const isId = typeof which === 'number' || (!Array.isArray(given) && /^\d{1,10}$/.test(which));
    const ids = isId ? [which] : Array.from(tokenizer.encode(which as string));
    for (const id of ids) byId[id] = value === false ? NEVER : value;
  }
  return byId;
}
