// A Lark grammar → grammar rules. Names in capitals are terminals and become one byte expression each; the others are
// rules. All ways to cut the text into terminals are followed, so greed and priorities of a lexer play no part.
// Before it: lark-reader.ts and gbnf-reader.ts; after it: rules.ts.
import type { GrammarBounds } from './bounds.ts';
import type { Regex, RegexTable } from './byte-regex.ts';
import { codePoints, exactly, foldCase, oneOf, type TextForm } from './code-points.ts';
import { readGbnf } from './gbnf-reader.ts';
import { GrammarError } from './grammar-error.ts';
import { type LarkFile, type LarkNode, readLark } from './lark-reader.ts';
import type { Pace, Portioned } from './pace.ts';
import { compilePattern } from './pattern.ts';
import { choice, type Expression, repeat, rule, sequence, terminal } from './rules.ts';

export interface LarkContext {
  readonly table: RegexTable;
  readonly pace: Pace;
  readonly bounds: GrammarBounds;
  readonly form: TextForm; // 'json' if the text stands inside a JSON string
  readonly rules: Map<string, Expression>; // the grammar's rules are added here
  readonly name: string; // distinguishes the rules of several grammars in one
}

/** What lark's own `common` library offers, as patterns. */
const common: Readonly<Record<string, string>> = {
  DIGIT: '[0-9]',
  HEXDIGIT: '[0-9a-fA-F]',
  INT: '[0-9]+',
  SIGNED_INT: '[+-]?[0-9]+',
  DECIMAL: '[0-9]+\\.[0-9]*|\\.[0-9]+',
  FLOAT: '[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?',
  SIGNED_FLOAT: '[+-]?(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)',
  NUMBER: '(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?',
  SIGNED_NUMBER: '[+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?',
  ESCAPED_STRING: '"(?:[^"\\\\\\n]|\\\\[^\\n])*"',
  LCASE_LETTER: '[a-z]',
  UCASE_LETTER: '[A-Z]',
  LETTER: '[a-zA-Z]',
  WORD: '[a-zA-Z]+',
  CNAME: '[a-zA-Z_][a-zA-Z0-9_]*',
  WS_INLINE: '[ \\t]+',
  WS: '[ \\t\\f\\r\\n]+',
  CR: '\\r',
  LF: '\\n',
  NEWLINE: '(?:\\r?\\n)+',
  SH_COMMENT: '#[^\\n]*',
  CPP_COMMENT: '//[^\\n]*',
  C_COMMENT: '/\\*(?:[^*]|\\*+[^*/])*\\*+/',
  SQL_COMMENT: '--[^\\n]*',
};

/** Gives the start rule. Throws GrammarError; its path is a line of the grammar. */
export function* compileLark(source: string, context: LarkContext): Portioned<Expression> {
  return yield* compileFile(yield* readLark(source, context), context);
}

/** Likewise of a grammar in llama.cpp's notation. */
export function* compileGbnf(source: string, context: LarkContext): Portioned<Expression> {
  return yield* compileFile(yield* readGbnf(source, context), context);
}

function* compileFile(file: LarkFile, context: LarkContext): Portioned<Expression> {
  if (!file.definitions.has('start')) {
    throw new GrammarError('invalid', 'there is no rule "start"', { path: 'line 1' });
  }
  return yield* new LarkRules(file, context).start();
}

class LarkRules {
  readonly #file: LarkFile;
  readonly #context: LarkContext;
  readonly #terminals = new Map<string, Regex | null>(); // null: being made
  #between: readonly Expression[] = []; // what may stand after any terminal

  constructor(file: LarkFile, context: LarkContext) {
    this.#file = file;
    this.#context = context;
  }

  *start(): Portioned<Expression> {
    const { table, rules } = this.#context;
    const ignored = yield* this.#regexes(this.#file.ignored);
    if (ignored.length > 0) this.#between = [terminal(table.repeat(table.or(ignored), 0))];
    for (const [name, { body }] of this.#file.definitions) {
      if (isTerminalName(name)) yield* this.#terminal(name, 0);
      else rules.set(this.#ruleName(name), yield* this.#expression(body));
    }
    return sequence(...this.#between, rule(this.#ruleName('start')));
  }

  #ruleName(name: string): string {
    return `${this.#context.name}${name}`;
  }

  *#expression(node: LarkNode): Portioned<Expression> {
    if (this.#context.pace.due()) yield;
    switch (node.kind) {
      case 'name': {
        if (isTerminalName(node.name)) return this.#token(yield* this.#terminal(node.name, node.line));
        if (!this.#file.definitions.has(node.name)) throw unknownName(node.name, node.line);
        return rule(this.#ruleName(node.name));
      }
      case 'sequence':
        return sequence(...(yield* this.#expressions(node.parts)));
      case 'choice':
        return choice(...(yield* this.#expressions(node.parts)));
      case 'repeat':
        return repeat(yield* this.#expression(node.inner), node.min, node.max);
      default:
        return this.#token(yield* this.#regex(node));
    }
  }

  *#expressions(nodes: readonly LarkNode[]): Portioned<Expression[]> {
    const expressions: Expression[] = [];
    for (const node of nodes) expressions.push(yield* this.#expression(node));
    return expressions;
  }

  *#regexes(nodes: readonly LarkNode[]): Portioned<Regex[]> {
    const regexes: Regex[] = [];
    for (const node of nodes) regexes.push(yield* this.#regex(node));
    return regexes;
  }

  #token(regex: Regex): Expression {
    return this.#between.length === 0 ? terminal(regex) : sequence(terminal(regex), ...this.#between);
  }

  *#terminal(name: string, line: number): Portioned<Regex> {
    const known = this.#terminals.get(name);
    if (known === null)
      throw new GrammarError('invalid', `terminal "${name}" contains itself`, { path: `line ${line}` });
    if (known !== undefined) return known;
    this.#terminals.set(name, null);
    const own = this.#file.definitions.get(name);
    const regex = own === undefined ? this.#imported(name, line) : yield* this.#regex(own.body);
    this.#terminals.set(name, regex);
    return regex;
  }

  #imported(name: string, line: number): Regex {
    const from = this.#file.imports.get(name);
    if (from === undefined) throw unknownName(name, line);
    const [library, ...rest] = from.path.split('.');
    const source = library === 'common' && rest.length === 1 ? common[rest[0]!] : undefined;
    const path = `line ${from.line}`;
    if (source === undefined) throw new GrammarError('unsupported', `%import ${from.path}`, { path });
    return compilePattern(source, { ...this.#context, path, search: false });
  }

  *#regex(node: LarkNode): Portioned<Regex> {
    const { table, form, pace, bounds } = this.#context;
    if (pace.due()) yield;
    switch (node.kind) {
      case 'name':
        if (isTerminalName(node.name)) return yield* this.#terminal(node.name, node.line);
        throw new GrammarError('invalid', `rule "${node.name}" inside a terminal`, {
          path: `line ${node.line}`,
        });
      case 'text':
        return node.fold ? this.#folded(node.text) : exactly(node.text, { table, form });
      case 'range': {
        const [from, to] = [node.from, node.to].map((text) => text.codePointAt(0) ?? 0);
        if ([...node.from].length !== 1 || [...node.to].length !== 1 || from! > to!) {
          throw new GrammarError('invalid', 'a range takes two characters in order', {
            path: `line ${node.line}`,
          });
        }
        return oneOf(codePoints([[from!, to!]]), { table, form });
      }
      case 'pattern':
        pace.spend(node.source.length);
        return compilePattern(node.source, {
          table,
          form,
          bounds,
          path: `line ${node.line}`,
          search: false,
          flags: node.flags,
        });
      case 'sequence':
        return table.sequence(...(yield* this.#regexes(node.parts)));
      case 'choice':
        return table.or(yield* this.#regexes(node.parts));
      case 'repeat':
        return table.repeat(yield* this.#regex(node.inner), node.min, node.max);
    }
  }

  #folded(text: string): Regex {
    const { table, form } = this.#context;
    const characters = Array.from(text, (character) => character.codePointAt(0)!);
    return table.sequence(
      ...characters.map((point) => oneOf(foldCase(codePoints([[point, point]])), { table, form })),
    );
  }
}

function isTerminalName(name: string): boolean {
  return /^_*[A-Z]/.test(name);
}

function unknownName(name: string, line: number): GrammarError {
  return new GrammarError('invalid', `"${name}" is not defined`, { path: `line ${line}` });
}
