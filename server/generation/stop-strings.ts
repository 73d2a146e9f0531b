// Finds the first stop string in text that arrives in pieces, whatever the pieces. Owns the text that may still
// turn out to be the start of one; never sees tokens. Used by server/generation/generation.ts, one instance per choice.

/**
 * The string that completes first wins, of those that complete together the longest; so the result depends on the
 * text only, not on how it was cut. After `matched` is set nothing more may be pushed.
 */
export class StopStrings {
  readonly #strings: readonly string[]; // none empty
  readonly #firstUnits: ReadonlySet<number>; // UTF-16 units that a stop string can start with
  readonly #lengthMax: number;
  readonly #shown: boolean;
  #held = ''; // proper prefix of a stop string; shorter than #lengthMax
  #matched: string | null = null;

  /** `shown`: the string that is found is part of the text. */
  constructor(strings: readonly string[], shown = false) {
    this.#shown = shown;
    this.#strings = strings;
    this.#firstUnits = new Set(strings.map((string) => string.charCodeAt(0)));
    this.#lengthMax = Math.max(...strings.map((string) => string.length));
  }

  /** The stop string that has been found, if any. */
  get matched(): string | null {
    return this.#matched;
  }

  /** Text that can be shown now: everything up to a match, or up to what may become one. */
  push(piece: string): string {
    const text = this.#held + piece;
    this.#held = '';
    const start = this.#find(text);
    if (start !== null) return text.slice(0, this.#shown ? start + this.#matched!.length : start);
    const holdFrom = this.#holdFrom(text);
    this.#held = text.slice(holdFrom);
    return text.slice(0, holdFrom);
  }

  /** What was held back and is now known to be plain text. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  #find(text: string): number | null {
    let start: number | null = null;
    let end = Number.POSITIVE_INFINITY;
    for (const string of this.#strings) {
      const at = text.indexOf(string);
      if (at < 0) continue;
      const atEnd = at + string.length;
      if (atEnd > end || (atEnd === end && start !== null && at >= start)) continue;
      start = at;
      end = atEnd;
      this.#matched = string;
    }
    return start;
  }

  /** Start of the longest suffix that a stop string begins with; text.length if there is none. */
  #holdFrom(text: string): number {
    for (let at = Math.max(0, text.length - this.#lengthMax + 1); at < text.length; at++) {
      if (!this.#firstUnits.has(text.charCodeAt(at))) continue;
      const suffix = text.slice(at);
      if (this.#strings.some((string) => string.startsWith(suffix))) return at;
    }
    return text.length;
  }
}
