// One step of a tokenizer.json's pipeline (normaliser, pre-tokeniser, decoder) as it is written there: a type and its
// settings. Owns how settings are read and how patterns become regular expressions, for which it asks
// @huggingface/tokenizers. Used by tokenizer-file.ts, text-normalizer.ts, text-splitter.ts.
import { Tokenizer as PatternReader } from '@huggingface/tokenizers';
import { z } from 'zod';
import { CheckpointError } from '../files/model-file.ts';

export const stepSchema = z.looseObject({ type: z.string() });
export type TokenizerStep = z.output<typeof stepSchema>;

/** Where a step is written, for messages. */
export interface Place {
  readonly file: string;
  readonly field: string; // dotted path
}

const stepsMax = 64; // steps in one list; published files have fewer than 20

/** Throws CheckpointError. */
export function parseSteps(steps: unknown, place: Place): TokenizerStep[] {
  const parsed = z.array(stepSchema).max(stepsMax).safeParse(steps);
  if (!parsed.success) throw new CheckpointError(parsed.error.issues[0]!.message, place);
  return parsed.data;
}

/** Throws CheckpointError when there is no such string. */
export function stringField(step: TokenizerStep, name: string, place: Place): string {
  const value = step[name];
  if (typeof value === 'string') return value;
  throw new CheckpointError('expected a string', { file: place.file, field: `${place.field}.${name}` });
}

const patternSchema = z.union([
  z.strictObject({ String: z.string().min(1) }),
  z.strictObject({ Regex: z.string().min(1) }),
]);

/** A global, Unicode-aware expression that matches what Oniguruma matches. Throws CheckpointError. */
export function compileSplitPattern(pattern: unknown, place: Place): RegExp {
  const parsed = patternSchema.safeParse(pattern);
  if (!parsed.success) throw new CheckpointError('expected { String } or { Regex }', place);
  if ('String' in parsed.data) return new RegExp(escapeRegex(parsed.data.String), 'gu');
  let compiled: unknown;
  try {
    const { pre_tokenizer: split } = new PatternReader(
      {
        normalizer: null,
        pre_tokenizer: { type: 'Split', pattern: parsed.data, behavior: 'Isolated', invert: false },
        model: { type: 'BPE', vocab: {}, merges: [] },
        post_processor: null,
        decoder: null,
        added_tokens: [],
      },
      {},
    );
    compiled = (split as { pattern?: unknown } | null)?.pattern;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`is not supported: ${reason}`, { ...place, cause: error });
  }
  if (compiled instanceof RegExp) return compiled;
  throw new CheckpointError('is not supported', place);
}

function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
