// Unigram: one piece of text → the token ids whose scores add up to the most. Owns the vocabulary as a tree and the
// Viterbi search; the rules for unknown characters are those of Hugging Face tokenizers. Before it: tokenizer.ts.
import { CheckpointError } from '../files/model-file.ts';
import { PieceCache } from './piece-cache.ts';
import { PrefixTree } from './prefix-tree.ts';
import { byteTokens } from './token-fallback.ts';
import type { UnigramModel } from './tokenizer-file.ts';

const unknownPenalty = 10; // log-probability below the least token; source: kUnkPenalty of SentencePiece

export class UnigramEncoder {
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #tree = new PrefixTree<number>();
  readonly #model: UnigramModel;
  readonly #unknownId: number;
  readonly #unknownScore: number;
  readonly #cache = new PieceCache();

  /** Throws CheckpointError when there is no token for what is unknown. */
  constructor(settings: {
    readonly path: string; // for messages
    readonly vocab: ReadonlyMap<string, number>;
    readonly model: UnigramModel;
  }) {
    this.#vocab = settings.vocab;
    this.#model = settings.model;
    if (settings.model.unknownId === null) {
      throw new CheckpointError('is missing', { file: settings.path, field: 'model.unk_id' });
    }
    this.#unknownId = settings.model.unknownId;
    let least = Number.POSITIVE_INFINITY;
    for (const score of settings.model.scores.values()) least = Math.min(least, score);
    this.#unknownScore = least - unknownPenalty;
    for (const [token, id] of settings.vocab) if (token !== '') this.#tree.add(token, id);
  }

  /** Ids of one piece; the array is shared and must not be written. `piece` is well-formed. */
  encode(piece: string): Int32Array {
    return this.#cache.ids(piece, () => this.#spell(piece, this.#search(piece)));
  }

  /** Where the best path's tokens begin, by where they end, and their ids; -1 = unknown. */
  #search(piece: string): { starts: Int32Array; ids: Int32Array } {
    const scores = new Float64Array(piece.length + 1).fill(Number.NEGATIVE_INFINITY);
    const starts = new Int32Array(piece.length + 1).fill(-1);
    const ids = new Int32Array(piece.length + 1);
    scores[0] = 0;
    for (let start = 0; start < piece.length; ) {
      const width = piece.codePointAt(start)! > 0xffff ? 2 : 1;
      let hasSingle = false;
      const offer = (length: number, id: number, score: number) => {
        const end = start + length;
        const sum = scores[start]! + score;
        if (starts[end] !== -1 && sum <= scores[end]!) return;
        scores[end] = sum;
        starts[end] = start;
        ids[end] = id;
      };
      this.#tree.visit(piece, start, (id, length) => {
        offer(length, id, this.#model.scores.get(id)!);
        hasSingle ||= length === width;
      });
      if (!hasSingle) offer(width, -1, this.#unknownScore);
      start += width;
    }
    return { starts, ids };
  }

  #spell(piece: string, { starts, ids }: { starts: Int32Array; ids: Int32Array }): Int32Array {
    const reversed: number[] = [];
    for (let end = piece.length; end > 0; ) {
      let start = starts[end]!;
      if (ids[end] !== -1) {
        reversed.push(ids[end]!);
      } else {
        while (start > 0 && ids[start] === -1) start = starts[start]!; // unknown characters in a row are one
        const unknown = piece.slice(start, end);
        const bytes = this.#model.toBytes ? byteTokens(unknown, this.#vocab) : null;
        reversed.push(...(bytes ? [...bytes].reverse() : [this.#unknownId]));
      }
      end = start;
    }
    return Int32Array.from(reversed.reverse());
  }
}
