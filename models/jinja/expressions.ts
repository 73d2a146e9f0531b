// An expression and the names that are known → its value. Owns lookup of names, members and items, calls, and the number
// of steps that one rendering may take. Before it: expression-parser.ts; used by statements.ts.
import type { Appliers } from './filter.ts';
import { filterNamed } from './filters.ts';
import { JinjaError } from './jinja-error.ts';
import { dictMethod, listMethod, textMethod } from './methods.ts';
import { operate } from './operators.ts';
import type { Arguments, JinjaExpression } from './syntax-tree.ts';
import { testNamed } from './tests.ts';
import {
  Callable,
  compareValues,
  contains,
  equals,
  Float,
  float,
  hasPairs,
  isDict,
  isFloat,
  isInteger,
  isList,
  isTrue,
  iterate,
  Namespace,
  print,
  Tuple,
  toNumber,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.ts';
import { weightOf } from './weight.ts';

const stepsMax = 5_000_000; // expressions and statements of one rendering: some seconds
const depthMax = 400; // macros within macros

/** Names, looked up outwards. */
export class Scope {
  readonly names = new Map<string, Value>();
  readonly parent: Scope | null;

  constructor(parent: Scope | null) {
    this.parent = parent;
  }

  get(name: string): Value {
    for (let scope: Scope | null = this; scope; scope = scope.parent) {
      const value = scope.names.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}' is undefined`);
  }
}

/** Counts what a rendering does, so that no template runs for ever. */
export class Effort {
  #steps = 0;
  #depth = 0;

  step(): void {
    if (++this.#steps > stepsMax) throw new JinjaError(`takes more than ${stepsMax} steps`);
  }

  /** What was made has to be bearable, and costs steps where it is large: whoever looks at it looks at all of it. */
  made(value: Value): void {
    weightOf(value);
    if (typeof value === 'string') this.#steps += value.length >> 10;
    else if (isList(value) && value.length > 2 ** 14) this.#steps += value.length >> 2;
  }

  within<T>(call: () => T): T {
    if (++this.#depth > depthMax) throw new JinjaError(`calls itself more than ${depthMax} times`);
    try {
      return call();
    } finally {
      this.#depth--;
    }
  }
}

export function evaluate(node: JinjaExpression, scope: Scope, effort: Effort): Value {
  effort.step();
  const made = evaluated(node, scope, effort);
  effort.made(made);
  return made;
}

function evaluated(node: JinjaExpression, scope: Scope, effort: Effort): Value {
  const value = (inner: JinjaExpression) => evaluate(inner, scope, effort);
  switch (node.kind) {
    case 'constant':
      return node.isFloat ? float(node.value as number) : node.value;
    case 'name':
      return scope.get(node.name);
    case 'list':
      return node.items.map(value);
    case 'tuple':
      return new Tuple(node.items.map(value));
    case 'dict':
      return new Map(node.entries.map(([key, item]) => [value(key), value(item)]));
    case 'attribute':
      return attribute(value(node.target), node.name);
    case 'item':
      return item(value(node.target), value(node.index));
    case 'slice': {
      const bound = (part: JinjaExpression | null) => (part === null ? null : value(part));
      return slice(value(node.target), bound(node.start), bound(node.stop), bound(node.step));
    }
    case 'call':
      return effort.within(() => call(value(node.target), node.args, value));
    case 'filter':
      if (node.target === null) throw new JinjaError('a filter has nothing to work on');
      return applyFilter(node.name, value(node.target), readArguments(node.args, value));
    case 'test':
      return applyTest(node.name, value(node.target), readArguments(node.args, value).positional);
    case 'unary':
      return unary(node.operator, value(node.operand));
    case 'binary':
      return binary(node.operator, node.left, node.right, value);
    case 'compare':
      return compareChain(node, value);
    case 'concat':
      return node.parts.map((part) => print(value(part))).join('');
    case 'condition': {
      if (isTrue(value(node.test))) return value(node.taken);
      if (node.otherwise) return value(node.otherwise);
      return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
    }
  }
}

type Evaluate = (node: JinjaExpression) => Value;

interface Given {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

function readArguments(args: Arguments, value: Evaluate): Given {
  const positional = args.positional.flatMap(({ value: node, spread }) =>
    spread ? iterate(value(node)) : [value(node)],
  );
  const named = new Map<string, Value>();
  for (const { name, value: node } of args.named) {
    const given = value(node);
    if (name !== null) named.set(name, given);
    else if (isDict(given)) for (const [key, entry] of given) named.set(print(key), entry);
    else throw new JinjaError(`argument after ** must be a mapping, not ${typeName(given)}`);
  }
  return { positional, named };
}

function call(target: Value, args: Arguments, value: Evaluate): Value {
  const callee = target instanceof Namespace ? (target.members.get('') ?? target) : target;
  if (callee instanceof Undefined) throw new JinjaError(callee.reason);
  if (!(callee instanceof Callable)) throw new JinjaError(`'${typeName(target)}' object is not callable`);
  const { positional, named } = readArguments(args, value);
  return callee.call(positional, named);
}

/** `target.name`: a method or member first, then an item. */
function attribute(target: Value, name: string): Value {
  if (target instanceof Undefined) throw new JinjaError(target.reason);
  const own = member(target, name);
  if (own !== null) return own;
  const held = target instanceof Namespace ? target.members : isDict(target) ? target : null;
  return held?.has(name) ? held.get(name)! : missing(target, name); // it may hold None
}

/** `target[index]`: an item first, then a member. */
function item(target: Value, index: Value): Value {
  if (target instanceof Undefined) throw new JinjaError(target.reason);
  if (isDict(target)) {
    const key = index instanceof Float ? index.value : index;
    if (target.has(key)) return target.get(key)!;
  } else {
    const number = typeof index === 'boolean' || isInteger(index) ? toNumber(index) : null;
    const items = number === null ? null : itemsOf(target);
    if (items) {
      const found = items.at(number!);
      return found === undefined ? missing(target, String(number)) : found;
    }
  }
  return (typeof index === 'string' ? member(target, index) : null) ?? missing(target, print(index));
}

/** What can be reached by number; for a string its characters. */
function itemsOf(target: Value): readonly Value[] | string | null {
  if (typeof target === 'string') return hasPairs(target) ? [...target] : target;
  if (isList(target)) return target;
  if (target instanceof Tuple) return target.items;
  return target instanceof View && target.kind === 'range' ? target.items : null;
}

function member(target: Value, name: string): Value | null {
  if (name.startsWith('_')) return null;
  if (typeof target === 'string') return textMethod(target, name);
  if (isDict(target)) return dictMethod(target, name);
  if (isList(target)) return listMethod(target, name);
  if (target instanceof Namespace) return target.members.get(name) ?? null;
  return null;
}

function missing(target: Value, name: string): Undefined {
  const what = target === null ? 'None' : `'${typeName(target)} object'`;
  return new Undefined(`${what} has no attribute '${name}'`);
}

function slice(target: Value, start: Value, stop: Value, step: Value): Value {
  if (target instanceof Undefined) throw new JinjaError(target.reason);
  const items = itemsOf(target);
  if (items === null) return missing(target, 'slice');
  const number = (value: Value, absent: number) => {
    if (value === null) return absent;
    if (isInteger(value)) return value;
    throw new JinjaError('slice indices must be integers or None');
  };
  const by = number(step, 1);
  if (by === 0) throw new JinjaError('slice step cannot be zero');
  const { length } = items;
  const clamp = (value: number) =>
    value < 0 ? Math.max(value + length, by < 0 ? -1 : 0) : Math.min(value, by < 0 ? length - 1 : length);
  const from = start === null ? (by < 0 ? length - 1 : 0) : clamp(number(start, 0));
  const to = stop === null ? (by < 0 ? -1 : length) : clamp(number(stop, 0));
  const taken: Value[] = [];
  for (let at = from; by > 0 ? at < to : at > to; at += by) taken.push(items[at]!);
  if (typeof target === 'string') return taken.join('');
  return target instanceof Tuple ? new Tuple(taken) : taken;
}

function unary(operator: '-' | '+' | 'not', operand: Value): Value {
  if (operator === 'not') return !isTrue(operand);
  if (operand instanceof Undefined) throw new JinjaError(operand.reason);
  const number = toNumber(operand);
  if (number === null) throw new JinjaError(`bad operand type for unary ${operator}: '${typeName(operand)}'`);
  const result = operator === '-' ? -number : number;
  return isFloat(operand) ? float(result) : result + 0;
}

function binary(operator: string, left: JinjaExpression, right: JinjaExpression, value: Evaluate): Value {
  const first = value(left);
  if (operator === 'and') return isTrue(first) ? value(right) : first;
  if (operator === 'or') return isTrue(first) ? first : value(right);
  return operate(operator, first, value(right));
}

function compareChain(node: Extract<JinjaExpression, { kind: 'compare' }>, value: Evaluate): Value {
  let left = value(node.first);
  for (const { operator, operand } of node.rest) {
    const right = value(operand);
    if (!holds(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function holds(operator: string, left: Value, right: Value): boolean {
  if (operator === '==') return equals(left, right);
  if (operator === '!=') return !equals(left, right);
  if (operator === 'in') return contains(right, left);
  if (operator === 'not in') return !contains(right, left);
  for (const operand of [left, right]) if (operand instanceof Undefined) throw new JinjaError(operand.reason);
  const order = compareValues(left, right);
  if (operator === '<') return order < 0;
  if (operator === '<=') return order <= 0;
  return operator === '>' ? order > 0 : order >= 0;
}

/** Throws JinjaError for a filter that is not known. */
function applyFilter(name: string, value: Value, given: Given): Value {
  if (name === 'attr') return member(value, print(given.positional[0] ?? '')) ?? missing(value, 'that name');
  const filter = filterNamed(name);
  if (filter) return filter(value, given.positional, given.named, appliers);
  throw new JinjaError(`there is no filter named ${JSON.stringify(name)}`);
}

function applyTest(name: string, value: Value, positional: readonly Value[]): boolean {
  const test = testNamed(name);
  if (test) return test(value, positional[0] ?? null);
  throw new JinjaError(`there is no test named ${JSON.stringify(name)}`);
}

const appliers: Appliers = {
  filter: (name, value, positional) => applyFilter(name, value, { positional, named: new Map() }),
  test: applyTest,
  attribute: (value, path) => {
    if (typeof path !== 'string') return item(value, path);
    return path.split('.').reduce((inner: Value, part) => {
      return item(inner, /^\d+$/.test(part) ? Number(part) : part);
    }, value);
  },
};

/** The filters of a `filter` or `set` block, around what the block contains. */
export function applyChain(chain: JinjaExpression, content: string, scope: Scope, effort: Effort): Value {
  if (chain.kind !== 'filter') throw new JinjaError('expected filters');
  const value = chain.target === null ? content : applyChain(chain.target, content, scope, effort);
  return applyFilter(
    chain.name,
    value,
    readArguments(chain.args, (node) => evaluate(node, scope, effort)),
  );
}
