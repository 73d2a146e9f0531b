// A context-free grammar over byte expressions, and its lowering to the graph that pushdown.ts walks. Here left
// recursion is rewritten and everything that can never end is cut off, so that a walk never meets a dead end.
// Before it: json-schema.ts, lark.ts and call-grammar.ts; after it: pushdown.ts.
import type { Automaton } from './automaton.ts';
import type { Regex } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';

export type Expression =
  | { readonly kind: 'terminal'; readonly regex: Regex }
  | { readonly kind: 'sequence' | 'choice'; readonly items: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly item: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string };

export interface Grammar {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly start: string; // name of a rule
}

export const terminal = (regex: Regex): Expression => ({ kind: 'terminal', regex });
export const sequence = (...items: readonly Expression[]): Expression => ({ kind: 'sequence', items });
export const choice = (...items: readonly Expression[]): Expression => ({ kind: 'choice', items });
export const rule = (name: string): Expression => ({ kind: 'rule', name });
export const repeat = (item: Expression, min: number, max = Number.POSITIVE_INFINITY): Expression => ({
  kind: 'repeat',
  item,
  min,
  max,
});

export type GraphNode =
  | { readonly kind: 'end'; readonly index: number }
  | { readonly kind: 'split'; readonly index: number; readonly targets: readonly GraphNode[] }
  | TerminalNode
  | { readonly kind: 'call'; readonly index: number; readonly body: RuleBody; readonly next: GraphNode }
  | RepeatNode;

export interface TerminalNode {
  readonly kind: 'terminal';
  readonly index: number;
  readonly automaton: Automaton;
  readonly next: GraphNode;
}

export interface RepeatNode {
  readonly kind: 'repeat';
  readonly index: number;
  readonly body: GraphNode; // up to an `end`
  readonly min: number;
  readonly max: number; // inclusive, or infinite
  readonly next: GraphNode;
}

/** Filled after its callers exist: rules may call each other. */
interface RuleBody {
  start: GraphNode;
}

const nodesMax = 100_000;
const automataPerTurn = 64; // made before other work goes on, below 2 ms

/**
 * Lowers a grammar. Yields between portions of work. `automatonOf` gives one automaton for equal expressions. Throws
 * GrammarError: 'invalid' for an unknown rule, 'unsupported' for hidden left recursion, 'unsatisfiable', 'too-large'.
 */
export function* lowerGrammar(
  grammar: Grammar,
  automatonOf: (regex: Regex) => Automaton,
): Generator<void, GraphNode> {
  checkRuleNames(grammar);
  const nullable = nullableRules(grammar);
  yield; // each of these passes takes long where thousands of rules are
  const rules = withoutLeftRecursion(grammar.rules, nullable);
  yield;
  const satisfiable = new Map<Regex, boolean>();
  for (const [name, body] of rules) {
    for (const regex of terminalsOf(body)) {
      if (satisfiable.has(regex)) continue;
      satisfiable.set(regex, yield* automatonOf(regex).close(name));
      if (satisfiable.size % automataPerTurn === 0) yield;
    }
  }
  yield;
  const productive = productiveRules(rules, satisfiable);
  yield;
  if (!productive.has(grammar.start)) {
    throw new GrammarError('unsatisfiable', 'no finite text matches', { path: grammar.start });
  }
  return new Lowering({ rules, satisfiable, productive, automatonOf }).lower(grammar.start);
}

interface Analysed {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly satisfiable: ReadonlyMap<Regex, boolean>;
  readonly productive: ReadonlySet<string>;
  readonly automatonOf: (regex: Regex) => Automaton;
}

class Lowering {
  readonly #analysed: Analysed;
  readonly #bodies = new Map<string, RuleBody>();
  readonly #todo: string[] = [];
  readonly #end: GraphNode = { kind: 'end', index: 0 };
  #nodeCount = 1;

  constructor(analysed: Analysed) {
    this.#analysed = analysed;
  }

  lower(start: string): GraphNode {
    const body = this.#body(start);
    for (let name = this.#todo.pop(); name !== undefined; name = this.#todo.pop()) {
      this.#bodies.get(name)!.start = this.#node(this.#analysed.rules.get(name)!, this.#end);
    }
    return body.start;
  }

  #body(name: string): RuleBody {
    let body = this.#bodies.get(name);
    if (body === undefined) {
      body = { start: this.#end };
      this.#bodies.set(name, body);
      this.#todo.push(name);
    }
    return body;
  }

  #node(expression: Expression, next: GraphNode): GraphNode {
    if (this.#nodeCount > nodesMax) {
      throw new GrammarError('too-large', `a grammar of more than ${nodesMax} nodes`, { path: '' });
    }
    switch (expression.kind) {
      case 'terminal':
        if (expression.regex.kind === 'empty') return next;
        return {
          kind: 'terminal',
          index: this.#nodeCount++,
          automaton: this.#analysed.automatonOf(expression.regex),
          next,
        };
      case 'sequence':
        return expression.items.reduceRight((rest, item) => this.#node(item, rest), next);
      case 'choice': {
        const items = expression.items.filter((item) => isProductive(item, this.#analysed));
        if (items.length === 1) return this.#node(items[0]!, next);
        const targets = items.map((item) => this.#node(item, next));
        return { kind: 'split', index: this.#nodeCount++, targets };
      }
      case 'repeat': {
        if (!isProductive(expression.item, this.#analysed) || expression.max === 0) return next;
        const body = this.#node(expression.item, this.#end);
        const { min, max } = expression;
        return { kind: 'repeat', index: this.#nodeCount++, body, min, max, next };
      }
      case 'rule':
        return { kind: 'call', index: this.#nodeCount++, body: this.#body(expression.name), next };
    }
  }
}

function checkRuleNames({ rules, start }: Grammar): void {
  if (!rules.has(start)) throw new GrammarError('invalid', `there is no rule "${start}"`, { path: start });
  for (const [name, body] of rules) {
    visit(body, (part) => {
      if (part.kind === 'rule' && !rules.has(part.name)) {
        throw new GrammarError('invalid', `there is no rule "${part.name}"`, { path: name });
      }
    });
  }
}

function visit(expression: Expression, see: (part: Expression) => void): void {
  see(expression);
  if (expression.kind === 'sequence' || expression.kind === 'choice') {
    for (const item of expression.items) visit(item, see);
  } else if (expression.kind === 'repeat') visit(expression.item, see);
}

function terminalsOf(body: Expression): Regex[] {
  const found: Regex[] = [];
  visit(body, (part) => {
    if (part.kind === 'terminal') found.push(part.regex);
  });
  return found;
}

/** The least set of rules for which `holds`: a rule is looked at again when one that it mentions has come in. */
function fixpoint(
  rules: ReadonlyMap<string, Expression>,
  holds: (body: Expression, names: Set<string>) => boolean,
): ReadonlySet<string> {
  const users = new Map<string, string[]>();
  for (const [name, body] of rules) {
    visit(body, (part) => {
      if (part.kind !== 'rule') return;
      if (!users.has(part.name)) users.set(part.name, []);
      users.get(part.name)!.push(name);
    });
  }
  const names = new Set<string>();
  const todo = [...rules.keys()];
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    if (names.has(name) || !holds(rules.get(name)!, names)) continue;
    names.add(name);
    for (const user of users.get(name) ?? []) if (!names.has(user)) todo.push(user);
  }
  return names;
}

function nullableRules({ rules }: Grammar): ReadonlySet<string> {
  return fixpoint(rules, isNullable);
}

function isNullable(expression: Expression, names: ReadonlySet<string>): boolean {
  switch (expression.kind) {
    case 'terminal':
      return expression.regex.nullable;
    case 'sequence':
      return expression.items.every((item) => isNullable(item, names));
    case 'choice':
      return expression.items.some((item) => isNullable(item, names));
    case 'repeat':
      return expression.min === 0 || isNullable(expression.item, names);
    case 'rule':
      return names.has(expression.name);
  }
}

function productiveRules(
  rules: Analysed['rules'],
  satisfiable: Analysed['satisfiable'],
): ReadonlySet<string> {
  return fixpoint(rules, (body, productive) => isProductive(body, { satisfiable, productive }));
}

function isProductive(expression: Expression, known: Pick<Analysed, 'satisfiable' | 'productive'>): boolean {
  switch (expression.kind) {
    case 'terminal':
      return known.satisfiable.get(expression.regex)!;
    case 'sequence':
      return expression.items.every((item) => isProductive(item, known));
    case 'choice':
      return expression.items.some((item) => isProductive(item, known));
    case 'repeat':
      return expression.min === 0 || isProductive(expression.item, known);
    case 'rule':
      return known.productive.has(expression.name);
  }
}

/** `a: a x | y` → `a: y x*`. Other left recursion (through several rules, behind something empty) is refused. */
function withoutLeftRecursion(
  rules: ReadonlyMap<string, Expression>,
  nullable: ReadonlySet<string>,
): ReadonlyMap<string, Expression> {
  const rewritten = new Map<string, Expression>();
  for (const [name, body] of rules) rewritten.set(name, withoutDirect(name, body));
  const heads = new Map<string, ReadonlySet<string>>();
  for (const [name, body] of rewritten) heads.set(name, headsOf(body, nullable));
  const finished = new Set<string>();
  for (const name of heads.keys()) checkCycles(name, { heads, finished });
  return rewritten;
}

function withoutDirect(name: string, body: Expression): Expression {
  const alternatives = flatChoices(body);
  const isRecursive = (item: Expression): boolean => {
    const first = flatSequence(item)[0];
    return first?.kind === 'rule' && first.name === name;
  };
  if (!alternatives.some(isRecursive)) return body;
  const tails = alternatives.filter(isRecursive).map((item) => sequence(...flatSequence(item).slice(1)));
  const bases = alternatives.filter((item) => !isRecursive(item));
  return sequence(choice(...bases), repeat(choice(...tails), 0));
}

function flatChoices(expression: Expression): Expression[] {
  return expression.kind === 'choice' ? expression.items.flatMap(flatChoices) : [expression];
}

function flatSequence(expression: Expression): Expression[] {
  return expression.kind === 'sequence' ? expression.items.flatMap(flatSequence) : [expression];
}

/** Rules that may come first in the expression. */
function headsOf(expression: Expression, nullable: ReadonlySet<string>): Set<string> {
  const heads = new Set<string>();
  const add = (part: Expression): void => {
    if (part.kind === 'rule') heads.add(part.name);
    else if (part.kind === 'choice') part.items.forEach(add);
    else if (part.kind === 'repeat') add(part.item);
    else if (part.kind === 'sequence') {
      for (const item of part.items) {
        add(item);
        if (!isNullable(item, nullable)) break;
      }
    }
  };
  add(expression);
  return heads;
}

function checkCycles(
  root: string,
  { heads, finished }: { heads: ReadonlyMap<string, ReadonlySet<string>>; finished: Set<string> },
): void {
  const path: { name: string; todo: Iterator<string> }[] = [];
  const open = new Set<string>();
  const enter = (name: string): void => {
    open.add(name);
    path.push({ name, todo: heads.get(name)!.values() });
  };
  if (!finished.has(root)) enter(root);
  while (path.length > 0) {
    const { name, todo } = path.at(-1)!;
    const next = todo.next();
    if (next.done) {
      path.pop();
      open.delete(name);
      finished.add(name);
    } else if (open.has(next.value)) {
      const cycle = [...path.map((step) => step.name), next.value].slice(-5).join(' → ');
      throw new GrammarError('unsupported', `left recursion through several rules: ${cycle}`, { path: root });
    } else if (!finished.has(next.value)) enter(next.value);
  }
}
