// The text of a GBNF grammar (llama.cpp's notation) → definitions as a Lark grammar has them: its rule `root` is the
// start. All its names are rules, whatever their case. After it: lark.ts gives it meaning.
import { GrammarError } from './grammar-error.ts';
import type { LarkFile, LarkNode, ReadingContext } from './lark-reader.ts';
import type { Pace, Portioned } from './pace.ts';

const nestingMax = 50;
const countMax = 10_000; // in {n,m}

const tokenPattern = new RegExp(
  [
    '(?<skip>[\\s]+|#[^\\n]*)',
    '(?<define>[a-zA-Z0-9_-]+\\s*::=)',
    '(?<name>[a-zA-Z0-9_-]+)',
    '(?<string>"(?:[^"\\\\\\n]|\\\\[^\\n])*")',
    '(?<set>\\[(?:[^\\]\\\\\\n]|\\\\[^\\n])*\\])',
    '(?<count>\\{\\s*\\d+\\s*(?:,\\s*\\d*\\s*)?\\})',
    '(?<mark>[|()?*+.])',
  ].join('|'),
  'y',
);

interface Token {
  readonly kind: 'define' | 'name' | 'string' | 'set' | 'count' | 'mark' | 'end';
  readonly text: string;
  readonly line: number;
}

/** Throws GrammarError; its path is the line. */
export function* readGbnf(source: string, { pace, bounds }: ReadingContext): Portioned<LarkFile> {
  const { grammarSizeMax: most } = bounds;
  if (source.length > most) {
    const message = `a grammar of more than ${most} characters (--grammar-size)`;
    throw new GrammarError('too-large', message, { path: 'line 1' });
  }
  return yield* new GbnfParser(yield* tokensOf(source, pace)).read(pace);
}

function* tokensOf(source: string, pace: Pace): Portioned<Token[]> {
  const tokens: Token[] = [];
  let line = 1;
  for (let at = 0; at < source.length; at = tokenPattern.lastIndex) {
    if (pace.due()) yield;
    tokenPattern.lastIndex = at;
    const groups = tokenPattern.exec(source)?.groups;
    if (groups === undefined) throw unexpected(source[at]!, line);
    const [kind, text] = Object.entries(groups).find(([, match]) => match !== undefined)!;
    if (kind !== 'skip') tokens.push({ kind: kind as Token['kind'], text: text!, line });
    line += text!.split('\n').length - 1;
  }
  tokens.push({ kind: 'end', text: 'end', line });
  return tokens;
}

class GbnfParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  *read(pace: Pace): Portioned<LarkFile> {
    const definitions = new Map<string, { body: LarkNode; line: number }>();
    while (this.#next.kind !== 'end') {
      const before = this.#at;
      const { kind, text, line } = this.#take();
      if (kind !== 'define') throw unexpected(text, line);
      const name = text.slice(0, -'::='.length).trim();
      definitions.set(ruleName(name), { body: this.#choice(), line });
      if (pace.due(this.#at - before)) yield;
    }
    if (!definitions.has(ruleName('root'))) {
      throw new GrammarError('invalid', 'there is no rule "root"', { path: 'line 1' });
    }
    return { definitions, imports: new Map(), ignored: [] };
  }

  get #next(): Token {
    return this.#tokens[this.#at]!;
  }

  #take(): Token {
    return this.#tokens[this.#at++]!;
  }

  #choice(): LarkNode {
    const parts = [this.#sequence()];
    while (this.#next.text === '|' && this.#next.kind === 'mark') {
      this.#take();
      parts.push(this.#sequence());
    }
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  #sequence(): LarkNode {
    const parts: LarkNode[] = [];
    for (;;) {
      const { kind, text } = this.#next;
      if (kind === 'define' || kind === 'end' || (kind === 'mark' && (text === '|' || text === ')'))) break;
      parts.push(this.#repeated(this.#item()));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
  }

  #item(): LarkNode {
    const { kind, text, line } = this.#take();
    if (kind === 'name') return { kind: 'name', name: ruleName(text), line };
    if (kind === 'string') return { kind: 'text', text: unescaped(text.slice(1, -1), line), fold: false };
    if (kind === 'set') return { kind: 'pattern', source: setPattern(text, line), flags: '', line };
    if (text === '.') return { kind: 'pattern', source: '[\\s\\S]', flags: '', line };
    if (text !== '(') throw unexpected(text, line);
    if (++this.#depth > nestingMax) {
      throw new GrammarError('too-large', `nested deeper than ${nestingMax}`, { path: `line ${line}` });
    }
    const inner = this.#choice();
    this.#depth--;
    const close = this.#take();
    if (close.text !== ')' || close.kind !== 'mark') throw unexpected(close.text, close.line);
    return inner;
  }

  #repeated(item: LarkNode): LarkNode {
    let node = item;
    for (;;) {
      const { kind, text, line } = this.#next;
      const bounds = kind === 'mark' ? marks[text] : kind === 'count' ? countsOf(text, line) : undefined;
      if (bounds === undefined) return node;
      this.#take();
      node = { kind: 'repeat', inner: node, min: bounds[0], max: bounds[1] };
    }
  }
}

const marks: Readonly<Record<string, readonly [min: number, max: number]>> = {
  '?': [0, 1],
  '*': [0, Number.POSITIVE_INFINITY],
  '+': [1, Number.POSITIVE_INFINITY],
};

function countsOf(text: string, line: number): readonly [min: number, max: number] {
  const [from, to] = text
    .slice(1, -1)
    .split(',')
    .map((part) => part.trim());
  const min = Number(from);
  const max = to === undefined ? min : to === '' ? Number.POSITIVE_INFINITY : Number(to);
  if (min > countMax || (Number.isFinite(max) && max > countMax) || min > max) {
    throw new GrammarError('invalid', `${text}: counts go from 0 to ${countMax}`, { path: `line ${line}` });
  }
  return [min, max];
}

/** No name of a Lark terminal; the start's name is Lark's. */
function ruleName(name: string): string {
  return name === 'root' ? 'start' : `r-${name}`;
}

const letters: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function unescaped(text: string, line: number): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/gsu,
    (_whole, x?: string, u?: string, long?: string, letter?: string) => {
      if (letter !== undefined) return letters[letter] ?? letter;
      const point = Number.parseInt(x ?? u ?? long!, 16);
      if (point > 0x10ffff) {
        throw new GrammarError('invalid', 'a character beyond U+10FFFF', { path: `line ${line}` });
      }
      return String.fromCodePoint(point);
    },
  );
}

/** `[^a-z\n]` with every character written as its number, so that none means anything else in a pattern. */
function setPattern(text: string, line: number): string {
  const inverted = text.startsWith('[^');
  const inside = text.slice(inverted ? 2 : 1, -1);
  const pieces = inside.match(/\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)|./gsu) ?? [];
  if (pieces.length === 0) throw new GrammarError('invalid', '[]: no character', { path: `line ${line}` });
  const written = pieces.map((piece, index) => {
    if (piece === '-' && index > 0 && index < pieces.length - 1) return '-';
    const point = unescaped(piece, line).codePointAt(0)!;
    return point > 0xffff ? String.fromCodePoint(point) : `\\u${point.toString(16).padStart(4, '0')}`;
  });
  return `[${inverted ? '^' : ''}${written.join('')}]`;
}

function unexpected(text: string, line: number): GrammarError {
  return new GrammarError('invalid', `unexpected ${text}`, { path: `line ${line}` });
}
