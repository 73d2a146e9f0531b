// The tokens that a tokenizer.json's post-processor puts before and after a text ([CLS], <|begin_of_text|>, [SEP]).
// Before it: tokenizer-file.ts; after it: tokenizer.ts. Prompts begin with the first ones, embedded texts have both.
import { z } from 'zod';
import type { TokenizerStep } from './tokenizer-step.ts';

export interface TextFrame {
  readonly startIds: readonly number[];
  readonly endIds: readonly number[];
}

const templateSchema = z.looseObject({
  single: z.array(z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }).optional() })),
  special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int().nonnegative()) })),
});
const named = z.tuple([z.string(), z.int().nonnegative()]);
const fixedSchema = z.looseObject({
  type: z.enum(['BertProcessing', 'RobertaProcessing']),
  cls: named,
  sep: named,
});

/** Nothing without a template. */
export function textFrame(processor: TokenizerStep | null): TextFrame {
  const steps: unknown = processor?.type === 'Sequence' ? processor['processors'] : [processor];
  for (const step of Array.isArray(steps) ? steps : []) {
    const fixed = fixedSchema.safeParse(step);
    if (fixed.success) return { startIds: [fixed.data.cls[1]], endIds: [fixed.data.sep[1]] };
    const template = templateSchema.safeParse(step);
    if (!template.success) continue;
    const { single, special_tokens: tokens } = template.data;
    const start = single.findIndex((part) => !part.SpecialToken);
    const idsOf = (parts: typeof single) => parts.flatMap((part) => tokens[part.SpecialToken!.id]?.ids ?? []);
    if (start < 0) break;
    const end = single.findLastIndex((part) => !part.SpecialToken) + 1;
    return { startIds: idsOf(single.slice(0, start)), endIds: idsOf(single.slice(end)) };
  }
  return { startIds: [], endIds: [] };
}
