// Which tokens may come next in a state. For each place in an automaton the tokens that stay inside it are found once
// by a walk over the token trie and kept, together with the spots where a token leaves it; only from those spots the
// walk goes on with the stack. So a string's body costs the same in every field of every schema.
// Before it: pushdown.ts and token-trie.ts; after it: constraint.ts.
import type { Automaton, AutomatonState } from './automaton.ts';
import type { Pushdown, PushdownState, Reading } from './pushdown.ts';
import { buildTokenTrie, type TokenBytes, type TokenTrie } from './token-trie.ts';

/** Tokens as seen from one place in one automaton. */
interface InnerMask {
  readonly words: Uint32Array; // [ceil(vocabSize / 32)] tokens that stay inside
  readonly exits: ReadonlyMap<number, Int32Array>; // byte → trie nodes with that byte, before which the automaton ends
  readonly bytes: number; // of memory, about
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
  readonly #inner = new Map<AutomatonState, InnerMask>(); // least recently made first
  readonly #states = new Set<PushdownState>(); // those with a mask, oldest first
  readonly #innerPath: AutomatonState[] = []; // scratch: states along the walk, by depth
  readonly #path: PushdownState[] = [];
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
    const { words, exits } = this.#innerMask(reading.node.automaton, reading.at);
    for (let i = 0; i < words.length; i++) mask[i]! |= words[i]!;
    if (exits.size === 0) return;
    const follow = pushdown.follow(reading);
    if (follow === null) return;
    for (const [byte, nodes] of exits) {
      const next = pushdown.step(follow, byte);
      if (next === null) continue;
      for (let i = 0; i < nodes.length; i++)
        this.#addSubtree(mask, { node: nodes[i]!, state: next, pushdown });
    }
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
    if (inner === undefined) {
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
    const words = new Uint32Array(this.wordCount);
    const exits = new Map<number, number[]>();
    const path = this.#innerPath;
    path[0] = start;
    // An expression made to be slow loses its longer tokens, never its shortest: a text can still be written.
    const workMax = automaton.work + walkWorkMax;
    for (let node = 0; node < nodeCount; ) {
      const before = path[depth[node]! - 1]!;
      // At depth 1 the text has ended already, so what follows is among the state's readings itself.
      if (before.accepts && depth[node]! > 1) {
        const nodes = exits.get(byte[node]!);
        if (nodes === undefined) exits.set(byte[node]!, [node]);
        else nodes.push(node);
      }
      const isLate = depth[node]! > 1 && automaton.work > workMax;
      const next = isLate ? automaton.known(before, byte[node]!) : automaton.step(before, byte[node]!);
      if (next === null || next === undefined) {
        node = end[node]!;
        continue;
      }
      path[depth[node]!] = next;
      for (let t = tokenStart[node]!; t < tokenStart[node + 1]!; t++) setBit(words, tokens[t]!);
      node++;
    }
    let bytes = words.byteLength + 200;
    const packed = new Map<number, Int32Array>();
    for (const [key, nodes] of exits) {
      packed.set(key, Int32Array.from(nodes));
      bytes += nodes.length * 4 + 100;
    }
    return { words, exits: packed, bytes };
  }
}

function setBit(mask: Uint32Array, id: number): void {
  mask[id >>> 5]! |= 1 << (id & 31);
}
