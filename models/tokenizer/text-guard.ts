// What keeps text of a caller from becoming a control token: an invisible mark inside every spelling of one. The mark
// survives the template (which may trim, cut and join texts), keeps the tokenizer from finding the token, and is taken
// out before the text is encoded, so that all other text gets the tokens it always got. A mark in the text itself is
// doubled. Pure. Before it: template/chat-template.ts, which marks what it renders; after it: tokenizer.ts takes the marks out.

const MARK = '\uf4f4'; // of Unicode's private use: no template writes it, no trim removes it

export class TextGuard {
  readonly #spellings: RegExp | null;
  readonly #beginnings: ReadonlySet<string>; // of spellings, shorter than those
  readonly #beginningMax: number;

  /** `spellings` of tokens that only templates may write. */
  constructor(spellings: readonly string[]) {
    // One character cannot be broken up; no vocabulary has such a control token.
    const texts = [...new Set(spellings)].filter((text) => [...text].length > 1);
    const longestFirst = texts.sort((a, b) => b.length - a.length);
    this.#spellings =
      texts.length === 0 ? null : new RegExp(longestFirst.map(escapeForRegExp).join('|'), 'g');
    this.#beginnings = new Set(texts.flatMap(beginningsOf));
    this.#beginningMax = Math.max(0, (longestFirst[0]?.length ?? 0) - 1);
  }

  /** The same text with every spelling broken up, the beginning of one at its end too: another text may follow. */
  text(text: string): string {
    const doubled = text.includes(MARK) ? text.replaceAll(MARK, MARK + MARK) : text;
    return this.#breakUp(this.#closeEnd(doubled));
  }

  /** Every string in a JSON value, keys included. */
  deep(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((item: unknown) => this.deep(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [this.text(key), this.deep(inner)]),
    );
  }

  #breakUp(text: string): string {
    const spellings = this.#spellings;
    if (spellings === null) return text;
    let broken = '';
    let from = 0;
    spellings.lastIndex = 0;
    for (let found = spellings.exec(text); found !== null; found = spellings.exec(text)) {
      const first = found.index + (text.codePointAt(found.index)! > 0xffff ? 2 : 1);
      broken += text.slice(from, first) + MARK;
      from = first;
      spellings.lastIndex = first; // another spelling may begin within this one
    }
    return broken + text.slice(from);
  }

  #closeEnd(text: string): string {
    const end = text.trimEnd().length; // a template may trim
    for (let length = Math.min(this.#beginningMax, end); length > 0; length--) {
      if (!this.#beginnings.has(text.slice(end - length, end))) continue;
      return text.slice(0, end) + MARK + text.slice(end);
    }
    return text;
  }
}

/** The text that was meant, its marks taken out. */
export function unguarded(text: string): string {
  return text.includes(MARK) ? text.replace(marks, '$1') : text;
}

const marks = new RegExp(`${MARK}(${MARK}?)`, 'g');

/** Letters alone begin too many words. */
function beginningsOf(spelling: string): string[] {
  const beginnings: string[] = [];
  for (let length = 1; length < spelling.length; length++) {
    const beginning = spelling.slice(0, length);
    if (/[^\p{L}\p{N}]/u.test(beginning)) beginnings.push(beginning);
  }
  return beginnings;
}

export function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
