// Text and tags → a tree of statements. Owns which statements there are: Jinja's, transformers' `generation`, and no
// others (nothing is included, imported or inherited: a chat template is one text). After it: statements.ts.
import {
  parseExpression,
  parseFilters,
  parseParameters,
  parseTarget,
  parseTuple,
} from './expression-parser.ts';
import { JinjaError } from './jinja-error.ts';
import { lex, type TemplatePart } from './lexer.ts';
import type { AssignTarget, Body, JinjaExpression, Statement } from './syntax-tree.ts';
import { TokenReader } from './token-reader.ts';

/** Throws JinjaError. */
export function parse(source: string): Body {
  const parser = new Parser(lex(source));
  const { body, end } = parser.body([]);
  if (end !== null) throw new JinjaError(`unexpected ${end.name}`);
  return body;
}

interface End {
  readonly name: string;
  readonly reader: TokenReader; // behind the name
}

/** Owns the place among the parts. */
class Parser {
  readonly #parts: readonly TemplatePart[];
  #at = 0;
  #loops = 0;

  constructor(parts: readonly TemplatePart[]) {
    this.#parts = parts;
  }

  /** Statements up to a tag that is one of `ends`, which is consumed; null at the end of the template. */
  body(ends: readonly string[]): { body: Body; end: End | null } {
    const body: Statement[] = [];
    while (this.#at < this.#parts.length) {
      const part = this.#parts[this.#at++]!;
      if (part.kind === 'text') body.push(part);
      else if (part.kind === 'output') {
        const reader = new TokenReader(part.tokens);
        body.push({ kind: 'output', value: parseTuple(reader) });
        reader.end();
      } else {
        const reader = new TokenReader(part.tokens);
        const name = reader.expect('name');
        if (ends.includes(name)) return { body, end: { name, reader } };
        body.push(this.#statement(name, reader));
      }
    }
    if (ends.length > 0) throw new JinjaError(`${ends.at(-1)} is missing`);
    return { body, end: null };
  }

  #until(...ends: string[]): { body: Body; end: End } {
    const { body, end } = this.body(ends);
    return { body, end: end! };
  }

  #closed(end: string): Body {
    const found = this.#until(end);
    if (end === 'endmacro' || end === 'endcall') return found.body; // may name what it ends
    found.end.reader.end();
    return found.body;
  }

  #statement(name: string, reader: TokenReader): Statement {
    switch (name) {
      case 'if':
        return this.#if(reader);
      case 'for':
        return this.#for(reader);
      case 'set':
        return this.#set(reader);
      case 'macro': {
        const macro = reader.expect('name');
        const parameters = parseParameters(reader);
        reader.end();
        return { kind: 'macro', name: macro, parameters, body: this.#closed('endmacro') };
      }
      case 'call': {
        const parameters = reader.isOperator('(') ? parseParameters(reader) : [];
        const call = parseExpression(reader);
        reader.end();
        return { kind: 'call', parameters, call, body: this.#closed('endcall') };
      }
      case 'filter': {
        const filter = filterChain(reader, true);
        return { kind: 'filter', filter, body: this.#closed('endfilter') };
      }
      case 'with':
        return { kind: 'with', bindings: bindings(reader), body: this.#closed('endwith') };
      case 'generation':
        reader.end();
        return { kind: 'scope', body: this.#closed('endgeneration') };
      case 'break':
      case 'continue':
        reader.end();
        if (this.#loops === 0) throw new JinjaError(`${name} is outside of a loop`);
        return { kind: name };
      default:
        throw new JinjaError(`unknown tag ${JSON.stringify(name)}`);
    }
  }

  #if(reader: TokenReader): Statement {
    const branches: { test: JinjaExpression; body: Body }[] = [];
    for (let from = reader; ; ) {
      const test = parseTuple(from);
      from.end();
      const { body, end } = this.#until('elif', 'else', 'endif');
      branches.push({ test, body });
      from = end.reader;
      if (end.name === 'elif') continue;
      from.end();
      return { kind: 'if', branches, otherwise: end.name === 'else' ? this.#closed('endif') : [] };
    }
  }

  #for(reader: TokenReader): Statement {
    const target = parseTarget(reader, false);
    reader.expect('name', 'in');
    const over = parseTuple(reader, false);
    const filter = reader.skip('name', 'if') ? parseExpression(reader) : null;
    const recursive = reader.skip('name', 'recursive');
    reader.end();
    this.#loops++;
    const { body, end } = this.#until('else', 'endfor');
    this.#loops--;
    end.reader.end();
    const otherwise = end.name === 'else' ? this.#closed('endfor') : [];
    return { kind: 'for', target, over, filter, recursive, body, otherwise };
  }

  #set(reader: TokenReader): Statement {
    const target = parseTarget(reader, true);
    if (reader.skip('operator', '=')) {
      const value = parseTuple(reader);
      reader.end();
      return { kind: 'set', target, value };
    }
    const filter = reader.isOperator('|') ? filterChain(reader, false) : null;
    reader.end();
    return { kind: 'setBlock', target, filter, body: this.#closed('endset') };
  }
}

/** Filters without what they are applied to; `named` ones begin with a name, others with a bar. */
function filterChain(reader: TokenReader, named: boolean): JinjaExpression {
  const tokens = named ? [{ kind: 'operator', text: '|' } as const] : [];
  const rest: { kind: 'name' | 'string' | 'integer' | 'float' | 'operator'; text: string }[] = [];
  while (!reader.done) rest.push(reader.next());
  const chain = new TokenReader([...tokens, ...rest]);
  const filter = parseFilters(chain, null);
  chain.end();
  return filter;
}

function bindings(reader: TokenReader): { target: AssignTarget; value: JinjaExpression }[] {
  const found: { target: AssignTarget; value: JinjaExpression }[] = [];
  while (!reader.done) {
    if (found.length > 0) reader.expect('operator', ',');
    const name = reader.expect('name');
    reader.expect('operator', '=');
    found.push({ target: { kind: 'name', name }, value: parseExpression(reader) });
  }
  return found;
}
