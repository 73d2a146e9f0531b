// Text ⇄ token ids. @huggingface/tokenizers normalises and cuts the text into pieces (its translation of the
// pre-tokeniser's regular expressions is the hard part); byte-pair-encoder.ts makes ids of them; decoding is by
// bytes. Adds no tokens of its own accord. Before it: chat-template.ts and the API routes; after it: the engine.
import { join } from 'node:path';
import { Tokenizer as TextSplitter } from '@huggingface/tokenizers';
import { characterBytes } from './byte-level.ts';
import { BytePairEncoder } from './byte-pair-encoder.ts';
import { type AddedToken, readTokenizerFile, type TokenizerFile } from './tokenizer-file.ts';

export class Tokenizer {
  readonly vocabSize: number; // ids are below it; some may mean nothing
  readonly startIds: readonly number[]; // what a bare prompt begins with (Llama 3: <|begin_of_text|>); often empty
  readonly #pairs: BytePairEncoder;
  readonly #added = new Map<string, AddedToken>();
  readonly #specialIds = new Set<number>();
  readonly #rawSplitter: RegExp | null; // finds added tokens in the text as it came
  readonly #normalizedSplitter: RegExp | null; // finds those that are looked for after normalising
  readonly #normalize: (text: string) => string;
  readonly #cut: (text: string) => string[];
  readonly #bytes: TokenBytes;

  /** Reads `tokenizer.json`. Throws CheckpointError when it is missing or is no byte-level BPE. */
  static load(directory: string): Tokenizer {
    return new Tokenizer(readTokenizerFile(join(directory, 'tokenizer.json')));
  }

  constructor(file: TokenizerFile) {
    this.#pairs = new BytePairEncoder(file);
    this.startIds = file.startIds;
    const { normalizer, pre_tokenizer: preTokenizer } = new TextSplitter(
      {
        normalizer: file.normalizer,
        pre_tokenizer: file.splits,
        model: { type: 'BPE', vocab: {}, merges: [] },
        post_processor: null,
        decoder: null,
        added_tokens: [],
      },
      {},
    );
    this.#normalize = (text) => normalizer?.normalize(text) ?? text;
    this.#cut = (text) => preTokenizer!.pre_tokenize(text);
    const texts = { raw: [] as string[], normalized: [] as string[] };
    for (const token of file.addedTokens) {
      const text = token.normalized ? this.#normalize(token.text) : token.text;
      texts[token.normalized ? 'normalized' : 'raw'].push(text);
      this.#added.set(text, token);
      if (token.special) this.#specialIds.add(token.id);
    }
    this.#rawSplitter = splitterFor(texts.raw);
    this.#normalizedSplitter = splitterFor(texts.normalized);
    this.#bytes = layOutBytes(file);
    this.vocabSize = this.#bytes.offsets.length - 1;
  }

  /** Special tokens written in the text are recognised, nothing is added. Takes about 0.5 ms per 1,000 characters. */
  encode(text: string): Int32Array {
    const ids: number[] = [];
    for (const section of splitBy(this.#rawSplitter, text)) {
      if (this.#pushAdded(section, ids)) continue;
      for (const part of splitBy(this.#normalizedSplitter, this.#normalize(section))) {
        if (this.#pushAdded(part, ids)) continue;
        for (const piece of this.#cut(part)) {
          const pieceIds = this.#pairs.encode(piece);
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
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(parts));
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

  /** True for control tokens, which have no text of their own. */
  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  #pushAdded(section: string, ids: number[]): boolean {
    const token = this.#added.get(section);
    if (token) ids.push(token.id);
    return token !== undefined;
  }
}

interface TokenBytes {
  readonly pool: Uint8Array; // all tokens' bytes, by id
  readonly offsets: Uint32Array; // [vocabSize + 1] token id is pool[offsets[id] .. offsets[id + 1]]
}

function layOutBytes(file: TokenizerFile): TokenBytes {
  const utf8 = new TextEncoder();
  const byteOf = characterBytes();
  const tokens: Uint8Array[] = [];
  // A token that is not in stand-in characters was put into the vocabulary as text.
  for (const [token, id] of file.vocab) tokens[id] = standInBytes(token, byteOf) ?? utf8.encode(token);
  for (const { id, text } of file.addedTokens) tokens[id] = utf8.encode(text);
  const offsets = new Uint32Array(tokens.length + 1);
  for (let id = 0; id < tokens.length; id++) offsets[id + 1] = offsets[id]! + (tokens[id]?.length ?? 0);
  const pool = new Uint8Array(offsets[tokens.length]!);
  for (let id = 0; id < tokens.length; id++) pool.set(tokens[id] ?? [], offsets[id]);
  return { pool, offsets };
}

function standInBytes(token: string, byteOf: ReadonlyMap<string, number>): Uint8Array | null {
  const bytes = new Uint8Array(token.length); // every stand-in is one UTF-16 unit
  for (let i = 0; i < token.length; i++) {
    const byte = byteOf.get(token[i]!);
    if (byte === undefined) return null;
    bytes[i] = byte;
  }
  return bytes;
}

/** Leftmost, then longest: alternatives are tried in order. */
function splitterFor(texts: readonly string[]): RegExp | null {
  if (texts.length === 0) return null;
  const longestFirst = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(
    `(${longestFirst.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})`,
    'g',
  );
}

function splitBy(splitter: RegExp | null, text: string): string[] {
  return (splitter ? text.split(splitter) : [text]).filter((part) => part !== '');
}
