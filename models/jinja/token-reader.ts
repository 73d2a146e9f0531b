// Reads the tokens of one tag, one after the other. Owns the place in it. Used by parser.ts and expression-parser.ts.
import { JinjaError } from './jinja-error.ts';
import type { Token, TokenKind } from './lexer.ts';

export class TokenReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }

  peek(offset = 0): Token | undefined {
    return this.#tokens[this.#at + offset];
  }

  is(kind: TokenKind, text?: string, offset = 0): boolean {
    const token = this.peek(offset);
    return token?.kind === kind && (text === undefined || token.text === text);
  }

  isName(text: string, offset = 0): boolean {
    return this.is('name', text, offset);
  }

  isOperator(text: string): boolean {
    return this.is('operator', text);
  }

  next(): Token {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new JinjaError('a tag ends early');
    return token;
  }

  /** Whether it was there, and was taken. */
  skip(kind: TokenKind, text: string): boolean {
    const found = this.is(kind, text);
    if (found) this.#at++;
    return found;
  }

  expect(kind: TokenKind, text?: string): string {
    const token = this.next();
    if (token.kind === kind && (text === undefined || token.text === text)) return token.text;
    throw new JinjaError(`expected ${text ?? kind}, found ${JSON.stringify(token.text)}`);
  }

  end(): void {
    if (!this.done) throw new JinjaError(`unexpected ${JSON.stringify(this.peek()!.text)} in a tag`);
  }
}
