// A grammar that holds from a mark on: what comes before (a model's reasoning) is free, but may not end the answer.
// Before it: server/chat/reasoning.ts; after it: the engine.
import type { TokenConstraint } from '../engine/request.ts';
import type { TokenBytes } from './token-trie.ts';

export interface FreeText {
  readonly mark: Uint8Array;
  readonly tokenizer: Pick<TokenBytes, 'tokenBytes'>;
  readonly mask: Uint32Array; // all tokens but those that end an answer
}

/** The mask of `vocabSize` tokens without some. */
export function maskWithout(ids: readonly number[], vocabSize: number): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocabSize / 32)).fill(0xffffffff);
  if (vocabSize % 32 !== 0) mask[mask.length - 1] = 2 ** (vocabSize % 32) - 1;
  for (const id of ids) mask[id >>> 5]! &= ~(1 << (id & 31));
  return mask;
}

export class ConstraintAfterMark implements TokenConstraint {
  readonly #free: FreeText;
  readonly #inner: TokenConstraint;
  #matched: number; // bytes of the mark

  constructor(free: FreeText, inner: TokenConstraint, matched = 0) {
    this.#free = free;
    this.#inner = inner;
    this.#matched = matched;
  }

  mask(): Uint32Array | null {
    return this.#begun ? this.#inner.mask() : this.#free.mask;
  }

  accept(token: number): void {
    if (this.#begun) {
      this.#inner.accept(token);
      return;
    }
    const { mark, tokenizer } = this.#free;
    const bytes = tokenizer.tokenBytes(token);
    // No mark begins with a part of itself, so a mismatch starts over. What follows the mark in its last token is white space.
    for (let i = 0; i < bytes.length && !this.#begun; i++) {
      if (bytes[i] === mark[this.#matched]) this.#matched++;
      else this.#matched = bytes[i] === mark[0] ? 1 : 0;
    }
  }

  fork(): ConstraintAfterMark {
    return new ConstraintAfterMark(this.#free, this.#inner.fork(), this.#matched);
  }

  get #begun(): boolean {
    return this.#matched === this.#free.mark.length;
  }
}
