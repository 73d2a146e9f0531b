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
  readonly words: Uint32Array; // [ceil(vocabSize / 32)] tokens that stay inside
  readonly exitBytes: readonly number[]; // bytes before which, inside a token, the automaton may end
  readonly exits: Map<number, Int32Array>; // for those asked so far: the trie nodes with that byte
  bytes: number; // of memory, about
}

export interface MaskBounds {
  readonly innerBytesMax: number; // all inner masks together
  readonly stateBytesMax: number; // all masks of states together
}

const walkWorkMax = 100_000; // units of RegexTable.work in one walk; string bodies need less than 5,000

export class TokenMasks {
  readonly wordCount: number;
  readonly stopTokenIds: readonly number[];
  readonly #trie: TokenTrie;
  readonly #bounds: MaskBounds;
  readonly #inner = new Map<AutomatonState, InnerMask>(); // least recently used first
  readonly #states = new Set<PushdownState>(); // those with a mask, oldest first
  readonly #innerPath: AutomatonState[] = []; // scratch: states along the walk, by depth
  readonly #path: PushdownState[] = [];
  readonly #way: Uint8Array; // scratch: a token's bytes
  #innerBytes = 0;

  /** `vocabSize` is the model's, which may exceed the tokenizer's. */
  constructor(
    tokenizer: TokenBytes,
    model: { readonly vocabSize: number; readonly stopTokenIds: readonly number[] },
    bounds: MaskBounds,
  ) {
    this.wordCount = Math.ceil(model.vocabSize / 32);
    this.stopTokenIds = model.stopTokenIds;
    this.#trie = buildTokenTrie(tokenizer);
    this.#bounds = bounds;
    this.#way = new Uint8Array(this.#trie.depthMax);
  }

  /** Owned by the cache: not to be written. Never empty: where no token fits, the text may only stop. */
  of(state: PushdownState, pushdown: Pushdown): Uint32Array {
    if (state.mask !== null) return state.mask;
    const mask = new Uint32Array(this.wordCount);
    for (const reading of state.readings) this.#addReading(mask, { reading, pushdown });
    if (state.complete || mask.every((word) => word === 0)) {
      for (const id of this.stopTokenIds) mask[id >>> 5]! |= 1 << (id & 31);
    }
    this.#keep(state, mask);
    return mask;
  }

  /** Computes what depends on the automaton alone, ahead of time. */
  prepare(automaton: Automaton, state: AutomatonState): void {
    this.#innerMask(automaton, state);
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
    const { words, exitBytes } = inner;
    for (let i = 0; i < words.length; i++) mask[i]! |= words[i]!;
    const follow = exitBytes.length === 0 ? null : pushdown.follow(reading);
    if (follow === null) return;
    for (const byte of exitBytes) {
      const next = pushdown.step(follow, byte);
      if (next === null) continue;
      const nodes = this.#exitsAt(inner, byte);
      for (let i = 0; i < nodes.length; i++)
        this.#addSubtree(mask, { node: nodes[i]!, state: next, pushdown });
    }
  }

  /** The trie nodes of `byte` before which the automaton ends. Few bytes can follow, so only those are looked for. */
  #exitsAt(inner: InnerMask, byte: number): Int32Array {
    let nodes = inner.exits.get(byte);
    if (nodes === undefined) {
      nodes = this.#trie.withByte[byte]!.filter((node) => this.#acceptsBefore(inner, node));
      inner.exits.set(byte, nodes);
      if (this.#inner.get(inner.start) === inner) {
        inner.bytes += nodes.byteLength;
        this.#innerBytes += nodes.byteLength;
      }
    }
    return nodes;
  }

  #acceptsBefore({ automaton, start }: InnerMask, node: number): boolean {
    const { byte, parent, depth } = this.#trie;
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
    const { byte, depth, end, tokenStart, tokens } = this.#trie;
    const path = this.#path;
    path[depth[from.node]!] = from.state;
    for (let t = tokenStart[from.node]!; t < tokenStart[from.node + 1]!; t++) setBit(mask, tokens[t]!);
    const last = end[from.node]!;
    for (let node = from.node + 1; node < last; ) {
      const next = from.pushdown.step(path[depth[node]! - 1]!, byte[node]!);
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
    const state = automaton.clamped(exact, this.#trie.depthMax);
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
    const { nodeCount, byte, depth, end, tokenStart, tokens } = this.#trie;
    const { classOf } = automaton;
    const words = new Uint32Array(this.wordCount);
    const isExit = new Uint8Array(256);
    const path = this.#innerPath;
    path[0] = start;
    // An expression made to be slow loses its longer tokens, never its shortest: a text can still be written.
    const workMax = automaton.work + walkWorkMax;
    for (let node = 0; node < nodeCount; ) {
      const at = depth[node]!;
      const before = path[at - 1]!;
      // At depth 1 the text has ended already, so what follows is among the state's readings itself.
      if (before.accepts && at > 1) isExit[byte[node]!] = 1;
      let next = before.row[classOf[byte[node]!]!];
      if (next === undefined && (at === 1 || automaton.work <= workMax))
        next = automaton.step(before, byte[node]!);
      if (next === null || next === undefined) {
        node = end[node]!;
        continue;
      }
      path[at] = next;
      for (let t = tokenStart[node]!; t < tokenStart[node + 1]!; t++) setBit(words, tokens[t]!);
      node++;
    }
    const exitBytes = Array.from(isExit.keys()).filter((one) => isExit[one] === 1);
    return { automaton, start, words, exitBytes, exits: new Map(), bytes: words.byteLength + 1_000 };
  }
}

function setBit(mask: Uint32Array, id: number): void {
  mask[id >>> 5]! |= 1 << (id & 31);
}
