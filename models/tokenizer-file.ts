// tokenizer.json, checked: byte-level BPE as in the GPT-2, Llama 3, Qwen2 and DeepSeek families. Whatever would be
// encoded differently from Hugging Face tokenizers is refused with the field's name, never approximated.
// Before it: model-file.ts; after it: tokenizer.ts and byte-pair-encoder.ts.
import { z } from 'zod';
import { CheckpointError, readJson } from './model-file.ts';

const tokenIdMax = 2 ** 21 - 1; // eight times the largest published vocabulary; pairs of ids must fit 53 bits

const stepSchema = z.looseObject({ type: z.string() });
type Step = z.output<typeof stepSchema>;

const tokenId = z.int().min(0).max(tokenIdMax);
const fileSchema = z.looseObject({
  added_tokens: z
    .array(
      z.looseObject({
        id: tokenId,
        content: z.string().min(1),
        single_word: z.literal(false).optional(),
        lstrip: z.literal(false).optional(),
        rstrip: z.literal(false).optional(),
        normalized: z.boolean().optional(),
        special: z.boolean().default(false),
      }),
    )
    .default([]),
  normalizer: stepSchema.nullish(),
  pre_tokenizer: stepSchema.nullish(),
  post_processor: stepSchema.nullish(),
  decoder: stepSchema.nullish(),
  model: z.looseObject({
    type: z.literal('BPE').default('BPE'), // older files leave it out
    dropout: z.literal(0).nullish(),
    continuing_subword_prefix: z.literal('').nullish(),
    end_of_word_suffix: z.literal('').nullish(),
    ignore_merges: z.boolean().default(false),
    vocab: z.unknown(), // 10⁵ entries: checked by checkVocab
    merges: z.unknown(), // the same: checked by checkMerges
  }),
});
type TokenizerJson = z.output<typeof fileSchema>;

export interface AddedToken {
  readonly id: number;
  readonly text: string;
  readonly special: boolean; // control tokens: no text of their own when decoded
  readonly normalized: boolean; // looked for in the normalised text
}

export interface TokenizerFile {
  readonly path: string;
  readonly addedTokens: readonly AddedToken[];
  readonly vocab: ReadonlyMap<string, number>; // in stand-in characters (byte-level.ts); without added tokens
  readonly merges: readonly (readonly [string, string])[]; // by falling priority
  readonly ignoreMerges: boolean; // a piece that is a token as a whole is not merged up from bytes
  readonly normalizer: Step | null; // for @huggingface/tokenizers
  readonly splits: Step; // for @huggingface/tokenizers: the pre-tokeniser without its bytes
  readonly startIds: readonly number[]; // what a bare prompt begins with, such as <|begin_of_text|>
}

/** Throws CheckpointError when the file is missing, malformed, or not a byte-level BPE that we encode exactly. */
export function readTokenizerFile(path: string): TokenizerFile {
  const json = readJson(path, fileSchema);
  if (json.decoder?.type !== 'ByteLevel') {
    throw new CheckpointError('only ByteLevel is supported', { file: path, field: 'decoder.type' });
  }
  const vocab = checkVocab(path, json.model.vocab);
  return {
    path,
    addedTokens: json.added_tokens.map(({ id, content, special, normalized }) => ({
      id,
      text: content,
      special,
      normalized: (normalized ?? !special) && json.normalizer != null,
    })),
    vocab,
    merges: checkMerges(path, json.model.merges),
    ignoreMerges: json.model.ignore_merges,
    normalizer: checkNormalizer(path, json.normalizer ?? null),
    splits: { type: 'Sequence', pretokenizers: splitSteps(path, json.pre_tokenizer) },
    startIds: startIds(json),
  };
}

function checkVocab(file: string, vocab: unknown): ReadonlyMap<string, number> {
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab)) {
    throw new CheckpointError('expected an object', { file, field: 'model.vocab' });
  }
  const tokens = new Map<string, number>();
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isInteger(id) || id < 0 || id > tokenIdMax) {
      throw new CheckpointError(`${id} is not an integer from 0 to ${tokenIdMax}`, {
        file,
        field: `model.vocab.${token}`,
      });
    }
    tokens.set(token, id);
  }
  return tokens;
}

/** Two dialects: "a b", and ["a", "b"] since tokenizers 0.20. */
function checkMerges(file: string, merges: unknown): readonly (readonly [string, string])[] {
  if (!Array.isArray(merges)) {
    throw new CheckpointError('expected an array', { file, field: 'model.merges' });
  }
  return merges.map((merge: unknown, index) => {
    const pair = typeof merge === 'string' ? merge.split(' ') : merge;
    if (Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === 'string' && part)) {
      return pair as unknown as readonly [string, string];
    }
    throw new CheckpointError('expected two tokens', { file, field: `model.merges.${index}` });
  });
}

function checkNormalizer(file: string, step: Step | null, field = 'normalizer'): Step | null {
  if (step === null) return null;
  if (['NFC', 'NFD', 'NFKC', 'NFKD'].includes(step.type)) return step;
  if (step.type !== 'Sequence') {
    throw new CheckpointError(`${step.type} is not supported`, { file, field: `${field}.type` });
  }
  const inner = parseSteps(file, step['normalizers'], `${field}.normalizers`);
  for (const [index, part] of inner.entries()) {
    checkNormalizer(file, part, `${field}.normalizers.${index}`);
  }
  return step;
}

function parseSteps(file: string, steps: unknown, field: string): Step[] {
  const parsed = z.array(stepSchema).max(32).safeParse(steps);
  if (!parsed.success) throw new CheckpointError(parsed.error.issues[0]!.message, { file, field });
  return parsed.data;
}

/**
 * The regular expressions of the pre-tokeniser, as Split steps that @huggingface/tokenizers translates to
 * JavaScript exactly. The ByteLevel step at the end, whose bytes byte-pair-encoder.ts makes, leaves only its regex.
 */
function splitSteps(file: string, preTokenizer: Step | null | undefined): Step[] {
  const field = 'pre_tokenizer';
  const steps =
    preTokenizer?.type === 'Sequence'
      ? parseSteps(file, preTokenizer['pretokenizers'], `${field}.pretokenizers`)
      : preTokenizer
        ? [preTokenizer]
        : [];
  const last = steps.pop();
  if (last?.type !== 'ByteLevel') {
    throw new CheckpointError('must end in ByteLevel: only byte-level BPE is supported', { file, field });
  }
  if (last['add_prefix_space'] === true) {
    throw new CheckpointError('true is not supported', { file, field: `${field}.add_prefix_space` });
  }
  const splits = steps.map((step, index) => splitStep(file, step, `${field}.pretokenizers.${index}`));
  if (last['use_regex'] !== false) splits.push(isolate(gpt2Pattern));
  return splits;
}

// What ByteLevel splits by itself; source: GPT-2's encoder, kept by Hugging Face tokenizers.
const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

function isolate(pattern: string): Step {
  return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
}

function splitStep(file: string, step: Step, field: string): Step {
  // The package's Digits knows ASCII only; tokenizers splits at every numeric character.
  if (step.type === 'Digits') return isolate(step['individual_digits'] === true ? '\\p{N}' : '\\p{N}+');
  const removesRest = step['behavior'] === 'Removed' && step['invert'] === true;
  const isolates = step['behavior'] === 'Isolated' && step['invert'] !== true;
  if (step.type === 'Split' && (isolates || removesRest)) return step;
  throw new CheckpointError(`${JSON.stringify(step).slice(0, 100)} is not supported`, { file, field });
}

const templateSchema = z.looseObject({
  single: z.array(z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }).optional() })),
  special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(tokenId) })),
});

/** The tokens that the post-processor puts before a text; none without a template. */
function startIds(json: TokenizerJson): readonly number[] {
  const processor = json.post_processor;
  const steps: unknown = processor?.type === 'Sequence' ? processor['processors'] : [processor];
  for (const step of Array.isArray(steps) ? steps : []) {
    const template = templateSchema.safeParse(step);
    if (!template.success) continue;
    const start = template.data.single.findIndex((part) => !part.SpecialToken);
    const parts = start < 0 ? [] : template.data.single.slice(0, start);
    return parts.flatMap((part) => template.data.special_tokens[part.SpecialToken!.id]?.ids ?? []);
  }
  return [];
}
