// The states of a text's tokens: an encoder in one run, a decoder chunk by chunk over keys and values of its own. One text
// at a time, so that none depends on its neighbours. Owns the memory. Before it: embedder-worker.ts; after it: the session.
import type { BoundTensor, GraphSession } from './runtime.ts';

/** What a graph needs to know of its model. */
export interface StatesShape {
  readonly hiddenSize: number;
  readonly cache: KvSizes | null; // null: an encoder
}

interface KvSizes {
  readonly layerCount: number;
  readonly kvHeadCount: number;
  readonly headSize: number;
}

const chunkTokens = 256; // of a decoder: bounds the scores that exist at a time
const capacityStep = 256; // tokens

export class TextStates {
  readonly #session: GraphSession;
  readonly #shape: StatesShape;
  #cache: Float32Array[] = []; // [2 · layerCount] keys and values by turns, of the longest text so far

  constructor(session: GraphSession, shape: StatesShape) {
    this.#session = session;
    this.#shape = shape;
  }

  /** [n, hiddenSize], a fresh array. Throws OrtError. */
  of(ids: Int32Array): Float32Array {
    const { hiddenSize, cache } = this.#shape;
    const states = new Float32Array(ids.length * hiddenSize);
    if (cache === null) {
      this.#run(ids, states, [], []);
      return states;
    }
    const caches = this.#caches(cache, ids.length);
    const named = (prefix: string) => caches.map((each) => ({ ...each, name: `${prefix}_${each.name}` }));
    for (let start = 0; start < ids.length; start += chunkTokens) {
      const chunk = ids.subarray(start, start + chunkTokens);
      const length = start + chunk.length;
      const places: BoundTensor[] = [
        { name: 'seqlens_k', data: Int32Array.of(length - 1), shape: [1] },
        { name: 'total_sequence_length', data: Int32Array.of(length), shape: [] },
      ];
      const part = states.subarray(start * hiddenSize, length * hiddenSize);
      this.#run(chunk, part, [...places, ...named('past')], named('present'));
    }
    return states;
  }

  #run(
    ids: Int32Array,
    states: Float32Array,
    inputs: readonly BoundTensor[],
    outputs: readonly BoundTensor[],
  ): void {
    const shape = [1, ids.length];
    const binding = this.#session.bind(
      [{ name: 'input_ids', data: ids, shape }, ...inputs],
      [{ name: 'states', data: states, shape: [...shape, this.#shape.hiddenSize] }, ...outputs],
    );
    try {
      binding.run();
    } finally {
      binding.release();
    }
  }

  #caches({ layerCount, kvHeadCount, headSize }: KvSizes, length: number): BoundTensor[] {
    const capacity = Math.ceil(length / capacityStep) * capacityStep;
    const size = kvHeadCount * capacity * headSize;
    if (this.#cache.length === 0 || this.#cache[0]!.length < size)
      this.#cache = Array.from({ length: 2 * layerCount }, () => new Float32Array(size));
    return this.#cache.map((memory, index) => ({
      name: `${index % 2 === 0 ? 'key' : 'value'}.${index >> 1}`,
      data: memory.subarray(0, size),
      shape: [1, kvHeadCount, capacity, headSize],
    }));
  }
}
