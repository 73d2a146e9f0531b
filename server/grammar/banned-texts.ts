// Texts that an answer may not hold (`bad_words`), however they are cut into tokens: an automaton over bytes knows how much
// of one stands at the end of the answer, and masks the tokens that would complete it. Control tokens are in no text and stay
// free. Owns the automaton and its masks, shared by a request's choices. Before it: compiler.ts; after it: the engine.
import type { TokenConstraint } from '../engine/request.ts';
import { maskWithout } from './after-mark.ts';
import type { TokenBytes, TokenTrie } from './token-trie.ts';

export interface BannedParts {
  readonly trie: TokenTrie;
  readonly tokenizer: TokenBytes;
  readonly vocabSize: number; // the model's
}

const root = 0;

export class BannedTexts {
  readonly #parts: BannedParts;
  readonly #next: Int32Array; // [states, 256] Aho and Corasick's automaton, complete
  readonly #whole: Uint8Array; // [states] 1: a banned text ends here
  readonly #masks = new Map<number, Uint32Array>(); // by state, as they are needed

  /** `texts`: none empty; states are at most their bytes and one. */
  constructor(texts: readonly string[], parts: BannedParts) {
    this.#parts = parts;
    const encoder = new TextEncoder();
    const words = texts.map((text) => encoder.encode(text));
    const capacity = 1 + words.reduce((sum, word) => sum + word.length, 0);
    this.#next = new Int32Array(256 * capacity).fill(-1);
    this.#whole = new Uint8Array(capacity);
    let count = 1;
    for (const word of words) {
      let state = root;
      for (const byte of word) {
        const at = 256 * state + byte;
        if (this.#next[at] === -1) this.#next[at] = count++;
        state = this.#next[at]!;
      }
      this.#whole[state] = 1;
    }
    this.#complete(count);
  }

  newConstraint(): TokenConstraint {
    return new BannedTextsConstraint(this, root);
  }

  mask(state: number): Uint32Array {
    let mask = this.#masks.get(state);
    if (mask === undefined) {
      mask = this.#maskOf(state);
      this.#masks.set(state, mask);
    }
    return mask;
  }

  /** After one more token; a text that was completed all the same begins anew. */
  after(state: number, token: number): number {
    const { tokenizer } = this.#parts;
    if (tokenizer.isSpecial(token)) return state;
    let now = state;
    for (const byte of tokenizer.tokenBytes(token)) now = this.#next[256 * now + byte]!;
    return now;
  }

  /** Missing ways lead where the longest end that begins a text would go on; breadth first, so that is known. */
  #complete(count: number): void {
    const next = this.#next;
    const fallback = new Int32Array(count);
    const queue: number[] = [root];
    for (const state of queue) {
      for (let byte = 0; byte < 256; byte++) {
        const at = 256 * state + byte;
        const otherwise = state === root ? root : next[256 * fallback[state]! + byte]!;
        if (next[at] === -1) next[at] = otherwise;
        else {
          const child = next[at]!;
          fallback[child] = otherwise;
          this.#whole[child]! |= this.#whole[otherwise]!;
          queue.push(child);
        }
      }
    }
  }

  #maskOf(start: number): Uint32Array {
    const { trie, vocabSize } = this.#parts;
    const { nodeCount, byte, depth, end, tokenStart, tokens } = trie;
    const mask = maskWithout([], vocabSize);
    const path = new Int32Array(trie.depthMax + 1);
    path[0] = start;
    for (let node = 0; node < nodeCount; ) {
      const at = depth[node]!;
      const state = this.#next[256 * path[at - 1]! + byte[node]!]!;
      path[at] = state;
      if (this.#whole[state] === 0) {
        node++;
        continue;
      }
      for (let t = tokenStart[node]!; t < tokenStart[end[node]!]!; t++)
        mask[tokens[t]! >>> 5]! &= ~(1 << (tokens[t]! & 31));
      node = end[node]!;
    }
    return mask;
  }
}

class BannedTextsConstraint implements TokenConstraint {
  readonly #texts: BannedTexts;
  #state: number;

  constructor(texts: BannedTexts, state: number) {
    this.#texts = texts;
    this.#state = state;
  }

  mask(): Uint32Array {
    return this.#texts.mask(this.#state);
  }

  accept(token: number): void {
    this.#state = this.#texts.after(this.#state, token);
  }

  fork(): TokenConstraint {
    return new BannedTextsConstraint(this.#texts, this.#state);
  }
}
