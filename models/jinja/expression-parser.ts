// Tokens → an expression, with Jinja's precedences. After it: expressions.ts. Before it: parser.ts.
import { JinjaError } from './jinja-error.ts';
import type { Arguments, AssignTarget, JinjaExpression, Parameter } from './syntax-tree.ts';
import type { TokenReader } from './token-reader.ts';

const constants: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);
const comparisons = ['==', '!=', '<', '<=', '>', '>='];

export function parseExpression(reader: TokenReader): JinjaExpression {
  let expression = parseOr(reader);
  while (reader.skip('name', 'if')) {
    const test = parseOr(reader);
    const otherwise = reader.skip('name', 'else') ? parseExpression(reader) : null;
    expression = { kind: 'condition', test, taken: expression, otherwise };
  }
  return expression;
}

/** `a, b` is a tuple. `withCondition` false leaves an `if` to the statement. */
export function parseTuple(reader: TokenReader, withCondition = true): JinjaExpression {
  const parse = withCondition ? parseExpression : parseOr;
  const first = parse(reader);
  if (!reader.isOperator(',')) return first;
  const items = [first];
  while (reader.skip('operator', ',')) {
    if (reader.done || reader.isOperator('=') || reader.isOperator(')')) break;
    items.push(parse(reader));
  }
  return { kind: 'tuple', items };
}

function parseOr(reader: TokenReader): JinjaExpression {
  return parseLeft(reader, parseAnd, ['or'], 'name');
}

function parseAnd(reader: TokenReader): JinjaExpression {
  return parseLeft(reader, parseNot, ['and'], 'name');
}

function parseNot(reader: TokenReader): JinjaExpression {
  if (!reader.skip('name', 'not')) return parseCompare(reader);
  return { kind: 'unary', operator: 'not', operand: parseNot(reader) };
}

function parseCompare(reader: TokenReader): JinjaExpression {
  const first = parseSum(reader);
  const rest: { operator: string; operand: JinjaExpression }[] = [];
  for (;;) {
    const token = reader.peek();
    if (token?.kind === 'operator' && comparisons.includes(token.text)) {
      reader.next();
      rest.push({ operator: token.text, operand: parseSum(reader) });
    } else if (reader.skip('name', 'in')) {
      rest.push({ operator: 'in', operand: parseSum(reader) });
    } else if (reader.isName('not') && reader.isName('in', 1)) {
      reader.next();
      reader.next();
      rest.push({ operator: 'not in', operand: parseSum(reader) });
    } else break;
  }
  return rest.length === 0 ? first : { kind: 'compare', first, rest };
}

function parseSum(reader: TokenReader): JinjaExpression {
  return parseLeft(reader, parseConcat, ['+', '-'], 'operator');
}

function parseConcat(reader: TokenReader): JinjaExpression {
  const parts = [parseProduct(reader)];
  while (reader.skip('operator', '~')) parts.push(parseProduct(reader));
  return parts.length === 1 ? parts[0]! : { kind: 'concat', parts };
}

function parseProduct(reader: TokenReader): JinjaExpression {
  return parseLeft(reader, parsePower, ['*', '/', '//', '%'], 'operator');
}

function parsePower(reader: TokenReader): JinjaExpression {
  return parseLeft(reader, (inner) => parseUnary(inner, true), ['**'], 'operator');
}

function parseLeft(
  reader: TokenReader,
  operand: (reader: TokenReader) => JinjaExpression,
  operators: readonly string[],
  kind: 'name' | 'operator',
): JinjaExpression {
  let left = operand(reader);
  for (;;) {
    const token = reader.peek();
    if (token?.kind !== kind || !operators.includes(token.text)) return left;
    reader.next();
    left = { kind: 'binary', operator: token.text, left, right: operand(reader) };
  }
}

function parseUnary(reader: TokenReader, withFilters: boolean): JinjaExpression {
  let node: JinjaExpression;
  if (reader.skip('operator', '-'))
    node = { kind: 'unary', operator: '-', operand: parseUnary(reader, false) };
  else if (reader.skip('operator', '+'))
    node = { kind: 'unary', operator: '+', operand: parseUnary(reader, false) };
  else node = parsePostfix(reader, parsePrimary(reader));
  return withFilters ? parseFilters(reader, node) : node;
}

function parsePrimary(reader: TokenReader): JinjaExpression {
  const token = reader.next();
  switch (token.kind) {
    case 'name': {
      const constant = constants.get(token.text);
      if (constant !== undefined) return { kind: 'constant', value: constant };
      return { kind: 'name', name: token.text };
    }
    case 'string': {
      let value = token.text;
      while (reader.is('string')) value += reader.next().text;
      return { kind: 'constant', value };
    }
    case 'integer':
      return { kind: 'constant', value: Number(token.text) };
    case 'float':
      return { kind: 'constant', value: Number(token.text), isFloat: true };
  }
  if (token.text === '(') return parseParenthesised(reader);
  if (token.text === '[') return { kind: 'list', items: parseItems(reader, ']') };
  if (token.text === '{') return parseDict(reader);
  throw new JinjaError(`unexpected ${JSON.stringify(token.text)} in an expression`);
}

function parseParenthesised(reader: TokenReader): JinjaExpression {
  if (reader.skip('operator', ')')) return { kind: 'tuple', items: [] };
  const inner = parseTuple(reader);
  reader.expect('operator', ')');
  return inner;
}

function parseItems(reader: TokenReader, closing: string): JinjaExpression[] {
  const items: JinjaExpression[] = [];
  while (!reader.skip('operator', closing)) {
    if (items.length > 0) {
      reader.expect('operator', ',');
      if (reader.skip('operator', closing)) break;
    }
    items.push(parseExpression(reader));
  }
  return items;
}

function parseDict(reader: TokenReader): JinjaExpression {
  const entries: [JinjaExpression, JinjaExpression][] = [];
  while (!reader.skip('operator', '}')) {
    if (entries.length > 0) {
      reader.expect('operator', ',');
      if (reader.skip('operator', '}')) break;
    }
    const key = parseExpression(reader);
    reader.expect('operator', ':');
    entries.push([key, parseExpression(reader)]);
  }
  return { kind: 'dict', entries };
}

function parsePostfix(reader: TokenReader, start: JinjaExpression): JinjaExpression {
  let node = start;
  for (;;) {
    if (reader.skip('operator', '.')) {
      const token = reader.next();
      if (token.kind === 'name') node = { kind: 'attribute', target: node, name: token.text };
      else if (token.kind === 'integer') {
        node = { kind: 'item', target: node, index: { kind: 'constant', value: Number(token.text) } };
      } else throw new JinjaError(`unexpected ${JSON.stringify(token.text)} after a dot`);
    } else if (reader.skip('operator', '[')) node = parseSubscript(reader, node);
    else if (reader.isOperator('(')) node = { kind: 'call', target: node, args: parseArguments(reader) };
    else return node;
  }
}

function parseSubscript(reader: TokenReader, target: JinjaExpression): JinjaExpression {
  const bounds: (JinjaExpression | null)[] = [];
  let colons = 0;
  let bound: JinjaExpression | null = null;
  while (!reader.skip('operator', ']')) {
    if (reader.skip('operator', ':')) {
      bounds.push(bound);
      bound = null;
      colons++;
    } else if (bound === null) bound = parseTuple(reader);
    else throw new JinjaError('a subscript has no end');
  }
  bounds.push(bound);
  if (colons > 2) throw new JinjaError('a slice has too many colons');
  if (colons === 0) {
    if (bound === null) throw new JinjaError('a subscript is empty');
    return { kind: 'item', target, index: bound };
  }
  const [start = null, stop = null, step = null] = bounds;
  return { kind: 'slice', target, start, stop, step };
}

export function parseFilters(reader: TokenReader, start: JinjaExpression | null): JinjaExpression {
  let node = start;
  for (;;) {
    if (reader.skip('operator', '|')) {
      node = { kind: 'filter', target: node, name: reader.expect('name'), args: optionalArguments(reader) };
    } else if (node !== null && reader.skip('name', 'is')) node = parseTest(reader, node);
    else if (node !== null && reader.isOperator('('))
      node = { kind: 'call', target: node, args: parseArguments(reader) };
    else if (node === null) throw new JinjaError('a filter has no name');
    else return node;
  }
}

function parseTest(reader: TokenReader, target: JinjaExpression): JinjaExpression {
  const negated = reader.skip('name', 'not');
  const token = reader.next();
  if (token.kind !== 'name') throw new JinjaError(`${JSON.stringify(token.text)} is no test`);
  let args = optionalArguments(reader);
  const next = reader.peek();
  const isWord = next?.kind === 'name' && ['else', 'or', 'and', 'is', 'if', 'not', 'in'].includes(next.text);
  const opens = next?.kind === 'operator' ? ['[', '{', '('].includes(next.text) : next !== undefined;
  if (args === noArguments && opens && !isWord) {
    const value = parsePostfix(reader, parsePrimary(reader));
    args = { positional: [{ value, spread: false }], named: [] };
  }
  const test: JinjaExpression = { kind: 'test', target, name: token.text, args };
  return negated ? { kind: 'unary', operator: 'not', operand: test } : test;
}

const noArguments: Arguments = { positional: [], named: [] };

function optionalArguments(reader: TokenReader): Arguments {
  return reader.isOperator('(') ? parseArguments(reader) : noArguments;
}

function parseArguments(reader: TokenReader): Arguments {
  reader.expect('operator', '(');
  const positional: { value: JinjaExpression; spread: boolean }[] = [];
  const named: { name: string | null; value: JinjaExpression }[] = [];
  for (let count = 0; !reader.skip('operator', ')'); count++) {
    if (count > 0) {
      reader.expect('operator', ',');
      if (reader.skip('operator', ')')) break;
    }
    if (reader.skip('operator', '**')) named.push({ name: null, value: parseExpression(reader) });
    else if (reader.skip('operator', '*')) positional.push({ value: parseExpression(reader), spread: true });
    else if (reader.is('name') && reader.is('operator', '=', 1)) {
      const name = reader.expect('name');
      reader.next();
      named.push({ name, value: parseExpression(reader) });
    } else positional.push({ value: parseExpression(reader), spread: false });
  }
  return { positional, named };
}

/** What a value is given to. `members` allows those of a namespace. */
export function parseTarget(reader: TokenReader, members: boolean): AssignTarget {
  const targets: AssignTarget[] = [];
  let isTuple = false;
  do {
    if (targets.length > 0 && (reader.isName('in') || reader.isOperator('='))) break;
    if (reader.skip('operator', '(')) {
      targets.push(parseTarget(reader, false));
      reader.expect('operator', ')');
      continue;
    }
    const name = reader.expect('name');
    if (members && reader.skip('operator', '.')) {
      targets.push({ kind: 'member', object: name, name: reader.expect('name') });
    } else targets.push({ kind: 'name', name });
    isTuple ||= reader.isOperator(',');
  } while (reader.skip('operator', ','));
  return isTuple ? { kind: 'targets', targets } : targets[0]!;
}

/** `(a, b=1)` of a macro or a call. */
export function parseParameters(reader: TokenReader): Parameter[] {
  const parameters: Parameter[] = [];
  reader.expect('operator', '(');
  while (!reader.skip('operator', ')')) {
    if (parameters.length > 0) reader.expect('operator', ',');
    const name = reader.expect('name');
    parameters.push({ name, default: reader.skip('operator', '=') ? parseExpression(reader) : null });
  }
  return parameters;
}
