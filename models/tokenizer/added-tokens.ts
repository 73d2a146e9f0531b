// The tokens of a tokenizer.json that are looked for in the text before anything else: control tokens and whole words
// that were added to a vocabulary. Owns how they are found, as Hugging Face tokenizers does: leftmost, longest, then
// the token's own wishes (a word of its own, the white space beside it). Before it: tokenizer-file.ts; after it:
// tokenizer.ts.
import { PrefixTree } from './prefix-tree.ts';

export interface AddedToken {
  readonly id: number;
  readonly text: string;
  readonly special: boolean; // control tokens: no text of their own when decoded
  readonly normalized: boolean; // looked for in the normalised text
  readonly takesLeft: boolean; // with the white space before it
  readonly takesRight: boolean;
  readonly wholeWord: boolean; // not within a word
}

/** A stretch of text, or an added token in its place. */
export interface Section {
  readonly text: string;
  readonly token: AddedToken | null;
  readonly atStart: boolean;
}

const endsInWord = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const beginsInWord = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const isSpace = /^\p{White_Space}$/u;

export class AddedTokens {
  readonly #tree = new PrefixTree<AddedToken>();
  readonly #openers: RegExp | null; // the units that tokens begin with

  /** `spelling` is what a token looks like in the text that is searched. */
  constructor(tokens: readonly AddedToken[], spelling: (token: AddedToken) => string) {
    for (const token of tokens) {
      const text = spelling(token);
      if (text !== '') this.#tree.add(text, token);
    }
    const openers = this.#tree.firstUnits().map((unit) => unit.replace(/[\\\]^-]/g, '\\$&'));
    this.#openers = openers.length > 0 ? new RegExp(`[${openers.join('')}]`, 'g') : null;
  }

  /** Sections in order, none of them empty. Tokens that `skip` names are text. Linear in the text. */
  split(text: string, skip: (token: AddedToken) => boolean): Section[] {
    const sections: Section[] = [];
    let done = 0;
    const push = (start: number, end: number, token: AddedToken | null) =>
      sections.push({ text: text.slice(start, end), token, atStart: start === 0 });
    for (let from = 0; this.#openers; ) {
      this.#openers.lastIndex = from;
      const at = this.#openers.exec(text)?.index;
      if (at === undefined) break;
      const found = this.#longestAt(text, at);
      from = found ? at + found.length : at + 1;
      if (!found || skip(found.token) || !standsAlone(text, at, found)) continue;
      const start = found.token.takesLeft ? Math.max(done, spaceStart(text, at)) : at;
      if (start > done) push(done, start, null);
      done = found.token.takesRight ? spaceEnd(text, from) : from;
      push(start, done, found.token);
    }
    if (done < text.length) push(done, text.length, null);
    return sections;
  }

  #longestAt(text: string, start: number): { token: AddedToken; length: number } | null {
    let longest: { token: AddedToken; length: number } | null = null;
    this.#tree.visit(text, start, (token, length) => {
      longest = { token, length };
    });
    return longest;
  }
}

function standsAlone(text: string, at: number, found: { token: AddedToken; length: number }): boolean {
  if (!found.token.wholeWord) return true;
  const before = text.slice(Math.max(0, at - 2), at);
  const after = text.slice(at + found.length, at + found.length + 2);
  return !endsInWord.test(before) && !beginsInWord.test(after);
}

function spaceStart(text: string, end: number): number {
  let at = end;
  while (at > 0 && isSpace.test(text[at - 1]!)) at--;
  return at;
}

function spaceEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && isSpace.test(text[at]!)) at++;
  return at;
}
