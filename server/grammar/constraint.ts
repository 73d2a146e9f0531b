// One sequence's way through a compiled grammar: the engine asks for the mask, draws, and tells what was drawn.
// Holds a state and nothing else, so a copy for drafts costs nothing. Before it: compiler.ts and the engine.
import type { TokenConstraint } from '../engine/request.ts';
import type { Pushdown, PushdownState } from './pushdown.ts';
import type { TokenMasks } from './token-masks.ts';
import type { TokenBytes } from './token-trie.ts';

export interface ConstraintParts {
  readonly pushdown: Pushdown;
  readonly masks: TokenMasks;
  readonly tokenizer: TokenBytes;
}

export class GrammarConstraint implements TokenConstraint {
  readonly #parts: ConstraintParts;
  #state: PushdownState | null; // null: the text has ended, or a token came that was not allowed

  constructor(parts: ConstraintParts, state: PushdownState | null = parts.pushdown.start) {
    this.#parts = parts;
    this.#state = state;
  }

  /** The text so far is a whole one: it could end here. */
  get complete(): boolean {
    return this.#state?.complete ?? false;
  }

  /** Stop tokens exactly where the text may end; only they once it has ended. */
  mask(): Uint32Array {
    const { masks, pushdown } = this.#parts;
    if (this.#state !== null) return masks.of(this.#state, pushdown);
    const mask = new Uint32Array(masks.wordCount);
    for (const id of masks.stopTokenIds) mask[id >>> 5]! |= 1 << (id & 31);
    return mask;
  }

  accept(token: number): void {
    const { pushdown, masks, tokenizer } = this.#parts;
    if (masks.stopTokenIds.includes(token) || tokenizer.isSpecial(token)) this.#state = null;
    const bytes = this.#state === null ? none : tokenizer.tokenBytes(token);
    for (let i = 0; i < bytes.length && this.#state !== null; i++) {
      this.#state = pushdown.step(this.#state, bytes[i]!);
    }
  }

  /** Independent of this one from now on: to look ahead over drafts. */
  fork(): GrammarConstraint {
    return new GrammarConstraint(this.#parts, this.#state);
  }
}

const none = new Uint8Array(0);
