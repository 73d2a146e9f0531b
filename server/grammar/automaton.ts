// A byte expression as a deterministic automaton whose states are made when they are first reached. Where an
// expression has intersections or complements, `close` visits all states once, so that none is left from which the
// end cannot be reached. Before it: byte-regex.ts; after it: pushdown.ts and token-masks.ts.

import type { ByteSet, Regex, RegexTable } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import { atOnce, type Pace, type Portioned } from './pace.ts';

/** One state: what is left to match. */
export interface AutomatonState {
  readonly id: number; // unique within its automaton
  readonly regex: Regex;
  readonly accepts: boolean; // the text so far matches
  readonly row: (AutomatonState | null | undefined)[]; // [classCount] null: dead; undefined: not yet made
}

const statesKept = 4_000; // remembered per automaton; a bounded string of 10,000 characters passes through more
const branchesMax = 256; // ways to read a text so far; the others are given up: fewer texts match, never wrong ones
const closingWorkMax = 30; // units of RegexTable.work for each of the states that may be visited
const turnWorkMax = 500; // closing gives way after so many

export class Automaton {
  readonly id: number; // unique within its compiler
  readonly start: AutomatonState;
  readonly #table: RegexTable;
  readonly classOf: Uint8Array; // [256] bytes that no expression inside tells apart are one class: a column of rows
  readonly bytesOf: readonly (readonly number[])[]; // [classCount] the bytes of each class
  readonly #states = new Map<Regex, AutomatonState>();
  #nextStateId = 0;

  /** In portions, as an expression may be of many thousand parts. */
  static *open(
    id: number,
    regex: Regex,
    context: { readonly table: RegexTable; readonly pace: Pace },
  ): Portioned<Automaton> {
    return new Automaton(id, regex, context.table, yield* byteClasses(regex, context.pace));
  }

  constructor(id: number, regex: Regex, table: RegexTable, classes = atOnce(byteClasses(regex, null))) {
    this.id = id;
    this.#table = table;
    this.classOf = classes.classOf;
    this.bytesOf = classes.bytesOf;
    this.start = this.#state(regex);
  }

  /** null when no text can go on so. */
  step(state: AutomatonState, byte: number): AutomatonState | null {
    const byteClass = this.classOf[byte]!;
    const known = state.row[byteClass];
    if (known !== undefined) return known;
    let left = this.#table.derive(state.regex, this.bytesOf[byteClass]![0]!);
    if (left.kind === 'or' && left.plain && left.parts.length > branchesMax) {
      left = this.#table.or(left.parts.slice(0, branchesMax));
    }
    const next = left.kind === 'never' ? null : this.#state(left);
    state.row[byteClass] = next;
    return next;
  }

  /** What each class of bytes leads to: its row, with nothing left to be made. */
  rowOf(state: AutomatonState): readonly (AutomatonState | null | undefined)[] {
    for (const [byte] of this.bytesOf) this.step(state, byte!);
    return state.row;
  }

  /** Work done so far by this automaton's table. */
  get work(): number {
    return this.#table.work;
  }

  /** The same language with counts cut to `length`: equal for all texts of at most so many bytes. */
  clamped(state: AutomatonState, length: number): AutomatonState {
    if (state.regex.count < length || !state.regex.plain) return state; // closed: a state made afterwards might be dead
    return this.#state(clamp(state.regex, { length, table: this.#table }));
  }

  /**
   * Cuts off every state that cannot reach the end. Yields between portions of work. Needed (and done) only where
   * the expression is not plain. Returns whether anything matches. Throws GrammarError 'too-large'.
   */
  *close(path: string, statesMax: number): Portioned<boolean> {
    if (this.start.regex.plain) return this.start.regex.kind !== 'never';
    const all = [this.start];
    const seen = new Set(all);
    const sources = new Map<AutomatonState, AutomatonState[]>();
    const table = this.#table;
    let [workDone, turnStart] = [0, table.work];
    for (let index = 0; index < all.length; index++) {
      const state = all[index]!;
      for (const [byte] of this.bytesOf) {
        if (table.work - turnStart > turnWorkMax) {
          workDone += table.work - turnStart;
          yield;
          turnStart = table.work;
        }
        const next = this.step(state, byte!);
        if (next === null) continue;
        sources.set(next, sources.get(next) ?? []);
        sources.get(next)!.push(state);
        if (!seen.has(next)) all.push(next);
        seen.add(next);
      }
      if (all.length > statesMax || workDone > closingWorkMax * statesMax) {
        const message = `takes too large an automaton: more than ${statesMax} states, or as much work (--grammar-states)`;
        throw new GrammarError('too-large', message, { path });
      }
    }
    const alive = new Set(all.filter(({ accepts }) => accepts));
    let looked = 0;
    for (const state of alive) {
      for (const source of sources.get(state) ?? []) alive.add(source);
      if (++looked % turnWorkMax === 0) yield;
    }
    for (const { row } of all) {
      for (let i = 0; i < row.length; i++) if (row[i] && !alive.has(row[i]!)) row[i] = null;
      if (++looked % turnWorkMax === 0) yield;
    }
    return alive.has(this.start);
  }

  #state(regex: Regex): AutomatonState {
    let state = this.#states.get(regex);
    if (state === undefined) {
      if (regex.plain && this.#states.size >= statesKept) {
        this.#states.clear();
        this.#table.forget();
      }
      const row = new Array<AutomatonState | null | undefined>(this.bytesOf.length).fill(undefined);
      state = { id: this.#nextStateId++, regex, accepts: regex.nullable, row };
      this.#states.set(regex, state);
    }
    return state;
  }
}

/** Counts of `length` and more are alike for a text of at most `length` bytes. */
function clamp(regex: Regex, { length, table }: { length: number; table: RegexTable }): Regex {
  if (regex.count < length) return regex;
  const inside = (part: Regex): Regex => clamp(part, { length, table });
  switch (regex.kind) {
    case 'concat':
      return table.concat(inside(regex.first), inside(regex.rest));
    case 'or':
      return table.or(regex.parts.map(inside));
    case 'repeat': {
      const max = regex.max >= length ? Number.POSITIVE_INFINITY : regex.max;
      return table.repeat(regex.inner, Math.min(regex.min, length), max);
    }
    default:
      return regex;
  }
}

interface ByteClasses {
  readonly classOf: Uint8Array;
  readonly bytesOf: readonly (readonly number[])[]; // by class, ascending
}

function* byteClasses(regex: Regex, pace: Pace | null): Portioned<ByteClasses> {
  const classOf = new Uint8Array(256);
  const sizes = [256]; // bytes in each class
  for (const set of yield* setsOf(regex, pace)) {
    const inSet = new Map<number, number[]>(); // class → its bytes that are in the set
    for (const byte of set) {
      const known = inSet.get(classOf[byte]!);
      if (known === undefined) inSet.set(classOf[byte]!, [byte]);
      else known.push(byte);
    }
    for (const [old, bytes] of inSet) {
      if (bytes.length === sizes[old]) continue;
      sizes[old]! -= bytes.length;
      for (const byte of bytes) classOf[byte] = sizes.length;
      sizes.push(bytes.length);
    }
  }
  const bytesOf = sizes.map((): number[] => []);
  for (const [byte, one] of classOf.entries()) bytesOf[one]!.push(byte);
  return { classOf, bytesOf };
}

/** The sets of bytes that expressions inside look for, each as a list. */
function* setsOf(regex: Regex, pace: Pace | null): Portioned<Iterable<readonly number[]>> {
  const sets = new Map<Regex | string, readonly number[]>();
  const seen = new Set<Regex>();
  const todo = [regex];
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (seen.has(part)) continue;
    seen.add(part);
    if (pace?.due()) yield;
    if (part.kind === 'bytes') sets.set(part, membersOf(part.set));
    else if (part.kind === 'concat') todo.push(part.first, part.rest);
    else if (part.kind === 'or' || part.kind === 'and') todo.push(...part.parts);
    else if (part.kind === 'not' || part.kind === 'repeat') todo.push(part.inner);
    else if (part.kind === 'multiple') {
      for (const one of '0123456789.') sets.set(one, [one.charCodeAt(0)]);
    }
  }
  return sets.values();
}

function membersOf(set: ByteSet): number[] {
  const members: number[] = [];
  for (let word = 0; word < 8; word++) {
    for (let rest = set[word]!; rest !== 0; rest &= rest - 1)
      members.push(32 * word + 31 - Math.clz32(rest & -rest));
  }
  return members;
}
