// Statements and the names that are known → text. Owns what a loop shows of itself, how macros take their arguments,
// and which statements have names of their own. Before it: parser.ts; after it: template.ts.
import { applyChain, type Effort, evaluate, Scope } from './expressions.ts';
import { unpackValues } from './globals.ts';
import { JinjaError } from './jinja-error.ts';
import type { AssignTarget, Body, JinjaExpression, Parameter, Statement } from './syntax-tree.ts';
import {
  Callable,
  equals,
  isTrue,
  iterate,
  Namespace,
  print,
  Tuple,
  Undefined,
  type Value,
} from './values.ts';

type Leaving = 'break' | 'continue' | null;

/** Owns the text of one rendering. */
export class Rendering {
  readonly #effort: Effort;
  #out: string[] = [];
  #length = 0;
  readonly #lengthMax: number;

  /** `lengthMax` in UTF-16 units. */
  constructor(effort: Effort, lengthMax: number) {
    this.#effort = effort;
    this.#lengthMax = lengthMax;
  }

  get text(): string {
    return this.#out.join('');
  }

  run(body: Body, scope: Scope): Leaving {
    for (const statement of body) {
      const leaving = this.#statement(statement, scope);
      if (leaving) return leaving;
    }
    return null;
  }

  #write(text: string): void {
    this.#length += text.length;
    if (this.#length > this.#lengthMax)
      throw new JinjaError(`writes more than ${this.#lengthMax} characters`);
    if (text !== '') this.#out.push(text);
  }

  /** What a body writes, instead of writing it. */
  #capture(body: Body, scope: Scope): string {
    const outer = this.#out;
    this.#out = [];
    try {
      this.run(body, scope);
      return this.text;
    } finally {
      this.#out = outer;
    }
  }

  #value(node: JinjaExpression, scope: Scope): Value {
    return evaluate(node, scope, this.#effort);
  }

  #statement(statement: Statement, scope: Scope): Leaving {
    this.#effort.step();
    switch (statement.kind) {
      case 'text':
        this.#write(statement.text);
        return null;
      case 'output':
        this.#write(print(this.#value(statement.value, scope)));
        return null;
      case 'if': {
        const taken = statement.branches.find(({ test }) => isTrue(this.#value(test, scope)));
        return this.run(taken?.body ?? statement.otherwise, scope);
      }
      case 'for':
        this.#loop(statement, iterate(this.#value(statement.over, scope)), scope, 1);
        return null;
      case 'set':
        assign(statement.target, this.#value(statement.value, scope), scope);
        return null;
      case 'setBlock': {
        const content = this.#capture(statement.body, new Scope(scope));
        const { filter } = statement;
        assign(statement.target, filter ? applyChain(filter, content, scope, this.#effort) : content, scope);
        return null;
      }
      case 'macro':
        scope.names.set(statement.name, this.#macro(statement, scope));
        return null;
      case 'call': {
        const caller = this.#macro({ ...statement, name: 'caller' }, scope);
        this.#write(print(this.#callWith(statement.call, caller, scope)));
        return null;
      }
      case 'filter': {
        const content = this.#capture(statement.body, new Scope(scope));
        this.#write(print(applyChain(statement.filter, content, scope, this.#effort)));
        return null;
      }
      case 'with': {
        const inner = new Scope(scope);
        for (const { target, value } of statement.bindings) assign(target, this.#value(value, scope), inner);
        return this.run(statement.body, inner);
      }
      case 'scope':
        return this.run(statement.body, new Scope(scope));
      default:
        return statement.kind;
    }
  }

  #loop(
    statement: Extract<Statement, { kind: 'for' }>,
    over: readonly Value[],
    scope: Scope,
    depth: number,
  ): void {
    const { target, filter, body } = statement;
    const items = filter
      ? over.filter((item) => {
          const inner = new Scope(scope);
          assign(target, item, inner);
          return isTrue(this.#value(filter, inner));
        })
      : over;
    const loop = new Namespace();
    const shared: LoopMemory = { changed: null };
    if (statement.recursive) {
      loop.members.set('', new Callable(([inner = null]) => this.#recursed(statement, inner, scope, depth)));
    }
    for (let index = 0; index < items.length; index++) {
      this.#effort.step();
      const inner = new Scope(scope);
      showLoop(loop, { items, index, depth, shared });
      inner.names.set('loop', loop);
      assign(target, items[index]!, inner);
      if (this.run(body, inner) === 'break') break;
    }
    if (items.length === 0) this.run(statement.otherwise, new Scope(scope));
  }

  #recursed(statement: Extract<Statement, { kind: 'for' }>, over: Value, scope: Scope, depth: number): Value {
    const outer = this.#out;
    this.#out = [];
    try {
      this.#loop(statement, iterate(over), scope, depth + 1);
      return this.text;
    } finally {
      this.#out = outer;
    }
  }

  #macro(
    macro: { readonly name: string; readonly parameters: readonly Parameter[]; readonly body: Body },
    scope: Scope,
  ): Callable {
    return new Callable((positional, named) => {
      const inner = new Scope(scope);
      const rest = new Map(named);
      const caller = rest.get('caller');
      rest.delete('caller');
      for (const [index, parameter] of macro.parameters.entries()) {
        const given = index < positional.length ? positional[index]! : rest.get(parameter.name);
        rest.delete(parameter.name);
        inner.names.set(parameter.name, given ?? this.#default(macro.name, parameter, inner, given));
      }
      inner.names.set('varargs', new Tuple(positional.slice(macro.parameters.length)));
      inner.names.set('kwargs', rest as ReadonlyMap<Value, Value>);
      const noCaller = new Undefined('No caller defined');
      if (!macro.parameters.some(({ name }) => name === 'caller'))
        inner.names.set('caller', caller ?? noCaller);
      return this.#capture(macro.body, inner);
    });
  }

  #default(macro: string, parameter: Parameter, scope: Scope, given: Value | undefined): Value {
    if (given === null) return null;
    if (parameter.default) return this.#value(parameter.default, scope);
    return new Undefined(`parameter '${parameter.name}' of ${macro}() was not provided`);
  }

  #callWith(call: JinjaExpression, caller: Callable, scope: Scope): Value {
    if (call.kind !== 'call') throw new JinjaError('a call block needs a call');
    const inner = new Scope(scope);
    inner.names.set(' caller', caller);
    const named = [...call.args.named, { name: 'caller', value: { kind: 'name', name: ' caller' } as const }];
    return this.#value({ ...call, args: { ...call.args, named } }, inner);
  }
}

interface LoopMemory {
  changed: readonly Value[] | null; // what loop.changed() was last asked about
}

function showLoop(
  loop: Namespace,
  at: {
    readonly items: readonly Value[];
    readonly index: number;
    readonly depth: number;
    readonly shared: LoopMemory;
  },
): void {
  const { items, index, depth, shared } = at;
  const { members } = loop;
  members.set('index', index + 1);
  members.set('index0', index);
  members.set('revindex', items.length - index);
  members.set('revindex0', items.length - index - 1);
  members.set('first', index === 0);
  members.set('last', index === items.length - 1);
  members.set('length', items.length);
  members.set('depth', depth);
  members.set('depth0', depth - 1);
  members.set('previtem', items[index - 1] ?? new Undefined('there is no previous item'));
  members.set('nextitem', items[index + 1] ?? new Undefined('there is no next item'));
  members.set('cycle', new Callable((values) => values[index % values.length] ?? null));
  members.set(
    'changed',
    new Callable((values) => {
      const same =
        shared.changed?.length === values.length &&
        values.every((value, place) => equals(value, shared.changed![place]!));
      shared.changed = values;
      return !same;
    }),
  );
}

function assign(target: AssignTarget, value: Value, scope: Scope): void {
  if (target.kind === 'name') {
    scope.names.set(target.name, value);
  } else if (target.kind === 'targets') {
    const items = unpackValues(value, target.targets.length);
    for (const [index, inner] of target.targets.entries()) assign(inner, items[index]!, scope);
  } else {
    const object = scope.get(target.object);
    if (!(object instanceof Namespace))
      throw new JinjaError('cannot assign attribute on non-namespace object');
    object.members.set(target.name, value);
  }
}
