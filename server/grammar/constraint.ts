// One sequence's way through a compiled grammar: the engine asks for the mask, draws, and tells what was drawn.
// Holds a state and the keys that it has seen, so a copy for drafts costs nothing. Before it: compiler.ts and the engine.
import type { TokenConstraint } from '../engine/request.ts';
import { KeyMemory, type QuotedTokens } from './key-memory.ts';
import type { Pushdown, PushdownState } from './pushdown.ts';
import type { TokenMasks } from './token-masks.ts';
import type { TokenBytes } from './token-trie.ts';

export interface ConstraintParts {
  readonly pushdown: Pushdown;
  readonly masks: TokenMasks;
  readonly tokenizer: TokenBytes;
  readonly quoted: QuotedTokens;
  readonly objectKeysMax: number;
}

export class GrammarConstraint implements TokenConstraint {
  readonly #parts: ConstraintParts;
  #state: PushdownState | null; // null: the text has ended, or a token came that was not allowed

  #keys: KeyMemory;

  constructor(
    parts: ConstraintParts,
    state: PushdownState | null = parts.pushdown.start,
    keys: KeyMemory = KeyMemory.outside(),
  ) {
    this.#parts = parts;
    this.#state = state;
    this.#keys = keys;
  }

  /** The text so far is a whole one: it could end here. */
  get complete(): boolean {
    return this.#state?.complete ?? false;
  }

  /** Stop tokens exactly where the text may end; only they once it has ended. */
  mask(): Uint32Array {
    const { masks, pushdown, quoted } = this.#parts;
    if (this.#state !== null) return this.#keys.narrow(masks.of(this.#state, pushdown), quoted);
    const mask = new Uint32Array(masks.wordCount);
    for (const id of masks.stopTokenIds) mask[id >>> 5]! |= 1 << (id & 31);
    return mask;
  }

  accept(token: number): void {
    const { pushdown, masks, tokenizer, objectKeysMax } = this.#parts;
    if (masks.stopTokenIds.includes(token) || tokenizer.isSpecial(token)) this.#state = null;
    const bytes = this.#state === null ? none : tokenizer.tokenBytes(token);
    for (let i = 0; i < bytes.length && this.#state !== null; i++) {
      const byte = bytes[i]!;
      if (this.#keys.inside) this.#keys = this.#keys.step(byte, objectKeysMax);
      else if (byte === BRACE && opensObject(this.#state)) this.#keys = this.#keys.enter();
      this.#state = pushdown.step(this.#state, byte);
    }
  }

  /** Independent of this one from now on: to look ahead over drafts. */
  fork(): GrammarConstraint {
    return new GrammarConstraint(this.#parts, this.#state, this.#keys);
  }
}

const none = new Uint8Array(0);
const BRACE = 0x7b;

/** Whether a brace here is that of a JSON object, whichever way the text is read. */
function opensObject({ readings }: PushdownState): boolean {
  return readings.every(
    ({ node: { opens, automaton }, at }) =>
      (opens && at === automaton.start) || automaton.step(at, BRACE) === null,
  );
}
