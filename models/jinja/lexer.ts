// A template's text → text and tags, the tags as tokens. Owns white space control as transformers sets it up
// (trim_blocks, lstrip_blocks, one newline at the end dropped) and Python's literals. After it: parser.ts.
import { JinjaError } from './jinja-error.ts';

export type TokenKind = 'name' | 'string' | 'integer' | 'float' | 'operator';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string; // a string's value, not its spelling
}

/** A stretch of the template. */
export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output' | 'statement'; readonly tokens: readonly Token[] };

const openings = /\{\{|\{%|\{#/g;
const rawOpening = /\{%([-+]?)\s*raw\s*(?:-%\}\s*|%\})/y;
const rawClosing = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g;
const commentClosing = /(?:\+#\}|-#\}\s*|#\}\n?)/g;
const outputClosing = /(?:-\}\}\s*|\}\})/y;
const statementClosing = /(?:\+%\}|-%\}\s*|%\}\n?)/y;

const tokenPattern = new RegExp(
  [
    '(?<space>\\s+)',
    '(?<float>(?<!\\.)(?:\\d+_)*\\d+(?:(?:\\.(?:\\d+_)*\\d+)?[eE][+-]?(?:\\d+_)*\\d+|\\.(?:\\d+_)*\\d+))',
    '(?<integer>0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\\da-fA-F])+|[1-9](?:_?\\d)*|0(?:_?0)*)',
    '(?<name>[\\p{XID_Start}_]\\p{XID_Continue}*)',
    `(?<string>'(?:[^'\\\\]|\\\\[\\s\\S])*'|"(?:[^"\\\\]|\\\\[\\s\\S])*")`,
    '(?<operator>\\/\\/|\\*\\*|==|!=|>=|<=|[-+/*%~[\\](){}><=.:|,;])',
  ].join('|'),
  'uy',
);

/** Throws JinjaError. */
export function lex(source: string): TemplatePart[] {
  const text = source.replace(/\r\n|\r/g, '\n').replace(/\n$/, '');
  const parts: TemplatePart[] = [];
  let at = 0;
  let startsLine = true; // whether what came before ended a line
  const pushText = (from: number, to: number, sign: string, isOutput: boolean) => {
    let piece = text.slice(from, to);
    if (sign === '-') piece = piece.trimEnd();
    else if (sign !== '+' && !isOutput) {
      const line = piece.lastIndexOf('\n') + 1;
      if ((line > 0 || startsLine) && /^\s+$/.test(piece.slice(line))) piece = piece.slice(0, line);
    }
    if (piece !== '') parts.push({ kind: 'text', text: piece });
  };
  const leave = (end: number) => {
    startsLine = text[end - 1] === '\n';
    at = end;
  };
  while (at < text.length) {
    openings.lastIndex = at;
    const opening = openings.exec(text);
    if (opening === null) {
      parts.push({ kind: 'text', text: text.slice(at) });
      break;
    }
    const start = opening.index;
    const isOutput = opening[0] === '{{';
    const raw = opening[0] === '{%' ? matchAt(rawOpening, text, start) : null;
    if (raw) {
      pushText(at, start, raw[1]!, false);
      leave(start + raw[0].length);
      const closing = find(rawClosing, text, at, 'raw');
      pushText(at, closing.index, closing[1] === '-' ? '-' : '+', false);
      leave(closing.index + closing[0].length);
      continue;
    }
    const signed = text[start + 2];
    const sign = signed === '-' || signed === '+' ? signed : '';
    pushText(at, start, sign, isOutput);
    const inner = start + 2 + sign.length;
    if (opening[0] === '{#') {
      const closing = find(commentClosing, text, inner, 'comment');
      leave(closing.index + closing[0].length);
      continue;
    }
    const { tokens, end } = lexTag(text, inner, isOutput ? outputClosing : statementClosing);
    parts.push({ kind: isOutput ? 'output' : 'statement', tokens });
    leave(end);
  }
  return parts;
}

function lexTag(text: string, start: number, closing: RegExp): { tokens: Token[]; end: number } {
  const tokens: Token[] = [];
  let depth = 0; // of brackets: '}}' may close two dicts
  for (let at = start; ; ) {
    const end = depth === 0 ? matchAt(closing, text, at) : null;
    if (end) return { tokens, end: at + end[0].length };
    const found = matchAt(tokenPattern, text, at);
    if (!found) {
      const what = at < text.length ? `unexpected character ${JSON.stringify(text[at])}` : 'a tag has no end';
      throw new JinjaError(`${what} (line ${text.slice(0, at).split('\n').length})`);
    }
    at += found[0].length;
    const { space, float, integer, name, string } = found.groups!;
    if (space !== undefined) continue;
    if (float !== undefined) tokens.push({ kind: 'float', text: float.replaceAll('_', '') });
    else if (integer !== undefined) tokens.push({ kind: 'integer', text: integer.replaceAll('_', '') });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (string !== undefined) tokens.push({ kind: 'string', text: readEscapes(string.slice(1, -1)) });
    else {
      if ('([{'.includes(found[0])) depth++;
      if (')]}'.includes(found[0])) depth--;
      tokens.push({ kind: 'operator', text: found[0] });
    }
  }
}

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};

/** Python's escapes; one that is not known stays as it is written. */
function readEscapes(text: string): string {
  const pattern = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g;
  return text.replace(pattern, (whole, x, u, long, octal, other) => {
    const hex: string | undefined = x ?? u ?? long;
    if (hex !== undefined) return String.fromCodePoint(Math.min(Number.parseInt(hex, 16), 0x10ffff));
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
    return escapes[other] ?? whole;
  });
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function find(pattern: RegExp, text: string, at: number, what: string): RegExpExecArray {
  const found = matchAt(pattern, text, at);
  if (found) return found;
  throw new JinjaError(`a ${what} block has no end`);
}
