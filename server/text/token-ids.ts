// Lists of token ids in a request: checked in one pass, because a schema for each number takes over 1 µs and a body may
// hold millions of them. Pure. Used by openai/completions.ts and llama/tokenize.ts.

import { z } from 'zod';
import { type Fault, fault } from '../base/errors.ts';

/** One id or more, unless `empty`; whether they are below the vocabulary's size is looked at later. */
export function tokenIds({ empty = false }: { readonly empty?: boolean } = {}) {
  const told = { type: 'array', items: { type: 'integer', minimum: 0 }, minItems: empty ? 0 : 1 };
  return z
    .unknown()
    .meta(told)
    .transform((value, context): readonly number[] => {
      if (!Array.isArray(value)) {
        context.addIssue({
          code: 'invalid_type',
          expected: 'array',
          input: value,
          message: 'expected token ids',
        });
        return z.NEVER;
      }
      const ids: readonly unknown[] = value;
      const stray = ids.findIndex((id) => !Number.isSafeInteger(id) || (id as number) < 0);
      if (stray >= 0) {
        const message = 'Invalid input: expected a token id, an integer of at least 0';
        const issue = { path: [stray], message, input: ids[stray] };
        if (typeof ids[stray] === 'number') context.addIssue({ ...issue, code: 'custom' });
        else context.addIssue({ ...issue, code: 'invalid_type', expected: 'number' });
        return z.NEVER;
      }
      if (ids.length === 0 && !empty) {
        context.addIssue({
          code: 'custom',
          message: 'Too small: expected array to have >=1 items',
          input: value,
        });
        return z.NEVER;
      }
      return ids as readonly number[];
    });
}

/** A list whose items are only looked at if there are no more than `countMax`. */
export function shortList<T extends z.ZodType>(item: T, countMax: number) {
  const { $schema: _, ...items } = z.toJSONSchema(item, { io: 'input', unrepresentable: 'any' });
  return z
    .unknown()
    .meta({ type: 'array', minItems: 1, maxItems: countMax, items })
    .transform((value, context) => {
      if (!Array.isArray(value) || value.length <= countMax) return value;
      const message = `Too big: expected array to have <=${countMax} items`;
      context.addIssue({ code: 'custom', message, input: value });
      return z.NEVER;
    })
    .pipe(z.array(item).min(1));
}

/** The first token that the model does not have, by its place in `field`, such as `prompt[0]`. */
export function strayFault(
  ids: readonly number[],
  field: string,
  { vocabSize }: { readonly vocabSize: number },
  param?: string, // the token's own place unless said
): Fault | null {
  const index = ids.findIndex((id) => id >= vocabSize);
  if (index < 0) return null;
  const at = `${field}[${index}]`;
  return fault('invalid_request', `${at}: token ${ids[index]} is not in [0, ${vocabSize})`, {
    param: param ?? at,
  });
}
