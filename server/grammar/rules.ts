// A context-free grammar over byte expressions, and its lowering to the graph that pushdown.ts walks. Here left
// recursion is rewritten and everything that can never end is cut off, so that a walk never meets a dead end.
// Before it: json-schema.ts, lark.ts and tools/call-grammar.ts; after it: pushdown.ts.
import type { Automaton } from './automaton.ts';
import type { GrammarBounds } from './bounds.ts';
import type { Regex } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import type { Pace, Portioned } from './pace.ts';

export type Expression =
  // `opens`: it begins with the brace of a JSON object
  | { readonly kind: 'terminal'; readonly regex: Regex; readonly opens?: boolean }
  | { readonly kind: 'sequence' | 'choice'; readonly items: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly item: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string };

export interface Grammar {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly start: string; // name of a rule
}

export const terminal = (regex: Regex): Expression => ({ kind: 'terminal', regex });
export const objectStart = (regex: Regex): Expression => ({ kind: 'terminal', regex, opens: true });
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
  readonly opens: boolean; // it begins with the brace of a JSON object
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

const automatonSteps = 16; // what making one counts for

/**
 * Lowers a grammar, in portions. `openAutomaton` is asked once for each expression. Throws GrammarError: 'invalid' for
 * an unknown rule, 'unsupported' for hidden left recursion, 'unsatisfiable', 'too-large'.
 */
export function* lowerGrammar(grammar: Grammar, context: LoweringContext): Portioned<GraphNode> {
  const { pace } = context;
  yield* checkRuleNames(grammar, pace);
  const nullable = yield* fixpoint(grammar.rules, isNullable, pace);
  const rules = yield* withoutLeftRecursion(grammar.rules, nullable, pace);
  const satisfiable = new Map<Regex, boolean>();
  const automata = new Map<Regex, Automaton>();
  for (const [name, body] of rules) {
    for (const regex of terminalsOf(body)) {
      if (pace.due()) yield;
      if (automata.has(regex)) continue;
      const automaton = yield* context.openAutomaton(regex);
      automata.set(regex, automaton);
      satisfiable.set(regex, yield* automaton.close(name, context.bounds.grammarStatesMax));
      if (pace.due(automatonSteps)) yield;
    }
  }
  const isProductiveBody = (body: Expression, names: ReadonlySet<string>, tally: Tally): boolean =>
    isProductive(body, { satisfiable, productive: names }, tally);
  const productive = yield* fixpoint(rules, isProductiveBody, pace);
  if (!productive.has(grammar.start)) {
    throw new GrammarError('unsatisfiable', 'no finite text matches', { path: grammar.start });
  }
  return yield* new Lowering({ rules, satisfiable, productive, automata }, context).lower(grammar.start);
}

export interface LoweringContext {
  readonly pace: Pace;
  readonly bounds: Pick<GrammarBounds, 'grammarNodesMax' | 'grammarStatesMax'>;
  readonly openAutomaton: (regex: Regex) => Portioned<Automaton>;
}

interface Analysed {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly satisfiable: ReadonlyMap<Regex, boolean>;
  readonly productive: ReadonlySet<string>;
  readonly automata: ReadonlyMap<Regex, Automaton>;
}

class Lowering {
  readonly #analysed: Analysed;
  readonly #bodies = new Map<string, RuleBody>();
  readonly #todo: string[] = [];
  readonly #end: GraphNode = { kind: 'end', index: 0 };
  #nodeCount = 1;
  readonly #tally: Tally = { count: 0 };
  readonly #context: LoweringContext;

  constructor(analysed: Analysed, context: LoweringContext) {
    this.#analysed = analysed;
    this.#context = context;
  }

  *lower(start: string): Portioned<GraphNode> {
    const body = this.#body(start);
    for (let name = this.#todo.pop(); name !== undefined; name = this.#todo.pop()) {
      this.#bodies.get(name)!.start = yield* this.#node(this.#analysed.rules.get(name)!, this.#end);
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

  *#node(expression: Expression, next: GraphNode): Portioned<GraphNode> {
    const { grammarNodesMax: most } = this.#context.bounds;
    if (this.#nodeCount > most) {
      const message = `a grammar of more than ${most} nodes (--grammar-nodes)`;
      throw new GrammarError('too-large', message, { path: 'start' });
    }
    if (this.#context.pace.due(2 + this.#tally.count)) yield;
    this.#tally.count = 0;
    switch (expression.kind) {
      case 'terminal':
        if (expression.regex.kind === 'empty') return next;
        return {
          kind: 'terminal',
          index: this.#nodeCount++,
          automaton: this.#analysed.automata.get(expression.regex)!,
          opens: expression.opens ?? false,
          next,
        };
      case 'sequence': {
        let rest = next;
        for (const item of expression.items.toReversed()) rest = yield* this.#node(item, rest);
        return rest;
      }
      case 'choice': {
        const items = expression.items.filter((item) => isProductive(item, this.#analysed, this.#tally));
        if (items.length === 1) return yield* this.#node(items[0]!, next);
        const targets: GraphNode[] = [];
        for (const item of items) targets.push(yield* this.#node(item, next));
        return { kind: 'split', index: this.#nodeCount++, targets };
      }
      case 'repeat': {
        if (!isProductive(expression.item, this.#analysed, this.#tally) || expression.max === 0) return next;
        const body = yield* this.#node(expression.item, this.#end);
        const { min, max } = expression;
        return { kind: 'repeat', index: this.#nodeCount++, body, min, max, next };
      }
      case 'rule':
        return { kind: 'call', index: this.#nodeCount++, body: this.#body(expression.name), next };
    }
  }
}

function* checkRuleNames({ rules, start }: Grammar, pace: Pace): Portioned<void> {
  if (!rules.has(start)) throw new GrammarError('invalid', `there is no rule "${start}"`, { path: start });
  for (const [name, body] of rules) {
    let size = 0;
    visit(body, (part) => {
      size++;
      if (part.kind === 'rule' && !rules.has(part.name)) {
        throw new GrammarError('invalid', `there is no rule "${part.name}"`, { path: name });
      }
    });
    if (pace.due(size)) yield;
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

/** Counts the parts that were looked at. */
interface Tally {
  count: number;
}

/** The least set of rules for which `holds`: a rule is looked at again when one that it mentions has come in. */
function* fixpoint(
  rules: ReadonlyMap<string, Expression>,
  holds: (body: Expression, names: ReadonlySet<string>, tally: Tally) => boolean,
  pace: Pace,
): Portioned<ReadonlySet<string>> {
  const users = new Map<string, string[]>();
  for (const [name, body] of rules) {
    let size = 0;
    visit(body, (part) => {
      size++;
      if (part.kind !== 'rule') return;
      if (!users.has(part.name)) users.set(part.name, []);
      users.get(part.name)!.push(name);
    });
    if (pace.due(size)) yield;
  }
  const names = new Set<string>();
  // In rounds, so that a rule of thousands is not looked at again for each of them.
  for (
    let round = new Set(rules.keys()), next = new Set<string>();
    round.size > 0;
    round = next, next = new Set()
  ) {
    for (const name of round) {
      round.delete(name);
      const tally = { count: 0 };
      const isIn = holds(rules.get(name)!, names, tally);
      if (pace.due(tally.count)) yield;
      if (!isIn) continue;
      names.add(name);
      for (const user of users.get(name) ?? []) if (!names.has(user) && !round.has(user)) next.add(user);
    }
  }
  return names;
}

function isNullable(expression: Expression, names: ReadonlySet<string>, tally: Tally): boolean {
  tally.count++;
  switch (expression.kind) {
    case 'terminal':
      return expression.regex.nullable;
    case 'sequence':
      return expression.items.every((item) => isNullable(item, names, tally));
    case 'choice':
      return expression.items.some((item) => isNullable(item, names, tally));
    case 'repeat':
      return expression.min === 0 || isNullable(expression.item, names, tally);
    case 'rule':
      return names.has(expression.name);
  }
}

function isProductive(
  expression: Expression,
  known: Pick<Analysed, 'satisfiable' | 'productive'>,
  tally: Tally,
): boolean {
  tally.count++;
  switch (expression.kind) {
    case 'terminal':
      return known.satisfiable.get(expression.regex)!;
    case 'sequence':
      return expression.items.every((item) => isProductive(item, known, tally));
    case 'choice':
      return expression.items.some((item) => isProductive(item, known, tally));
    case 'repeat':
      return expression.min === 0 || isProductive(expression.item, known, tally);
    case 'rule':
      return known.productive.has(expression.name);
  }
}

/** `a: a x | y` → `a: y x*`. Other left recursion (through several rules, behind something empty) is refused. */
function* withoutLeftRecursion(
  rules: ReadonlyMap<string, Expression>,
  nullable: ReadonlySet<string>,
  pace: Pace,
): Portioned<ReadonlyMap<string, Expression>> {
  const rewritten = new Map<string, Expression>();
  const heads = new Map<string, ReadonlySet<string>>();
  for (const [name, body] of rules) {
    const alternatives = flatChoices(body);
    if (pace.due(2 * alternatives.length)) yield;
    const direct = withoutDirect(name, body, alternatives);
    rewritten.set(name, direct);
    const tally = { count: 0 };
    const first = headsOf(direct, nullable, tally);
    heads.set(name, first);
    if (pace.due(first.size + tally.count)) yield;
  }
  const finished = new Set<string>();
  for (const name of heads.keys()) yield* checkCycles(name, { heads, finished, pace });
  return rewritten;
}

function withoutDirect(name: string, body: Expression, alternatives: readonly Expression[]): Expression {
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
function headsOf(expression: Expression, nullable: ReadonlySet<string>, tally: Tally): Set<string> {
  const heads = new Set<string>();
  const add = (part: Expression): void => {
    if (part.kind === 'rule') heads.add(part.name);
    else if (part.kind === 'choice') part.items.forEach(add);
    else if (part.kind === 'repeat') add(part.item);
    else if (part.kind === 'sequence') {
      for (const item of part.items) {
        add(item);
        if (!isNullable(item, nullable, tally)) break;
      }
    }
  };
  add(expression);
  return heads;
}

interface Cycles {
  readonly heads: ReadonlyMap<string, ReadonlySet<string>>;
  readonly finished: Set<string>;
  readonly pace: Pace;
}

function* checkCycles(root: string, { heads, finished, pace }: Cycles): Portioned<void> {
  const path: { name: string; todo: Iterator<string> }[] = [];
  const open = new Set<string>();
  const enter = (name: string): void => {
    open.add(name);
    path.push({ name, todo: heads.get(name)!.values() });
  };
  if (!finished.has(root)) enter(root);
  while (path.length > 0) {
    if (pace.due()) yield;
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
