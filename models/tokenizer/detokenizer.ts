// One choice's ids, as they come → text that can be shown at once. Owns the bytes of an unfinished character:
// push() never returns half of one. Before it: the engine's tokens; after it: the generation that tells them as text.
import type { Tokenizer } from './tokenizer.ts';

/** What all push() calls and flush() return together is what Tokenizer.decode returns for the same ids. */
export class Detokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #shown: ReadonlySet<number> | 'all';
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

  /** `shown`: special tokens that somebody behind reads as text, such as marks of reasoning. */
  constructor(tokenizer: Tokenizer, shown: ReadonlySet<number> | 'all' = noTokens) {
    this.#tokenizer = tokenizer;
    this.#shown = shown;
  }

  /** The text completed by this token: '' for special tokens and unfinished characters, U+FFFD for invalid bytes. */
  push(id: number): string {
    const shown = this.#shown === 'all' || !this.#tokenizer.isSpecial(id) || this.#shown.has(id);
    if (!shown) return '';
    return this.#utf8.decode(this.#tokenizer.tokenBytes(id), { stream: true });
  }

  /** U+FFFD for a character that never came to its end, else ''. The detokenizer then starts anew. */
  flush(): string {
    return this.#utf8.decode();
  }
}

const noTokens: ReadonlySet<number> = new Set();
