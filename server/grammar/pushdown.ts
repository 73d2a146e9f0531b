// Walks a grammar byte by byte. A state is the set of all ways to read the text so far, each a place in an automaton
// and a stack of what comes after it; equal states and stacks are one object, so what was once computed for a state
// (its steps, its token mask) holds for all sequences that get there. Before it: rules.ts; after it: token-masks.ts.
import type { AutomatonState } from './automaton.ts';
import type { GraphNode, RepeatNode, TerminalNode } from './rules.ts';

/** What follows once the innermost rule or repeat is through. null: the end of the text. */
export interface Frame {
  readonly id: number; // unique within its grammar
  readonly node: GraphNode; // a repeat's own node, or what follows a call
  readonly repeats: boolean;
  readonly count: number; // rounds of the repeat before this one
  readonly parent: Frame | null;
  readonly children: Map<number, Frame>; // frames right above this one
}

/** One way to read the text so far. */
export interface Reading {
  readonly node: TerminalNode;
  readonly at: AutomatonState;
  readonly frame: Frame | null;
  follow: PushdownState | null | undefined; // the state if the terminal ends here; undefined: not yet made
}

export interface PushdownState {
  readonly readings: readonly Reading[];
  readonly complete: boolean; // the text so far is a whole one
  readonly steps: Map<number, PushdownState | null>; // by byte; null: no text goes on so
  mask: Uint32Array | null; // token-masks.ts keeps it here
}

const readingsMax = 1_000; // per state; more are given up: fewer texts match, never wrong ones
const placesMax = 10_000; // looked at for a state, likewise: rules of rules that may be empty are exponentially many

/** Bounds the states that several grammars remember, all together. About 1 KB each. */
export interface StatePool {
  count: number;
  readonly max: number;
}

const detachedStatesMax = 4_096;

export class Pushdown {
  readonly #graph: GraphNode;
  #pool: StatePool;
  #start: PushdownState | null = null;
  #states = new Map<string, PushdownState>();
  #roots = new Map<number, Frame>(); // frames with nothing below
  #nextFrameId = 1;

  constructor(graph: GraphNode, pool: StatePool) {
    this.#graph = graph;
    this.#pool = pool;
  }

  /** Before the first byte. */
  get start(): PushdownState {
    this.#start ??= this.#after([[this.#graph, null]])!;
    return this.#start;
  }

  /** There are more ways to begin than are looked at: rules of rules that may all be empty. */
  get tooWide(): boolean {
    const closure = new Closure((link) => this.#frame(link), []);
    closure.enter(this.#graph, null);
    return closure.cut;
  }

  /** Leaves the pool: nobody will start with this grammar again, though some may still be on their way. */
  detach(): void {
    this.#forget();
    this.#pool = { count: 0, max: detachedStatesMax };
  }

  step(state: PushdownState, byte: number): PushdownState | null {
    const known = state.steps.get(byte);
    if (known !== undefined) return known;
    const moved: Reading[] = [];
    const ended: [GraphNode, Frame | null][] = [];
    for (const { node, at, frame } of state.readings) {
      const next = node.automaton.step(at, byte);
      if (next === null) continue;
      if (next.regex.kind !== 'empty') moved.push({ node, at: next, frame, follow: undefined });
      if (next.accepts) ended.push([node.next, frame]);
    }
    const next = moved.length + ended.length === 0 ? null : this.#after(ended, moved);
    state.steps.set(byte, next);
    return next;
  }

  /** The state after a reading's terminal has ended where it is; null when nothing can follow it. */
  follow(reading: Reading): PushdownState | null {
    if (reading.follow === undefined) reading.follow = this.#after([[reading.node.next, reading.frame]]);
    return reading.follow;
  }

  /** All readings from some places on, as one state. */
  #after(places: readonly [GraphNode, Frame | null][], moved: readonly Reading[] = []): PushdownState | null {
    const closure = new Closure((link) => this.#frame(link), moved);
    for (const [node, frame] of places) closure.enter(node, frame);
    if (closure.readings.size === 0 && !closure.complete) return null;
    const readings = [...closure.readings.entries()]
      .slice(0, readingsMax)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const key = `${closure.complete ? '!' : ''}${readings.map(([name]) => name).join(' ')}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      if (this.#pool.count >= this.#pool.max) this.#forget();
      this.#pool.count++;
      const { complete } = closure;
      state = { readings: readings.map(([, reading]) => reading), complete, steps: new Map(), mask: null };
      this.#states.set(key, state);
    }
    return state;
  }

  #frame({ node, repeats, count, parent }: Omit<Frame, 'id' | 'children'>): Frame {
    const siblings = parent === null ? this.#roots : parent.children;
    const key = (node.index * 2 + Number(repeats)) * 2 ** 24 + count;
    let frame = siblings.get(key);
    if (frame === undefined) {
      frame = { id: this.#nextFrameId++, node, repeats, count, parent, children: new Map() };
      siblings.set(key, frame);
    }
    return frame;
  }

  /** Sequences keep the states they are in; the rest is garbage. */
  #forget(): void {
    this.#pool.count -= this.#states.size;
    this.#states = new Map();
    this.#roots = new Map();
    this.#start = null;
  }
}

type Link = Omit<Frame, 'id' | 'children'>;

/** Follows everything that needs no byte, up to the terminals. */
class Closure {
  readonly readings = new Map<string, Reading>();
  complete = false;
  cut = false; // more places than are looked at
  readonly #frame: (link: Link) => Frame;
  readonly #places: [GraphNode, Frame | null][] = []; // to be followed, the next one last: a grammar may be deeper than the stack
  #placeCount = 0;
  #seen = new Set<number>();
  #opened = new Set<Frame>(); // repeats whose present round began in this very closure, so it has read nothing

  constructor(frame: (link: Link) => Frame, moved: readonly Reading[]) {
    this.#frame = frame;
    for (const reading of moved) this.#add(reading);
  }

  enter(node: GraphNode, frame: Frame | null): void {
    this.#seen = new Set();
    this.#opened = new Set();
    this.#places.push([node, frame]);
    for (let place = this.#places.pop(); place !== undefined; place = this.#places.pop()) {
      if (this.#placeCount++ >= placesMax) this.cut = true;
      else if (this.readings.size < readingsMax) this.#follow(...place);
    }
  }

  #follow(node: GraphNode, frame: Frame | null): void {
    const key = node.index * 2 ** 32 + (frame?.id ?? 0); // both far below
    if (node.kind !== 'end' && this.#seen.has(key)) return;
    this.#seen.add(key);
    switch (node.kind) {
      case 'terminal':
        this.#add({ node, at: node.automaton.start, frame, follow: undefined });
        if (node.automaton.start.accepts) this.#places.push([node.next, frame]);
        return;
      case 'split':
        for (const target of node.targets.toReversed()) this.#places.push([target, frame]);
        return;
      case 'call':
        // A rule called last needs no frame of its own, so lists written as recursion do not grow the stack.
        this.#places.push([
          node.body.start,
          node.next.kind === 'end' ? frame : this.#return(node.next, frame),
        ]);
        return;
      case 'repeat':
        this.#round(node, { count: 0, parent: frame });
        return;
      case 'end':
        this.#leave(frame);
    }
  }

  #leave(frame: Frame | null): void {
    if (frame === null) {
      this.complete = true;
    } else if (!frame.repeats) {
      this.#places.push([frame.node, frame.parent]);
    } else {
      const node = frame.node as RepeatNode;
      // A round that read nothing counts for as many as are wanted.
      if (this.#opened.has(frame)) this.#places.push([node.next, frame.parent]);
      else this.#round(node, { count: frame.count + 1, parent: frame.parent });
    }
  }

  /** What follows the rounds is looked at after them. */
  #round(node: RepeatNode, { count, parent }: { count: number; parent: Frame | null }): void {
    if (count >= node.min) this.#places.push([node.next, parent]);
    if (count >= node.max) return;
    // Without an upper bound, rounds beyond the least number are alike.
    const counted = Number.isFinite(node.max) ? count : Math.min(count, node.min);
    const frame = this.#frame({ node, repeats: true, count: counted, parent });
    if (this.#opened.has(frame)) return;
    this.#opened.add(frame);
    this.#places.push([node.body, frame]);
  }

  #return(node: GraphNode, parent: Frame | null): Frame {
    return this.#frame({ node, repeats: false, count: 0, parent });
  }

  #add(reading: Reading): void {
    this.readings.set(`${reading.node.index},${reading.at.id},${reading.frame?.id ?? 0}`, reading);
  }
}
