// tokenizer.json, checked: BPE over bytes (GPT-2, Llama 3, Qwen2, DeepSeek) or over characters (Llama 2, Gemma),
// Unigram and WordPiece. Whatever would be encoded differently from Hugging Face tokenizers is refused with the field's name, never
// approximated. Before it: files/model-file.ts; after it: tokenizer.ts. gguf/gguf-tokenizer.ts makes the same of a GGUF file.
import { z } from 'zod';
import { CheckpointError, readJson } from '../files/model-file.ts';
import type { AddedToken } from './added-tokens.ts';
import { type TextFrame, textFrame } from './text-frame.ts';
import { compileNormalizer, type Normalize } from './text-normalizer.ts';
import { compileSplitter, type TextSplitter } from './text-splitter.ts';
import { type TokenSpelling, tokenSpelling } from './token-spelling.ts';
import { stepSchema } from './tokenizer-step.ts';

const tokenIdMax = 2 ** 21 - 1; // eight times the largest published vocabulary; pairs of ids must fit 53 bits
const addedTokensMax = 2 ** 16; // Gemma 3 has 6,415

const tokenId = z.int().min(0).max(tokenIdMax);
const fileSchema = z.looseObject({
  added_tokens: z
    .array(
      z.looseObject({
        id: tokenId,
        content: z.string().min(1),
        single_word: z.boolean().default(false),
        lstrip: z.boolean().default(false),
        rstrip: z.boolean().default(false),
        normalized: z.boolean().optional(),
        special: z.boolean().default(false),
      }),
    )
    .max(addedTokensMax)
    .default([]),
  normalizer: stepSchema.nullish(),
  pre_tokenizer: stepSchema.nullish(),
  post_processor: stepSchema.nullish(),
  decoder: stepSchema.nullish(),
  model: z.looseObject({
    type: z.enum(['BPE', 'Unigram', 'WordPiece']).optional(), // older files leave it out
    dropout: z.literal(0).nullish(),
    continuing_subword_prefix: z.string().nullish(),
    max_input_chars_per_word: z.int().positive().default(100),
    end_of_word_suffix: z.literal('').nullish(),
    ignore_merges: z.boolean().default(false),
    byte_fallback: z.boolean().default(false),
    fuse_unk: z.boolean().default(false),
    unk_token: z.string().nullish(),
    unk_id: tokenId.nullish(),
    vocab: z.unknown().optional(), // 10⁵ entries: checked by checkVocab
    merges: z.unknown().optional(), // the same: checked by checkMerges; Unigram has none
  }),
});
type TokenizerJson = z.output<typeof fileSchema>;

export interface TokenizerFile extends TextFrame {
  readonly path: string;
  readonly addedTokens: readonly AddedToken[];
  readonly vocab: ReadonlyMap<string, number>; // in the splitter's alphabet; without added tokens
  readonly model: BpeModel | UnigramModel | WordPieceModel;
  readonly normalize: Normalize;
  readonly splitter: TextSplitter;
  readonly spelling: TokenSpelling;
}

/** What becomes of a character that the vocabulary lacks. */
export interface Fallback {
  readonly toBytes: boolean; // <0x0A> and its like, where the vocabulary has them
  readonly unknownId: number | null; // else this; null: it is dropped
  readonly fuses: boolean; // several unknown characters in a row are one token
}

export interface BpeModel extends Fallback {
  readonly kind: 'bpe';
  readonly merges: readonly (readonly [string, string])[];
  readonly ranks: Int32Array | null; // [merges] lower first, equal ones leftmost first; null: their order
  readonly ignoreMerges: boolean; // a piece that is a token as a whole is not merged up
}

export interface UnigramModel extends Fallback {
  readonly kind: 'unigram';
  readonly scores: ReadonlyMap<number, number>; // id → log-probability
}

export interface WordPieceModel {
  readonly kind: 'wordpiece';
  readonly prefix: string; // of tokens that go on with a word
  readonly wordLengthMax: number; // characters; longer words are unknown
  readonly unknownId: number;
}

/** Throws CheckpointError when the file is missing, malformed, or no tokenizer that we encode exactly. */
export function readTokenizerFile(path: string): TokenizerFile {
  const json = readJson(path, fileSchema);
  const normalize = compileNormalizer(json.normalizer ?? null, { file: path, field: 'normalizer' });
  const splitter = compileSplitter(json.pre_tokenizer ?? null, { file: path, field: 'pre_tokenizer' });
  const { vocab, model } = readModel(path, json);
  return {
    path,
    addedTokens: json.added_tokens.map((token) => ({
      id: token.id,
      text: token.content,
      special: token.special,
      normalized: (token.normalized ?? !token.special) && json.normalizer != null,
      takesLeft: token.lstrip,
      takesRight: token.rstrip,
      wholeWord: token.single_word,
    })),
    vocab,
    model,
    normalize,
    splitter,
    spelling: tokenSpelling(json.decoder ?? null, splitter.alphabet, { file: path, field: 'decoder' }),
    ...textFrame(json.post_processor ?? null),
  };
}

function readModel(path: string, json: TokenizerJson): Pick<TokenizerFile, 'vocab' | 'model'> {
  const { type, continuing_subword_prefix: prefix } = json.model;
  if (type === 'Unigram') {
    const { vocab, scores } = checkScoredVocab(path, json.model.vocab);
    const fallback = readFallback(path, json, vocab);
    return { vocab, model: { kind: 'unigram', scores, ...fallback, fuses: true } };
  }
  const vocab = checkVocab(path, json.model.vocab);
  const fallback = readFallback(path, json, vocab);
  if (type === 'WordPiece') return { vocab, model: wordPiece(path, json, fallback.unknownId) };
  if (prefix) {
    const field = 'model.continuing_subword_prefix';
    throw new CheckpointError(`${JSON.stringify(prefix)} is not supported (only none)`, {
      file: path,
      field,
    });
  }
  const merges = checkMerges(path, json.model.merges);
  const { ignore_merges: ignoreMerges } = json.model;
  return { vocab, model: { kind: 'bpe', merges, ranks: null, ignoreMerges, ...fallback } };
}

function wordPiece(file: string, { model }: TokenizerJson, unknownId: number | null): WordPieceModel {
  if (unknownId === null) throw new CheckpointError('is missing', { file, field: 'model.unk_token' });
  const prefix = model.continuing_subword_prefix ?? '##';
  return { kind: 'wordpiece', prefix, wordLengthMax: model.max_input_chars_per_word, unknownId };
}

function readFallback(file: string, { model }: TokenizerJson, vocab: ReadonlyMap<string, number>): Fallback {
  const { byte_fallback: toBytes, fuse_unk: fuses } = model;
  if (model.unk_token == null) return { toBytes, fuses, unknownId: model.unk_id ?? null };
  const unknownId = vocab.get(model.unk_token);
  // Hugging Face tokenizers looks it up in the vocabulary proper, and fails at the first unknown character.
  if (unknownId !== undefined) return { toBytes, fuses, unknownId };
  throw new CheckpointError(`${JSON.stringify(model.unk_token)} is not in the vocabulary`, {
    file,
    field: 'model.unk_token',
  });
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

/** Unigram: [token, log-probability] by id. */
function checkScoredVocab(
  file: string,
  vocab: unknown,
): { vocab: ReadonlyMap<string, number>; scores: ReadonlyMap<number, number> } {
  if (!Array.isArray(vocab) || vocab.length > tokenIdMax) {
    throw new CheckpointError('expected an array', { file, field: 'model.vocab' });
  }
  const ids = new Map<string, number>();
  const scores = new Map<number, number>();
  for (const [id, entry] of vocab.entries()) {
    const [token, score] = Array.isArray(entry) ? entry : [];
    if (typeof token !== 'string' || typeof score !== 'number') {
      throw new CheckpointError('expected [token, score]', { file, field: `model.vocab.${id}` });
    }
    ids.set(token, id);
    scores.set(id, score);
  }
  return { vocab: ids, scores };
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
