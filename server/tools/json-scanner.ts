// Finds where a JSON value ends in text that comes in pieces. Looks at brackets, quotes and backslashes only; whether
// the value is valid is for JSON.parse to say. Used by call-parser.ts.

export class JsonScanner {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #started = false;

  /** Index just behind the value within `text`, or −1 if it goes on. Scalars other than strings have no such end. */
  scan(text: string, from = 0): number {
    for (let i = from; i < text.length; i++) {
      const character = text[i]!;
      if (this.#escaped) this.#escaped = false;
      else if (this.#inString) {
        if (character === '\\') this.#escaped = true;
        else if (character === '"') this.#inString = false;
      } else if (character === '"') this.#inString = true;
      else if (character === '{' || character === '[') this.#depth++;
      else if (character === '}' || character === ']') this.#depth--;
      this.#started ||= !/\s/.test(character);
      if (this.#started && !this.#inString && this.#depth <= 0) return i + 1;
    }
    return -1;
  }
}

/** A JSON string's text from the first character behind its opening quote, piece by piece. */
export class JsonStringReader {
  #held = ''; // an escape that has not come to its end

  /** `end`: index just behind the closing quote within `piece`, or −1 if the string goes on. Throws SyntaxError. */
  read(piece: string): { readonly text: string; readonly end: number } {
    const all = this.#held + piece;
    const before = this.#held.length;
    let i = 0;
    while (i < all.length && all[i] !== '"') {
      const length = all[i] === '\\' ? escapeLength(all, i) : 1;
      if (i + length > all.length) break;
      i += length;
    }
    const isClosed = all[i] === '"';
    this.#held = isClosed ? '' : all.slice(i);
    return { text: JSON.parse(`"${all.slice(0, i)}"`) as string, end: isClosed ? i + 1 - before : -1 };
  }
}

/** Surrogate pairs are kept together. */
function escapeLength(text: string, at: number): number {
  if (text[at + 1] !== 'u') return 2;
  const isHigh = /^[dD][89abAB]/.test(text.slice(at + 2, at + 4));
  const next = text.slice(at + 6, at + 8);
  return isHigh && '\\u'.startsWith(next) ? 12 : 6;
}
