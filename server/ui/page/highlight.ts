// Code in colours: one scanner over the few things that most languages share (comments, strings, numbers, words), with a
// table of what each language calls a keyword. Pure and linear in the text; what it does not know stays plain.

export type MarkKind = 'plain' | 'comment' | 'string' | 'number' | 'keyword' | 'type' | 'call' | 'tag';

export interface CodeToken {
  readonly kind: MarkKind;
  readonly text: string;
}

interface Language {
  readonly keywords: ReadonlySet<string>;
  readonly line: readonly string[]; // beginnings of comments to the end of the line
  readonly block: readonly (readonly [string, string])[]; // comments, and texts over several lines
  readonly quotes: string;
}

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));
const C_COMMENTS = { line: ['//'], block: [['/*', '*/']] as const };

const SCRIPT: Language = {
  ...C_COMMENTS,
  quotes: '\'"`',
  keywords: words(
    'abstract as async await break case catch class const continue debugger declare default delete do else enum export extends false finally for from function get if implements import in infer instanceof interface is keyof let namespace new null of private protected public readonly return satisfies set static super switch this throw true try type typeof undefined var void while with yield',
  ),
};
const PYTHON: Language = {
  line: ['#'],
  block: [
    ['"""', '"""'],
    ["'''", "'''"],
  ],
  quotes: '\'"',
  keywords: words(
    'and as assert async await break class continue def del elif else except False finally for from global if import in is lambda match None nonlocal not or pass raise return self True try while with yield',
  ),
};
const C_FAMILY: Language = {
  ...C_COMMENTS,
  quotes: '\'"',
  keywords: words(
    'abstract alignas as async auto await bool boolean break byte case catch char class const constexpr continue crate default defer delete do double dyn else enum explicit export extends extern false final finally float fn for func go goto if impl implements import in inline int interface let long loop map match mod move mut namespace new nil noexcept null nullptr operator override package private protected pub public range ref return self short signed sizeof static struct super switch template this throw throws trait true try type typedef typename union unsafe unsigned use using var virtual void volatile where while yield',
  ),
};
const SHELL: Language = {
  line: ['#'],
  block: [],
  quotes: '\'"`',
  keywords: words(
    'case cd do done echo elif else esac exit export fi for function if in local return set then unset until while',
  ),
};
const SQL: Language = {
  line: ['--'],
  block: [['/*', '*/']],
  quotes: '\'"',
  keywords: words(
    'add alter and as asc between by case create delete desc distinct drop else end exists from group having in index inner insert into is join key left like limit not null on or order outer primary references right select set table then union unique update values view when where',
  ),
};
const DATA: Language = { line: ['#'], block: [], quotes: '"\'', keywords: words('true false null yes no') };
const STYLES: Language = { line: [], block: [['/*', '*/']], quotes: '"\'', keywords: words('important') };

const LANGUAGES: Readonly<Record<string, Language>> = {
  ...named('js jsx ts tsx javascript typescript mjs cjs', SCRIPT),
  ...named('py python python3', PYTHON),
  ...named('c h cpp c++ cc hpp cs csharp java kotlin kt go golang rust rs swift scala php dart', C_FAMILY),
  ...named('sh bash shell zsh console dockerfile makefile make', SHELL),
  ...named('sql', SQL),
  ...named('json json5 yaml yml toml ini', DATA),
  ...named('css scss less', STYLES),
};

const MARKUP = new Set(['html', 'xml', 'svg', 'vue']);

/** The text in pieces; put together they are the text again. */
export function highlight(code: string, languageName: string): readonly CodeToken[] {
  const name = languageName.toLowerCase();
  if (MARKUP.has(name)) return markup(code);
  const language = LANGUAGES[name];
  return language === undefined ? [{ kind: 'plain', text: code }] : merged(scan(code, language, name));
}

function* scan(code: string, language: Language, name: string): Iterable<CodeToken> {
  const ignoresCase = name === 'sql';
  for (let at = 0; at < code.length; ) {
    const end = commentEnd(code, at, language);
    if (end > at) {
      const kind = language === PYTHON && code[at] !== '#' ? 'string' : 'comment';
      yield { kind, text: code.slice(at, end) };
      at = end;
      continue;
    }
    const token = nextToken(code, at, language, ignoresCase);
    yield token;
    at += token.text.length;
  }
}

function nextToken(
  code: string,
  at: number,
  { quotes, keywords }: Language,
  ignoresCase: boolean,
): CodeToken {
  const char = code[at]!;
  if (quotes.includes(char)) return { kind: 'string', text: code.slice(at, stringEnd(code, at)) };
  const number = matchAt(/\d[\w.]*/y, code, at);
  if (number !== '') return { kind: 'number', text: number };
  const word = matchAt(/[A-Za-z_$][\w$]*/y, code, at);
  if (word === '') return { kind: 'plain', text: char };
  if (keywords.has(ignoresCase ? word.toLowerCase() : word)) return { kind: 'keyword', text: word };
  if (/^[A-Z]/.test(word)) return { kind: 'type', text: word };
  return { kind: code[at + word.length] === '(' ? 'call' : 'plain', text: word };
}

/** Where the comment that begins at `at` ends; `at` where none begins. */
function commentEnd(code: string, at: number, { line, block }: Language): number {
  for (const [open, close] of block) {
    if (!code.startsWith(open, at)) continue;
    const end = code.indexOf(close, at + open.length);
    return end < 0 ? code.length : end + close.length;
  }
  if (!line.some((mark) => code.startsWith(mark, at))) return at;
  const end = code.indexOf('\n', at);
  return end < 0 ? code.length : end;
}

/** Behind the closing quote; only a backtick's text goes over lines. */
function stringEnd(code: string, at: number): number {
  const quote = code[at]!;
  for (let end = at + 1; end < code.length; end++) {
    if (code[end] === '\\') end++;
    else if (code[end] === quote) return end + 1;
    else if (code[end] === '\n' && quote !== '`') return end;
  }
  return code.length;
}

function markup(code: string): readonly CodeToken[] {
  const tokens: CodeToken[] = [];
  for (const [text] of code.matchAll(/<!--[\s\S]*?(?:-->|$)|<[^>]*>?|[^<]+/g)) {
    const kind = text.startsWith('<!--') ? 'comment' : text.startsWith('<') ? 'tag' : 'plain';
    tokens.push({ kind, text });
  }
  return tokens;
}

/** Neighbours of one kind are one token: fewer nodes in the page. */
function merged(tokens: Iterable<CodeToken>): readonly CodeToken[] {
  const result: CodeToken[] = [];
  for (const token of tokens) {
    const before = result.at(-1);
    if (before?.kind === token.kind)
      result[result.length - 1] = { ...before, text: before.text + token.text };
    else result.push(token);
  }
  return result;
}

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}

function named(names: string, language: Language): Record<string, Language> {
  return Object.fromEntries(names.split(' ').map((name) => [name, language]));
}
