// Regular expressions as users write them (JSON Schema's `pattern`, Lark's /…/, `regex` formats) → byte expressions.
// What no automaton can do (back references, look-around, word borders) is a typed error, never ignored.
// Before it: json-schema.ts and lark.ts; after it: byte-regex.ts.
import type { GrammarBounds } from './bounds.ts';
import type { Regex, RegexTable } from './byte-regex.ts';
import {
  allCodePoints,
  type CodePoints,
  codePoints,
  complement,
  foldCase,
  oneOf,
  type TextForm,
} from './code-points.ts';
import { GrammarError } from './grammar-error.ts';
import type { Pace, Portioned } from './pace.ts';
import { unicodeClass, unicodeClassInPortions } from './unicode-classes.ts';

export interface PatternOptions {
  readonly table: RegexTable;
  readonly form: TextForm;
  readonly path: string; // for errors
  readonly search: boolean; // true: the pattern may match anywhere, unless it is anchored; false: the whole text
  readonly bounds: Pick<GrammarBounds, 'patternSizeMax'>;
  readonly flags?: string; // i: ASCII letters in both cases; s: the dot matches line feeds
}

const nestingMax = 50;
const countMax = 100_000; // in {n,m}
const classesMax = 16; // \p{…} of one grammar, each of which takes a look at every character

type Node =
  | { readonly kind: 'chars'; readonly set: CodePoints }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly inner: Node; readonly min: number; readonly max: number };

/** Throws GrammarError: 'invalid', 'unsupported' or 'too-large'. */
export function compilePattern(source: string, options: PatternOptions): Regex {
  const { patternSizeMax: most } = options.bounds;
  if (source.length > most) {
    throw new GrammarError(
      'too-large',
      `a pattern of more than ${most} characters (--pattern-size)`,
      options,
    );
  }
  const node = new PatternReader(source, options).read();
  const open = options.search;
  const { table, form } = options;
  let made: Regex | null = null; // once for all alternatives: it takes hundreds of expressions
  const anything = () => {
    made ??= table.repeat(oneOf(allCodePoints, { table, form }), 0);
    return made;
  };
  return build(node, { ...options, anything, openStart: open, openEnd: open });
}

/** Looks up the classes of characters that a pattern names, in portions; what there is not is the pattern's own error. */
export function* prepareClasses(
  source: string,
  { table: { classes }, pace }: { readonly table: RegexTable; readonly pace: Pace },
): Portioned<void> {
  for (const [, name] of source.matchAll(/\\[pP]\{([^}]{1,100})\}/g)) {
    if (classes.has(name!) || classes.size >= classesMax) continue;
    const found = yield* unicodeClassInPortions(name!, pace);
    if (found !== null) classes.set(name!, found);
  }
}

class PatternReader {
  readonly #source: string;
  readonly #path: string;
  readonly #classes: RegexTable['classes'];
  readonly #fold: boolean;
  readonly #dot: CodePoints;
  #at = 0;
  #depth = 0;

  constructor(source: string, { path, table, flags = '' }: PatternOptions) {
    this.#source = source;
    this.#path = path;
    this.#classes = table.classes;
    this.#fold = flags.includes('i');
    this.#dot = flags.includes('s') ? allCodePoints : complement(lineEnds);
    if (/[^isu]/.test(flags)) this.#fail('unsupported', `flags "${flags}"`);
  }

  read(): Node {
    const node = this.#choice();
    if (this.#at < this.#source.length) this.#fail('invalid', 'an unmatched )');
    return node;
  }

  #choice(): Node {
    if (++this.#depth > nestingMax) this.#fail('too-large', `groups nested deeper than ${nestingMax}`);
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    this.#depth--;
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#source.length && !/[|)]/.test(this.#source[this.#at]!)) {
      parts.push(this.#quantified(this.#atom()));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
  }

  #quantified(atom: Node): Node {
    const match = /^(?:[*+?]|\{(\d+)(,(\d*))?\})/.exec(this.#source.slice(this.#at, this.#at + 24));
    if (match === null) return atom;
    this.#at += match[0].length;
    if (atom.kind === 'start' || atom.kind === 'end') this.#fail('unsupported', 'a repeated anchor');
    if (this.#source[this.#at] === '?')
      this.#at++; // lazy or not, the same texts match
    else if (this.#source[this.#at] === '+') this.#fail('unsupported', 'a possessive quantifier');
    let [min, max] = { '*': [0, Infinity], '+': [1, Infinity], '?': [0, 1] }[match[0]] ?? [0, 0];
    if (match[1] !== undefined) {
      min = Number(match[1]);
      max = match[2] === undefined ? min : match[3] === '' ? Infinity : Number(match[3]);
    }
    if (min! > max!) this.#fail('invalid', `numbers out of order in ${match[0]}`);
    if (min! > countMax || (Number.isFinite(max) && max! > countMax)) {
      this.#fail('too-large', `a repeat count above ${countMax}`);
    }
    return { kind: 'repeat', inner: atom, min: min!, max: max! };
  }

  #atom(): Node {
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at)!);
    this.#at += character.length;
    switch (character) {
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '.':
        return { kind: 'chars', set: this.#dot };
      case '(':
        return this.#group();
      case '[':
        return this.#chars(this.#class());
      case '\\':
        return this.#escapeAtom();
      case '*':
      case '+':
      case '?':
        return this.#fail('invalid', `nothing to repeat before ${character}`);
      default:
        return this.#chars(single(character.codePointAt(0)!));
    }
  }

  #chars(set: CodePoints): Node {
    return { kind: 'chars', set: this.#fold ? foldCase(set) : set };
  }

  #group(): Node {
    if (this.#take('?')) {
      if (/^(?:[=!]|<[=!])/.test(this.#source.slice(this.#at))) this.#fail('unsupported', 'look-around');
      const named = /^(?::|P?<[A-Za-z_]\w*>)/.exec(this.#source.slice(this.#at));
      if (named === null) this.#fail('unsupported', `a group (?${this.#source[this.#at] ?? ''}`);
      this.#at += named![0].length;
    }
    const inner = this.#choice();
    if (!this.#take(')')) this.#fail('invalid', 'an unclosed group');
    return inner;
  }

  #escapeAtom(): Node {
    const next = this.#source[this.#at];
    if (next === 'b' || next === 'B') this.#fail('unsupported', 'word borders (\\b)');
    if (next !== undefined && /[1-9k]/.test(next)) this.#fail('unsupported', 'back references');
    return this.#chars(this.#escape());
  }

  #class(): CodePoints {
    const negated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    for (let first = true; first || this.#source[this.#at] !== ']'; first = false) {
      if (this.#at >= this.#source.length) this.#fail('invalid', 'an unclosed [');
      if (first && this.#source[this.#at] === ']') break;
      const low = this.#classMember();
      const next = this.#source[this.#at + 1];
      if (this.#source[this.#at] !== '-' || next === ']' || next === undefined) {
        ranges.push(...low);
        continue;
      }
      this.#at++;
      const high = this.#classMember();
      const from = low[0]?.[0] ?? 0;
      const to = high[0]?.[1] ?? 0;
      if (
        low.length !== 1 ||
        high.length !== 1 ||
        low[0]![0] !== low[0]![1] ||
        high[0]![0] !== to ||
        from > to
      ) {
        this.#fail('invalid', 'a range out of order in [ ]');
      }
      ranges.push([from, to]);
    }
    this.#at++;
    const set = codePoints(ranges);
    const folded = this.#fold ? foldCase(set) : set;
    return negated ? complement(folded) : folded;
  }

  #classMember(): CodePoints {
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at)!);
    this.#at += character.length;
    if (character !== '\\') return single(character.codePointAt(0)!);
    if (this.#take('b')) return single(8);
    return this.#escape();
  }

  /** After the backslash. */
  #escape(): CodePoints {
    const rest = this.#source.slice(this.#at, this.#at + 12);
    const hex = /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|[uUx]\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8}))/.exec(
      rest,
    );
    if (hex !== null) {
      this.#at += hex[0].length;
      return this.#escapedCodePoint(Number.parseInt(hex[1] ?? hex[2] ?? hex[3] ?? hex[4]!, 16));
    }
    const property = /^([pP])\{([^}]*)\}/.exec(this.#source.slice(this.#at, this.#at + 80));
    if (property !== null) return this.#property(property);
    const letter = rest === '' ? '' : String.fromCodePoint(rest.codePointAt(0)!);
    this.#at += letter.length;
    if (letter === '') return this.#fail('invalid', 'a lone \\ at the end');
    const set = escapeSets.get(letter);
    if (set !== undefined) return set;
    if (/[a-zA-Z0-9]/.test(letter)) return this.#fail('unsupported', `\\${letter}`);
    return single(letter.codePointAt(0)!);
  }

  /** `\p{…}` and its opposite. */
  #property([{ length }, letter, name]: readonly string[] & { 0: string }): CodePoints {
    this.#at += length;
    let set = this.#classes.get(name!);
    if (set === undefined) {
      if (this.#classes.size >= classesMax)
        this.#fail('too-large', `more than ${classesMax} different classes of characters`);
      const found = unicodeClass(name!);
      if (found === null) return this.#fail('invalid', `there is no class of characters ${name}`);
      this.#classes.set(name!, found);
      set = found;
    }
    return letter === 'P' ? complement(set) : set;
  }

  #escapedCodePoint(codePoint: number): CodePoints {
    if (codePoint > 0x10ffff) this.#fail('invalid', 'a character above U+10FFFF');
    const low = /^\\u(d[c-f][0-9a-f]{2})/i.exec(this.#source.slice(this.#at, this.#at + 6));
    if (codePoint >= 0xd800 && codePoint <= 0xdbff && low !== null) {
      this.#at += 6;
      return single(0x10000 + ((codePoint - 0xd800) << 10) + (Number.parseInt(low[1]!, 16) - 0xdc00));
    }
    return single(codePoint);
  }

  #take(character: string): boolean {
    if (this.#source[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #fail(code: 'invalid' | 'unsupported' | 'too-large', message: string): never {
    const source = this.#source.length > 60 ? `${this.#source.slice(0, 60)}…` : this.#source;
    throw new GrammarError(code, `the pattern /${source}/ has ${message}`, { path: this.#path });
  }
}

interface BuildOptions extends PatternOptions {
  readonly anything: () => Regex;
  readonly openStart: boolean; // anything may come before
  readonly openEnd: boolean;
}

/** Anchors count only where they can be reached from the outside: `^(?:a|b)$`, `(^a|b)`, but not `a^b`. */
function build(node: Node, options: BuildOptions): Regex {
  const { table, form, anything, openStart, openEnd } = options;
  const closed = { ...options, openStart: false, openEnd: false };
  const wrap = (inner: Regex): Regex =>
    table.sequence(openStart ? anything() : table.empty, inner, openEnd ? anything() : table.empty);
  switch (node.kind) {
    case 'chars':
      return wrap(oneOf(node.set, { table, form }));
    case 'repeat':
      if (hasAnchor(node.inner)) throw unsupportedAnchor(options);
      return wrap(table.repeat(build(node.inner, closed), node.min, node.max));
    case 'start':
    case 'end':
      // Alone: `^` or `$` holds for every text.
      return openStart || openEnd ? anything() : table.empty;
    case 'choice':
      return table.or(node.parts.map((part) => build(part, options)));
    case 'sequence': {
      const parts = [...node.parts];
      let [open, close] = [openStart, openEnd];
      while (parts[0]?.kind === 'start') [open] = [false, parts.shift()];
      while (parts.at(-1)?.kind === 'end') [close] = [false, parts.pop()];
      if (parts.length === 0) return open || close ? anything() : table.empty;
      const last = parts.length - 1;
      return table.sequence(
        ...parts.map((part, i) => {
          const inside = { ...options, openStart: open && i === 0, openEnd: close && i === last };
          const borders = (i > 0 && endsIn(part, 'start')) || (i < last && endsIn(part, 'end'));
          if (borders) throw unsupportedAnchor(options);
          return build(part, inside);
        }),
      );
    }
  }
}

function hasAnchor(node: Node): boolean {
  return endsIn(node, 'start') || endsIn(node, 'end');
}

function endsIn(node: Node, kind: 'start' | 'end'): boolean {
  if (node.kind === 'sequence' || node.kind === 'choice')
    return node.parts.some((part) => endsIn(part, kind));
  if (node.kind === 'repeat') return endsIn(node.inner, kind);
  return node.kind === kind;
}

function unsupportedAnchor({ path }: { path: string }): GrammarError {
  return new GrammarError('unsupported', 'an anchor (^ or $) in the middle of a pattern', { path });
}

function single(codePoint: number): CodePoints {
  return codePoints([[codePoint, codePoint]]);
}

const lineEnds = codePoints([
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
]);
const digits = codePoints([[0x30, 0x39]]);
const words = codePoints([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
// What JavaScript's \s matches.
const spaces = codePoints([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const escapeSets: ReadonlyMap<string, CodePoints> = new Map([
  ['d', digits],
  ['D', complement(digits)],
  ['w', words],
  ['W', complement(words)],
  ['s', spaces],
  ['S', complement(spaces)],
  ['n', single(0x0a)],
  ['r', single(0x0d)],
  ['t', single(0x09)],
  ['f', single(0x0c)],
  ['v', single(0x0b)],
  ['0', single(0)],
]);
