// WordPiece: one word → the longest tokens that spell it from the left; a word with a part that has no token is unknown
// as a whole. The rules are those of Hugging Face tokenizers. Before it: tokenizer.ts.
import { PieceCache } from './piece-cache.ts';
import type { WordPieceModel } from './tokenizer-file.ts';

export class WordPieceEncoder {
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #model: WordPieceModel;
  readonly #tokenLengthMax: number; // UTF-16 units
  readonly #cache = new PieceCache();

  constructor(settings: { readonly vocab: ReadonlyMap<string, number>; readonly model: WordPieceModel }) {
    this.#vocab = settings.vocab;
    this.#model = settings.model;
    let longest = 0;
    for (const token of settings.vocab.keys()) longest = Math.max(longest, token.length);
    this.#tokenLengthMax = longest;
  }

  /** Ids of one word; the array is shared and must not be written. */
  encode(word: string): Int32Array {
    return this.#cache.ids(word, () => this.#search(word));
  }

  #search(word: string): Int32Array {
    const { prefix, wordLengthMax, unknownId } = this.#model;
    const unknown = Int32Array.of(unknownId);
    if (word.length > 2 * wordLengthMax || [...word].length > wordLengthMax) return unknown;
    const ids: number[] = [];
    for (let at = 0; at < word.length; ) {
      let end = Math.min(word.length, at + this.#tokenLengthMax);
      let id: number | undefined;
      for (; end > at; end--) {
        const part = word.slice(at, end);
        id = this.#vocab.get(at === 0 ? part : prefix + part);
        if (id !== undefined) break;
      }
      if (id === undefined) return unknown;
      ids.push(id);
      at = end;
    }
    return Int32Array.from(ids);
  }
}
