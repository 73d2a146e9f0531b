// Which tokens may come next in a state. For each place in an automaton the tokens that stay inside it are found once
// by a walk over the token trie and kept, together with the spots where a token leaves it; only from those spots the
// walk goes on with the stack. So a string's body costs the same in every field of every schema.
// Before it: pushdown.ts and token-trie.ts; after it: constraint.ts.
import type { Automaton, AutomatonState } from './automaton.ts';
import type { Pushdown, PushdownState, Reading } from './pushdown.ts';
import { buildTokenTrie, type TokenBytes, type TokenTrie } from './token-trie.ts';

/** Tokens as seen from one place in one automaton. */
interface InnerMask {
  readonly automaton: Automaton;
  readonly start: AutomatonState;
  readonly words: Uint32Array | null; // [ceil(vocabSize / 32)] tokens that stay inside; null: they are few
  readonly tokens: readonly number[]; // those few
  readonly exitBytes: readonly number[]; // bytes before which, inside a token, the automaton may end
  readonly exits: Map<number, ArrayLike<number>>; // the trie nodes with that byte: all if few, else those asked so far
  readonly manyExits: boolean;
  readonly visits: number; // trie nodes looked at
  bytes: number; // of memory, about
}

export interface MaskBounds {
  readonly stepsMax: number; // trie nodes looked at for one mask: whoever goes beyond ends; its first reading is never cut
  readonly innerBytesMax: number; // all inner masks together
  readonly stateBytesMax: number; // all masks of states together
}

const walkWorkMax = 6_000; // units of RegexTable.work in one walk; string bodies need less than 5,000
const walkVisits = 1_000; // nodes that one walk over the trie counts for, however soon it ends: thousands may begin
const readingVisits = 16; // nodes that one reading of a state counts for, wherever it is stepped on
const fewMax = 128; // tokens, and exits, kept as a list

export class TokenMasks {
  readonly wordCount: number;
  readonly stopTokenIds: readonly number[];
  readonly trie: TokenTrie;
  readonly #bounds: MaskBounds;
  readonly #inner = new Map<AutomatonState, InnerMask>(); // least recently used first
  readonly #states = new Set<PushdownState>(); // those with a mask, oldest first
  readonly #innerPath: AutomatonState[] = []; // scratch: states along the walk, by depth
  readonly #path: PushdownState[] = [];
  readonly #shortest: readonly { readonly byte: number; readonly token: number }[]; // tokens of one byte
  readonly #first = new Uint8Array(256); // scratch: 1 where some reading goes on with that byte
  readonly #way: Uint8Array; // scratch: a token's bytes
  #visits = 0; // trie nodes, of the present mask; counted alike whether they are remembered or made
  #innerBytes = 0;

  /** `vocabSize` is the model's, which may exceed the tokenizer's. */
  constructor(
    tokenizer: TokenBytes,
    model: { readonly vocabSize: number; readonly stopTokenIds: readonly number[] },
    bounds: MaskBounds,
  ) {
    this.wordCount = Math.ceil(model.vocabSize / 32);
    this.stopTokenIds = model.stopTokenIds;
    this.trie = buildTokenTrie(tokenizer);
    this.#bounds = bounds;
    this.#shortest = [...shortestOf(this.trie)];
    this.#way = new Uint8Array(this.trie.depthMax);
  }

  /** Owned by the cache: not to be written. Never empty: where no token fits, the text may only stop. */
  of(state: PushdownState, pushdown: Pushdown): Uint32Array {
    if (state.mask !== null) return state.mask;
    const mask = new Uint32Array(this.wordCount);
    this.#visits = 0;
    // Too many ways to go on: those behind lose their longer tokens, never their shortest.
    let whole = 0;
    while (whole < state.readings.length && this.#visits < this.#bounds.stepsMax) {
      this.#addReading(mask, { reading: state.readings[whole++]!, pushdown });
    }
    if (whole < state.readings.length) this.#addShortest(mask, state.readings.slice(whole));
    if (state.complete || mask.every((word) => word === 0)) {
      for (const id of this.stopTokenIds) mask[id >>> 5]! |= 1 << (id & 31);
    }
    this.#keep(state, mask);
    return mask;
  }

  /** Computes what depends on the automaton alone, ahead of time; answers the trie nodes that it looked at. */
  prepare(automaton: Automaton, state: AutomatonState): number {
    return this.#innerMask(automaton, state).visits;
  }

  #keep(state: PushdownState, mask: Uint32Array): void {
    state.mask = mask;
    this.#states.add(state);
    if (this.#states.size * mask.byteLength <= this.#bounds.stateBytesMax) return;
    for (const oldest of this.#states) {
      oldest.mask = null;
      this.#states.delete(oldest);
      break;
    }
  }

  #addReading(mask: Uint32Array, { reading, pushdown }: { reading: Reading; pushdown: Pushdown }): void {
    const inner = this.#innerMask(reading.node.automaton, reading.at);
    const { words, tokens, exitBytes } = inner;
    if (words !== null) for (let i = 0; i < words.length; i++) mask[i]! |= words[i]!;
    for (const token of tokens) setBit(mask, token);
    this.#visits += inner.visits;
    const follow = exitBytes.length === 0 ? null : pushdown.follow(reading);
    if (follow === null) return;
    for (const byte of exitBytes) {
      if (this.#visits >= this.#bounds.stepsMax) return;
      const next = this.#step(pushdown, follow, byte);
      if (next === null) continue;
      const nodes = this.#exitsAt(inner, byte);
      this.#visits += inner.manyExits ? this.trie.withByte[byte]!.length : nodes.length;
      for (let i = 0; i < nodes.length; i++)
        this.#addSubtree(mask, { node: nodes[i]!, state: next, pushdown });
    }
  }

  /** Tokens of one byte. */
  #addShortest(mask: Uint32Array, readings: readonly Reading[]): void {
    const first = this.#first.fill(0);
    for (const { node, at } of readings) {
      const { bytesOf } = node.automaton;
      const row = node.automaton.rowOf(at); // a thousand readings may come here: a step for each class, not for each byte
      for (let i = 0; i < row.length; i++)
        if (row[i] !== null) for (const byte of bytesOf[i]!) first[byte] = 1;
    }
    for (const { byte, token } of this.#shortest) if (first[byte] === 1) setBit(mask, token);
  }

  #step(pushdown: Pushdown, state: PushdownState, byte: number): PushdownState | null {
    const next = pushdown.step(state, byte);
    this.#visits += 1 + readingVisits * (state.readings.length + (next?.readings.length ?? 0));
    return next;
  }

  /** The trie nodes of `byte` before which the automaton ends. Few bytes can follow, so only those are looked for. */
  #exitsAt(inner: InnerMask, byte: number): ArrayLike<number> {
    let nodes = inner.exits.get(byte);
    if (nodes === undefined) {
      const found = this.trie.withByte[byte]!.filter((node) => this.#acceptsBefore(inner, node));
      nodes = found;
      inner.exits.set(byte, nodes);
      if (this.#inner.get(inner.start) === inner) {
        inner.bytes += found.byteLength;
        this.#innerBytes += found.byteLength;
      }
    }
    return nodes;
  }

  #acceptsBefore({ automaton, start }: InnerMask, node: number): boolean {
    const { byte, parent, depth } = this.trie;
    const way = this.#way;
    for (let at = parent[node]!; at >= 0; at = parent[at]!) way[depth[at]! - 1] = byte[at]!;
    const length = depth[node]! - 1;
    let state: AutomatonState | null = start;
    for (let i = 0; i < length && state !== null; i++) state = automaton.step(state, way[i]!);
    return state?.accepts ?? false;
  }

  /** Tokens at and below a trie node, given the state after its byte. */
  #addSubtree(
    mask: Uint32Array,
    from: { readonly node: number; readonly state: PushdownState; readonly pushdown: Pushdown },
  ): void {
    const { byte, depth, end, tokenStart, tokens } = this.trie;
    const path = this.#path;
    path[depth[from.node]!] = from.state;
    for (let t = tokenStart[from.node]!; t < tokenStart[from.node + 1]!; t++) setBit(mask, tokens[t]!);
    const last = end[from.node]!;
    for (let node = from.node + 1; node < last && this.#visits < this.#bounds.stepsMax; ) {
      const next = this.#step(from.pushdown, path[depth[node]! - 1]!, byte[node]!);
      if (next === null) {
        node = end[node]!;
        continue;
      }
      path[depth[node]!] = next;
      for (let t = tokenStart[node]!; t < tokenStart[node + 1]!; t++) setBit(mask, tokens[t]!);
      node++;
    }
  }

  #innerMask(automaton: Automaton, exact: AutomatonState): InnerMask {
    const state = automaton.clamped(exact, this.trie.depthMax);
    let inner = this.#inner.get(state);
    if (inner !== undefined) {
      this.#inner.delete(state);
      this.#inner.set(state, inner);
    } else {
      inner = this.#walk(automaton, state);
      this.#inner.set(state, inner);
      this.#innerBytes += inner.bytes;
      for (const [oldest, { bytes }] of this.#inner) {
        if (this.#innerBytes <= this.#bounds.innerBytesMax) break;
        this.#inner.delete(oldest);
        this.#innerBytes -= bytes;
      }
    }
    return inner;
  }

  #walk(automaton: Automaton, start: AutomatonState): InnerMask {
    const { nodeCount, byte, depth, end, tokenStart, tokens } = this.trie;
    const { classOf } = automaton;
    const found = new Tokens(this.wordCount);
    const exits = new Exits();
    const path = this.#innerPath;
    path[0] = start;
    // An expression made to be slow loses its longer tokens, never its shortest: a text can still be written.
    const workMax = automaton.work + walkWorkMax;
    let visits = walkVisits;
    for (let node = 0; node < nodeCount; ) {
      visits++;
      const at = depth[node]!;
      const before = path[at - 1]!;
      // At depth 1 the text has ended already, so what follows is among the state's readings itself.
      if (before.accepts && at > 1) exits.add(byte[node]!, node);
      let next = before.row[classOf[byte[node]!]!];
      if (next === undefined && (at === 1 || automaton.work <= workMax))
        next = automaton.step(before, byte[node]!);
      if (next === null || next === undefined) {
        node = end[node]!;
        continue;
      }
      path[at] = next;
      for (let t = tokenStart[node]!; t < tokenStart[node + 1]!; t++) found.add(tokens[t]!);
      node++;
    }
    const { words, few } = found;
    const bytes = (words?.byteLength ?? 0) + 8 * (few.length + exits.count) + 1_000;
    const { nodes, areMany: manyExits, bytes: exitBytes } = exits;
    return { automaton, start, words, tokens: few, exitBytes, exits: nodes, manyExits, visits, bytes };
  }
}

function* shortestOf({ nodeCount, byte, end, tokenStart, tokens }: TokenTrie) {
  for (let node = 0; node < nodeCount; node = end[node]!)
    for (let t = tokenStart[node]!; t < tokenStart[node + 1]!; t++)
      yield { byte: byte[node]!, token: tokens[t]! };
}

/** Tokens as a list while they are few, then as bits. */
class Tokens {
  readonly #wordCount: number;
  words: Uint32Array | null = null;
  few: number[] = [];

  constructor(wordCount: number) {
    this.#wordCount = wordCount;
  }

  add(id: number): void {
    if (this.words !== null) {
      setBit(this.words, id);
    } else if (this.few.length < fewMax) {
      this.few.push(id);
    } else {
      this.words = new Uint32Array(this.#wordCount);
      for (const one of this.few) setBit(this.words, one);
      setBit(this.words, id);
      this.few = [];
    }
  }
}

/** Trie nodes by their byte while they are few, then the bytes alone. */
class Exits {
  readonly nodes = new Map<number, number[]>();
  count = 0;
  #bytes: Set<number> | null = null; // once they are many

  get areMany(): boolean {
    return this.#bytes !== null;
  }

  get bytes(): number[] {
    return [...(this.#bytes ?? this.nodes.keys())];
  }

  add(byte: number, node: number): void {
    if (this.#bytes !== null) {
      this.#bytes.add(byte);
    } else if (this.count < fewMax) {
      this.count++;
      const known = this.nodes.get(byte);
      if (known === undefined) this.nodes.set(byte, [node]);
      else known.push(node);
    } else {
      this.#bytes = new Set(this.nodes.keys()).add(byte);
      this.nodes.clear();
      this.count = 0;
    }
  }
}

function setBit(mask: Uint32Array, id: number): void {
  mask[id >>> 5]! |= 1 << (id & 31);
}
