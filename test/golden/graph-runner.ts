// Runs a built graph directly over a session: slots of KV, chunks of one sequence, decode rows of many. For golden
// tests and benches; the server's own path is kernels/onnx/worker.ts.
import type { Binding, BoundTensor, GraphSession } from '../../kernels/onnx/runtime.ts';
import type { BuiltGraph } from '../../models/graph/build.ts';

export interface StepResult {
  readonly logits: Float32Array; // [R, V], overwritten by the next step of the same shape
  readonly topIds: Int32Array; // [R, K]
  readonly topValues: Float32Array; // [R, K]
  readonly logsumexp: Float32Array; // [R]
}

interface Bound {
  readonly binding: Binding;
  readonly ids: Int32Array;
  readonly seqlens: Int32Array;
  readonly total: Int32Array;
  readonly rows: Int32Array;
  readonly alone: BigInt64Array;
  readonly result: StepResult;
}

export class GraphRunner {
  readonly session: GraphSession;
  readonly graph: BuiltGraph;
  readonly slotCount: number;
  readonly capacity: number;
  readonly keys: Float32Array[]; // per layer [slots, kvHeads, capacity, headSize]
  readonly values: Float32Array[];
  readonly #bound = new Map<string, Bound>();

  constructor(session: GraphSession, graph: BuiltGraph, sizes: { slotCount: number; capacity: number }) {
    this.session = session;
    this.graph = graph;
    this.slotCount = sizes.slotCount;
    this.capacity = sizes.capacity;
    const make = () =>
      Array.from({ length: graph.spec.layerCount }, () => new Float32Array(sizes.slotCount * this.slotSize));
    this.keys = make();
    this.values = make();
  }

  get slotSize(): number {
    return this.graph.spec.kvHeadCount * this.capacity * this.graph.spec.headSize;
  }

  /** n tokens of the sequence in `slot`, the first at `position`; logits of `rows` (default: the last token). */
  chunk(
    slot: number,
    tokens: ArrayLike<number>,
    position: number,
    rows: readonly number[] = [tokens.length - 1],
    { alone = false } = {},
  ): StepResult {
    const bound = this.#bind(slot, 1, tokens.length, rows.length);
    bound.alone[0] = alone ? BigInt(tokens.length) : 0n;
    bound.ids.set(Array.from(tokens));
    bound.rows.set(rows);
    bound.seqlens[0] = position + tokens.length - 1;
    bound.total[0] = position + tokens.length;
    bound.binding.run();
    return bound.result;
  }

  /** One token for each of the slots from `firstSlot` on. */
  decode(firstSlot: number, tokens: readonly number[], positions: readonly number[]): StepResult {
    const bound = this.#bind(firstSlot, tokens.length, 1, tokens.length);
    bound.ids.set(tokens);
    bound.rows.set(tokens.map((_, index) => index));
    bound.seqlens.set(positions);
    bound.total[0] = Math.max(...positions) + 1;
    bound.binding.run();
    return bound.result;
  }

  /** Prefills in chunks whose borders are multiples of `chunkSize`; answers the last chunk's result. */
  prefill(slot: number, tokens: ArrayLike<number>, chunkSize: number, from = 0): StepResult {
    const all = Array.from(tokens);
    let result: StepResult | null = null;
    for (let position = from; position < all.length; ) {
      const end = Math.min(all.length, (Math.floor(position / chunkSize) + 1) * chunkSize);
      result = this.chunk(slot, all.slice(position, end), position);
      position = end;
    }
    return result!;
  }

  /** Greedy continuation of a prefilled slot: `first` stands at `position`. */
  greedy(slot: number, first: number, position: number, count: number): number[] {
    const tokens = [first];
    while (tokens.length < count) {
      const result = this.decode(slot, [tokens.at(-1)!], [position + tokens.length - 1]);
      tokens.push(result.topIds[0]!);
    }
    return tokens;
  }

  /** All keys and values of the first `count` tokens of a slot. */
  cached(slot: number, count: number): Float32Array {
    const { kvHeadCount, headSize } = this.graph.spec;
    const parts: number[] = [];
    for (const memory of [...this.keys, ...this.values]) {
      for (let head = 0; head < kvHeadCount; head++) {
        const start = slot * this.slotSize + head * this.capacity * headSize;
        for (const value of memory.subarray(start, start + count * headSize)) parts.push(value);
      }
    }
    return Float32Array.from(parts);
  }

  release(): void {
    for (const { binding } of this.#bound.values()) binding.release();
    this.session.release();
  }

  #bind(slot: number, batch: number, n: number, rowCount: number): Bound {
    const key = `${slot}/${batch}/${n}/${rowCount}`;
    let bound = this.#bound.get(key);
    if (bound === undefined) {
      bound = this.#create(slot, batch, n, rowCount);
      this.#bound.set(key, bound);
    }
    return bound;
  }

  #create(slot: number, batch: number, n: number, rowCount: number): Bound {
    const { spec, topCount, vocabSize } = this.graph;
    const ids = new Int32Array(batch * n);
    const seqlens = new Int32Array(batch);
    const total = new Int32Array(1);
    const rows = new Int32Array(rowCount);
    const alone = new BigInt64Array(1);
    const result: StepResult = {
      logits: new Float32Array(rowCount * vocabSize),
      topIds: new Int32Array(rowCount * topCount),
      topValues: new Float32Array(rowCount * topCount),
      logsumexp: new Float32Array(rowCount),
    };
    const shape = [batch, spec.kvHeadCount, this.capacity, spec.headSize];
    const cache = (prefix: string): BoundTensor[] =>
      this.keys.flatMap((_, layer) => {
        const slice = (memory: Float32Array) =>
          memory.subarray(slot * this.slotSize, (slot + batch) * this.slotSize);
        return [
          { name: `${prefix}_key.${layer}`, data: slice(this.keys[layer]!), shape },
          { name: `${prefix}_value.${layer}`, data: slice(this.values[layer]!), shape },
        ];
      });
    const binding = this.session.bind(
      [
        { name: 'input_ids', data: ids, shape: [batch, n] },
        { name: 'seqlens_k', data: seqlens, shape: [batch] },
        { name: 'total_sequence_length', data: total, shape: [] },
        { name: 'logit_rows', data: rows, shape: [rowCount] },
        { name: 'alone_count', data: alone, shape: [] },
        ...cache('past'),
      ],
      [
        { name: 'top_values', data: result.topValues, shape: [rowCount, topCount] },
        { name: 'top_ids', data: result.topIds, shape: [rowCount, topCount] },
        { name: 'logsumexp', data: result.logsumexp, shape: [rowCount] },
        { name: 'logits', data: result.logits, shape: [rowCount, vocabSize] },
        ...cache('present'),
      ],
    );
    return { binding, ids, seqlens, total, rows, alone, result };
  }
}
