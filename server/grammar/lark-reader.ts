// The text of a Lark grammar → its definitions, as written. Knows the syntax that OpenAI's custom tools take; what is
// beyond it (templates, %declare, %extend, …) is a typed error with its line. After it: lark.ts gives it meaning.
import type { GrammarBounds } from './bounds.ts';
import { GrammarError } from './grammar-error.ts';
import type { Pace, Portioned } from './pace.ts';

export type LarkNode =
  | { readonly kind: 'name'; readonly name: string; readonly line: number }
  | { readonly kind: 'text'; readonly text: string; readonly fold: boolean }
  | { readonly kind: 'range'; readonly from: string; readonly to: string; readonly line: number }
  | { readonly kind: 'pattern'; readonly source: string; readonly flags: string; readonly line: number }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly LarkNode[] }
  | { readonly kind: 'repeat'; readonly inner: LarkNode; readonly min: number; readonly max: number };

export interface LarkFile {
  readonly definitions: ReadonlyMap<string, { readonly body: LarkNode; readonly line: number }>;
  readonly imports: ReadonlyMap<string, { readonly path: string; readonly line: number }>; // our name → `common.LF`
  readonly ignored: readonly LarkNode[];
}

const nestingMax = 50;
const countMax = 10_000; // in ~n..m

export interface ReadingContext {
  readonly pace: Pace;
  readonly bounds: Pick<GrammarBounds, 'grammarSizeMax'>;
}

interface Token {
  readonly kind: 'name' | 'string' | 'pattern' | 'number' | 'mark' | 'line' | 'directive' | 'end';
  readonly text: string;
  readonly line: number;
}

const tokenPattern = new RegExp(
  [
    '(?<skip>[ \\t\\r\\f]+|//[^\\n]*|#[^\\n]*)',
    '(?<line>\\n)',
    '(?<directive>%[a-z]+)',
    '(?<string>"(?:[^"\\\\\\n]|\\\\[^\\n])*"i?)',
    '(?<pattern>/(?!/)(?:[^/\\\\\\n]|\\\\[^\\n])+/[a-z]*)',
    '(?<name>[!?]*_*[a-zA-Z][\\w-]*)',
    '(?<number>\\d+)',
    '(?<mark>->|\\.\\.|[:|()\\[\\]{}?*+~.,<>@])',
  ].join('|'),
  'y',
);

/** Throws GrammarError; its path is the line. */
export function* readLark(source: string, { pace, bounds }: ReadingContext): Portioned<LarkFile> {
  const { grammarSizeMax: most } = bounds;
  if (source.length > most) {
    const message = `a grammar of more than ${most} characters (--grammar-size)`;
    throw new GrammarError('too-large', message, { path: 'line 1' });
  }
  return yield* new LarkParser(yield* tokensOf(source, pace)).read(pace);
}

function* tokensOf(source: string, pace: Pace): Portioned<Token[]> {
  const tokens: Token[] = [];
  let line = 1;
  for (let at = 0; at < source.length; ) {
    if (pace.due()) yield;
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(source);
    if (match === null)
      throw new GrammarError('invalid', `unexpected ${source[at]}`, { path: `line ${line}` });
    const [kind, text] = Object.entries(match.groups!).find(([, found]) => found !== undefined)!;
    if (kind !== 'skip') tokens.push({ kind: kind as Token['kind'], text: text!, line });
    if (kind === 'line') line++;
    at += match[0].length;
  }
  tokens.push({ kind: 'line', text: '\n', line }, { kind: 'end', text: '', line });
  return tokens;
}

class LarkParser {
  readonly #tokens: readonly Token[];
  readonly #definitions = new Map<string, { body: LarkNode; line: number }>();
  readonly #imports = new Map<string, { path: string; line: number }>();
  readonly #ignored: LarkNode[] = [];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  *read(pace: Pace): Portioned<LarkFile> {
    for (let before = 0; this.#peek.kind !== 'end'; ) {
      if (pace.due(this.#at - before)) yield;
      before = this.#at;
      const { kind } = this.#peek;
      if (kind === 'line') this.#at++;
      else if (kind === 'directive') this.#directive();
      else this.#definition();
    }
    return { definitions: this.#definitions, imports: this.#imports, ignored: this.#ignored };
  }

  get #peek(): Token {
    return this.#tokens[this.#at]!;
  }

  #next(): Token {
    return this.#tokens[this.#at++]!;
  }

  #take(text: string): boolean {
    if (this.#peek.text !== text || this.#peek.kind === 'string') return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text))
      this.#fail('invalid', `expected ${text} instead of ${JSON.stringify(this.#peek.text)}`);
  }

  #fail(code: 'invalid' | 'unsupported' | 'too-large', message: string): never {
    throw new GrammarError(code, message, { path: `line ${this.#peek.line}` });
  }

  #definition(): void {
    if (this.#peek.kind !== 'name') this.#fail('invalid', `unexpected ${JSON.stringify(this.#peek.text)}`);
    const { text, line } = this.#next();
    const name = text.replace(/^[!?]+/, ''); // how trees are built does not matter here
    if (this.#take('{')) this.#fail('unsupported', 'templates');
    if (this.#take('.')) this.#next(); // a priority: all ways to read the text are followed anyway
    this.#expect(':');
    if (this.#definitions.has(name)) this.#fail('invalid', `"${name}" is defined twice`);
    this.#definitions.set(name, { body: this.#choice(), line });
    this.#expect('\n');
  }

  #directive(): void {
    const { text } = this.#next();
    if (text === '%ignore') {
      this.#ignored.push(this.#choice());
    } else if (text === '%import') {
      this.#import();
    } else {
      this.#fail('unsupported', text);
    }
    this.#expect('\n');
  }

  /** `common.LF`, `common.LF -> NL` or `common (LF, WS)`. */
  #import(): void {
    const { line } = this.#peek;
    let path = this.#next().text;
    while (this.#take('.')) path += `.${this.#next().text}`;
    if (this.#take('(')) {
      do {
        const { text } = this.#next();
        this.#imports.set(text, { path: `${path}.${text}`, line });
      } while (this.#take(','));
      this.#expect(')');
      return;
    }
    const name = this.#take('->') ? this.#next().text : path.slice(path.lastIndexOf('.') + 1);
    this.#imports.set(name, { path, line });
  }

  /** Alternatives may go on in further lines that begin with |. */
  #choice(): LarkNode {
    if (++this.#depth > nestingMax) this.#fail('too-large', `nested deeper than ${nestingMax}`);
    this.#skipLines('|');
    this.#take('|');
    const parts = [this.#sequence()];
    for (;;) {
      this.#skipLines('|');
      if (!this.#take('|')) break;
      parts.push(this.#sequence());
    }
    this.#depth--;
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  /** Passes line ends if the next thing after them is `text`. */
  #skipLines(...texts: readonly string[]): void {
    let ahead = this.#at;
    while (this.#tokens[ahead]!.kind === 'line') ahead++;
    const { kind, text } = this.#tokens[ahead]!;
    if (kind === 'mark' && texts.includes(text)) this.#at = ahead;
  }

  #sequence(): LarkNode {
    const parts: LarkNode[] = [];
    for (;;) {
      if (this.#depth > 1) this.#skipInnerLines();
      if (this.#take('->')) this.#next();
      const { kind, text } = this.#peek;
      if (kind === 'line' || kind === 'end' || (kind === 'mark' && '|)]'.includes(text))) break;
      parts.push(this.#quantified(this.#atom()));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
  }

  /** Inside brackets a line end means nothing. */
  #skipInnerLines(): void {
    while (this.#peek.kind === 'line' && this.#tokens[this.#at + 1]!.kind !== 'end') this.#at++;
  }

  #quantified(inner: LarkNode): LarkNode {
    if (this.#take('?')) return { kind: 'repeat', inner, min: 0, max: 1 };
    if (this.#take('*')) return { kind: 'repeat', inner, min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take('+')) return { kind: 'repeat', inner, min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take('~')) {
      const min = this.#count();
      return this.#counted(inner, { min, max: this.#take('..') ? this.#count() : min });
    }
    if (!this.#take('{')) return inner;
    const min = this.#peek.text === ',' ? 0 : this.#count();
    const max = !this.#take(',') ? min : this.#peek.text === '}' ? Number.POSITIVE_INFINITY : this.#count();
    this.#expect('}');
    return this.#counted(inner, { min, max });
  }

  #counted(inner: LarkNode, { min, max }: { min: number; max: number }): LarkNode {
    if (min > max) this.#fail('invalid', `counts ${min}..${max} are out of order`);
    return { kind: 'repeat', inner, min, max };
  }

  #count(): number {
    const { kind, text } = this.#next();
    if (kind !== 'number') this.#fail('invalid', `expected a count instead of ${JSON.stringify(text)}`);
    if (Number(text) > countMax) this.#fail('too-large', `a count above ${countMax}`);
    return Number(text);
  }

  #atom(): LarkNode {
    const { kind, text, line } = this.#next();
    if (kind === 'name') return { kind: 'name', name: text.replace(/^[!?]+/, ''), line };
    if (kind === 'pattern') {
      const end = text.lastIndexOf('/');
      return { kind: 'pattern', source: text.slice(1, end), flags: text.slice(end + 1), line };
    }
    if (kind === 'string') {
      const from = this.#unquote(text);
      if (!this.#take('..')) return { kind: 'text', text: from, fold: text.endsWith('i') };
      return { kind: 'range', from, to: this.#unquote(this.#next().text), line };
    }
    if (text === '(' || text === '[') {
      const inner = this.#choice();
      if (this.#peek.kind === 'line') this.#skipInnerLines();
      this.#expect(text === '(' ? ')' : ']');
      return text === '(' ? inner : { kind: 'repeat', inner, min: 0, max: 1 };
    }
    this.#at--;
    const isForeign = kind === 'directive' || text === '<' || text === '@';
    return this.#fail(isForeign ? 'unsupported' : 'invalid', `unexpected ${JSON.stringify(text)}`);
  }

  #unquote(quoted: string): string {
    if (!quoted.startsWith('"'))
      this.#fail('invalid', `expected a string instead of ${JSON.stringify(quoted)}`);
    return quoted
      .slice(1, quoted.lastIndexOf('"'))
      .replace(
        /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/g,
        (_, hex2, hex4, letter: string | undefined) => {
          if (letter === undefined) return String.fromCodePoint(Number.parseInt(hex2 ?? hex4, 16));
          return { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', b: '\b', '0': '\0' }[letter] ?? letter;
        },
      );
  }
}
