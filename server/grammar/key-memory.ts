// KeyMemory: which keys the objects of an answer have already, so that none is written twice. No automaton can tell: how a
// free key goes on depends on all before it. Read byte by byte beside the grammar's states, and like them never changed: a copy
// for drafts costs nothing. Before it: constraint.ts; after it: the masks that it narrows.
import type { TokenBytes } from './token-trie.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** An object or a list that is open. */
interface Scope {
  readonly isObject: boolean;
  readonly wantsKey: boolean; // the next text is one
  readonly keys: Keys;
  readonly parent: Scope | null;
}

/** A text that is open. */
interface OpenText {
  readonly key: string | null; // its bytes so far, one a unit; null: a value's, which nobody asks for
  readonly escaped: boolean;
}

/** The keys of an object, in order. Those that came from one another share a table, as far as they agree. */
class Keys {
  static readonly none = new Keys(new Map(), 0);
  readonly count: number;
  readonly #places: Map<string, number>; // key → its place; places from `count` on are of those that came later

  private constructor(places: Map<string, number>, count: number) {
    this.#places = places;
    this.count = count;
  }

  has(key: string): boolean {
    return (this.#places.get(key) ?? this.count) < this.count;
  }

  with(key: string): Keys {
    if (this.has(key)) return this;
    const isLatest = this.count > 0 && this.#places.size === this.count;
    const places = isLatest ? this.#places : new Map([...this.#places].slice(0, this.count));
    places.set(key, this.count);
    return new Keys(places, this.count + 1);
  }
}

/** Tokens with a quotation mark in them, the only ones that can end a key. */
export class QuotedTokens {
  readonly byMarks: readonly (readonly QuotedToken[])[]; // [n] those with more than n of them, n < 3

  constructor(tokenizer: TokenBytes, vocabSize: number) {
    const all: (QuotedToken & { readonly marks: number })[] = [];
    for (let id = 0; id < Math.min(vocabSize, tokenizer.vocabSize); id++) {
      const bytes = tokenizer.isSpecial(id) ? none : tokenizer.tokenBytes(id);
      const marks = bytes.reduce((sum, byte) => sum + (byte === QUOTE ? 1 : 0), 0);
      if (marks > 0) all.push({ id, bytes, marks });
    }
    this.byMarks = [0, 1, 2].map((least) => all.filter(({ marks }) => marks > least));
  }
}

interface QuotedToken {
  readonly id: number;
  readonly bytes: Uint8Array;
}

export class KeyMemory {
  /** Where no object is open. No field: the compiler renames a class that has private getters, and one of its own kind came too early. */
  static outside(): KeyMemory {
    return new KeyMemory(null, null, 0);
  }

  readonly #scope: Scope | null; // the innermost; null: no object is open
  readonly #text: OpenText | null;
  readonly #count: number; // keys of all that is open

  private constructor(scope: Scope | null, text: OpenText | null, count: number) {
    this.#scope = scope;
    this.#text = text;
    this.#count = count;
  }

  /** Whether what comes next belongs to an object; outside of all there may be anything. */
  get inside(): boolean {
    return this.#scope !== null;
  }

  /** An object has been opened where none was. */
  enter(): KeyMemory {
    return this.#opened(true);
  }

  /** After another byte; keys beyond `countMax` are not kept. */
  step(byte: number, countMax: number): KeyMemory {
    const scope = this.#scope;
    if (scope === null) return this;
    if (this.#text !== null) return this.#within(this.#text, { byte, scope, countMax });
    switch (byte) {
      case QUOTE:
        return new KeyMemory(scope, { key: scope.wantsKey ? '' : null, escaped: false }, this.#count);
      case 0x7b: // {
      case 0x5b: // [
        return this.#opened(byte === 0x7b);
      case 0x7d: // }
      case 0x5d: // ]
        return new KeyMemory(scope.parent, null, this.#count - scope.keys.count);
      case 0x2c: // ,
        return scope.isObject ? new KeyMemory({ ...scope, wantsKey: true }, null, this.#count) : this;
      default:
        return this;
    }
  }

  /** The mask without the tokens that would write a key once more; the same one where there are none, or nothing else. */
  narrow(mask: Uint32Array, tokens: QuotedTokens): Uint32Array {
    if (this.#count === 0) return mask;
    // A key ends in a token: from its middle on, with its beginning, or behind the end of a value's text.
    const list = tokens.byMarks[this.#text === null ? 1 : this.#text.key === null ? 2 : 0]!;
    let narrowed: Uint32Array | null = null;
    for (const { id, bytes } of list) {
      if (((mask[id >>> 5]! >>> (id & 31)) & 1) === 0 || !this.#repeatsIn(bytes)) continue;
      narrowed ??= mask.slice();
      narrowed[id >>> 5]! &= ~(1 << (id & 31));
    }
    return narrowed?.some((word) => word !== 0) ? narrowed : mask;
  }

  #repeatsIn(bytes: Uint8Array): boolean {
    let at: KeyMemory = this;
    for (const byte of bytes) {
      if (byte === QUOTE && at.#endsKnown) return true;
      at = at.step(byte, 0); // what it would add is not kept
    }
    return false;
  }

  get #endsKnown(): boolean {
    const text = this.#text;
    return text !== null && text.key !== null && !text.escaped && this.#scope!.keys.has(text.key);
  }

  #opened(isObject: boolean): KeyMemory {
    const scope = { isObject, wantsKey: isObject, keys: Keys.none, parent: this.#scope };
    return new KeyMemory(scope, null, this.#count);
  }

  #within(
    { key, escaped }: OpenText,
    { byte, scope, countMax }: { readonly byte: number; readonly scope: Scope; readonly countMax: number },
  ): KeyMemory {
    if (byte === QUOTE && !escaped) {
      if (key === null) return new KeyMemory(scope, null, this.#count);
      const keys = this.#count < countMax ? scope.keys.with(key) : scope.keys;
      const count = this.#count + keys.count - scope.keys.count;
      return new KeyMemory({ ...scope, wantsKey: false, keys }, null, count);
    }
    const next = byte === BACKSLASH && !escaped;
    if (key === null && next === escaped) return this;
    const longer = key === null ? null : key + String.fromCharCode(byte);
    return new KeyMemory(scope, { key: longer, escaped: next }, this.#count);
  }
}

const none = new Uint8Array(0);
