// Text ⇄ token ids. Added tokens are cut out first, the rest is normalised, cut into pieces and encoded; decoding is by
// bytes, token by token. Owns the tokens' bytes. Adds no tokens of its own accord. Before it: tokenizer-file.ts,
// template/chat-template.ts and the API routes; after it: the engine.
import { type AddedToken, AddedTokens } from './added-tokens.ts';
import { BytePairEncoder } from './byte-pair-encoder.ts';
import { unguarded } from './text-guard.ts';
import type { TokenizerFile } from './tokenizer-file.ts';
import { UnigramEncoder } from './unigram-encoder.ts';
import { WordPieceEncoder } from './word-piece-encoder.ts';

/**
 * What control tokens written in a text are. raw: themselves, as in a prompt that somebody wrote by hand. guarded:
 * themselves where a template wrote them, text where a caller did (text-guard.ts). plain: text.
 */
export type EncodeMode = 'raw' | 'guarded' | 'plain';

export class Tokenizer {
  readonly vocabSize: number; // ids are below it; some may mean nothing
  readonly startIds: readonly number[]; // what a bare prompt begins with (Llama 3: <|begin_of_text|>); often empty
  readonly endIds: readonly number[]; // what a text to be embedded ends with ([SEP])
  readonly controlTexts: readonly string[]; // spellings of control tokens
  readonly addedTexts: readonly string[]; // of all tokens that are looked for before the text is cut up
  readonly #file: TokenizerFile;
  readonly #encoder: BytePairEncoder | UnigramEncoder | WordPieceEncoder;
  readonly #added = new Map<string, AddedToken>();
  readonly #specialIds = new Set<number>();
  readonly #raw: AddedTokens; // looked for in the text as it came
  readonly #normalized: AddedTokens; // looked for after normalising
  readonly #bytes: TokenBytes;

  constructor(file: TokenizerFile) {
    this.#file = file;
    this.#encoder = encoderOf(file);
    this.startIds = file.startIds;
    this.endIds = file.endIds;
    for (const token of file.addedTokens) {
      this.#added.set(token.text, token);
      if (token.special) this.#specialIds.add(token.id);
    }
    const ofKind = (isNormalized: boolean) =>
      new AddedTokens(
        file.addedTokens.filter((token) => token.normalized === isNormalized),
        (token) => writtenAs(token, file),
      );
    this.#raw = ofKind(false);
    this.#normalized = ofKind(true);
    this.controlTexts = file.addedTokens.filter(isControl).map(({ text }) => text);
    this.addedTexts = file.addedTokens.map(({ text }) => text);
    this.#bytes = layOutBytes(file);
    this.vocabSize = this.#bytes.offsets.length - 1;
  }

  /** Nothing is added. Takes about 0.2 ms per 1,000 characters. */
  encode(text: string, mode: EncodeMode = 'raw'): Int32Array {
    const { normalize, splitter } = this.#file;
    const skip = mode === 'plain' ? isControl : keepAll;
    const ids: number[] = [];
    for (const section of this.#raw.split(text.replace(loneSurrogates, '\ufffd'), skip)) {
      if (section.token) {
        ids.push(section.token.id);
        continue;
      }
      for (const part of this.#normalized.split(normalize(section.text), skip)) {
        if (part.token) {
          ids.push(part.token.id);
          continue;
        }
        const meant = mode === 'guarded' ? unguarded(part.text) : part.text;
        for (const piece of splitter.split(meant, section.atStart && part.atStart)) {
          const pieceIds = this.#encoder.encode(piece);
          for (let i = 0; i < pieceIds.length; i++) ids.push(pieceIds[i]!);
        }
      }
    }
    return Int32Array.from(ids);
  }

  /** The text of the ids; special and unknown ones give '', invalid bytes U+FFFD. */
  decode(
    ids: ArrayLike<number>,
    options: { readonly keepSpecial: boolean } = { keepSpecial: false },
  ): string {
    const parts: Uint8Array[] = [];
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (options.keepSpecial || !this.isSpecial(id)) parts.push(this.tokenBytes(id));
    }
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(parts));
    let stripped = 0;
    while (stripped < this.#file.spelling.strippedSpaces && text[stripped] === ' ') stripped++;
    return text.slice(stripped);
  }

  /** The bytes that a token stands for, which need not be whole characters. A view: not to be written. */
  tokenBytes(id: number): Uint8Array {
    const { offsets, pool } = this.#bytes;
    const isKnown = Number.isInteger(id) && id >= 0 && id < this.vocabSize;
    return isKnown ? pool.subarray(offsets[id], offsets[id + 1]) : pool.subarray(0, 0);
  }

  /** Id of the added token written exactly so (`<|im_end|>`), special or not; null when there is none. */
  specialTokenId(text: string): number | null {
    return this.#added.get(text)?.id ?? null;
  }

  /** Texts of the added tokens whose ids a model of this vocabulary lacks; null when it lacks an ordinary token too. */
  addedFrom(vocabSize: number): readonly string[] | null {
    if (this.vocabSize <= vocabSize) return [];
    for (const id of this.#file.vocab.values()) if (id >= vocabSize) return null;
    return this.#file.addedTokens.filter(({ id }) => id >= vocabSize).map(({ text }) => text);
  }

  /** True for control tokens, which have no text of their own. */
  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }
}

function encoderOf({ path, vocab, model, splitter }: TokenizerFile) {
  switch (model.kind) {
    case 'bpe':
      return new BytePairEncoder({ path, vocab, model, alphabet: splitter.alphabet });
    case 'unigram':
      return new UnigramEncoder({ path, vocab, model });
    case 'wordpiece':
      return new WordPieceEncoder({ vocab, model });
  }
}

/** Several vocabularies do not mark their control tokens as special; their form gives them away. */
function isControl({ special, text }: AddedToken): boolean {
  return special || /^<[|｜].+[|｜]>$|^<[|｜]?fim[_▁-]\w+[|｜]?>$/.test(text);
}

interface TokenBytes {
  readonly pool: Uint8Array; // all tokens' bytes, by id
  readonly offsets: Uint32Array; // [vocabSize + 1] token id is pool[offsets[id] .. offsets[id + 1]]
}

function layOutBytes(file: TokenizerFile): TokenBytes {
  const { vocab, addedTokens, spelling } = file;
  const utf8 = new TextEncoder();
  const tokens: Uint8Array[] = [];
  for (const [token, id] of vocab) tokens[id] = spelling.bytesOf(token);
  for (const token of addedTokens) {
    const isText = file.model.kind !== 'wordpiece' && (token.special || file.splitter.alphabet === 'bytes');
    const text = writtenAs(token, file);
    tokens[token.id] = isText ? utf8.encode(text) : spelling.bytesOf(text);
  }
  const offsets = new Uint32Array(tokens.length + 1);
  for (let id = 0; id < tokens.length; id++) offsets[id + 1] = offsets[id]! + (tokens[id]?.length ?? 0);
  const pool = new Uint8Array(offsets[tokens.length]!);
  for (let id = 0; id < tokens.length; id++) pool.set(tokens[id] ?? [], offsets[id]);
  return { pool, offsets };
}

/** What an added token looks like in the text where it is looked for. */
function writtenAs(token: AddedToken, file: TokenizerFile): string {
  return token.normalized ? file.normalize(token.text) : token.text;
}

const loneSurrogates = /\p{Surrogate}/gu; // U+FFFD, as in UTF-8
const keepAll = (): boolean => false;
