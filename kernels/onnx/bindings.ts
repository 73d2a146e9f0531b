// The decoder graph's inputs and outputs in memory, and its bindings: one per shape and range of seats, built when
// first needed, the least recently used one released when there are too many. Owns the memory of everything but the
// KV. Names and shapes are those that models/graph/ writes. Before it: device.ts; after it: the session of ort.ts.
import assert from 'node:assert/strict';
import { type KvShape, slotElements } from './kv-memory.ts';
import {
  type Binding,
  type BoundTensor,
  type DeviceMemory,
  type GraphSession,
  isDeviceMemory,
  type TensorData,
} from './runtime.ts';

export interface GraphBounds {
  readonly topCount: number; // K
  readonly vocabSize: number; // V
  readonly runTokensMax: number; // largest B · n
  readonly logitRowsMax: number; // largest R
}

/** One shape: B neighbouring seats from slotStart, n tokens each, R rows of logits; or one seat's tokens on a bench. */
export interface BindingShape {
  slotStart: number;
  slotCount: number; // B
  tokenCount: number; // n
  logitRowCount: number; // R
  benchTokens?: number; // that the bench has room for; absent or 0: in the seats themselves
}

/** Keys and values as they are bound; [2 · layerCount] each. */
export interface BoundSeats {
  readonly shape: KvShape;
  readonly seats: readonly (TensorData | DeviceMemory)[];
  readonly bench?: readonly DeviceMemory[]; // of one seat, where there is one (device-seats.ts)
}

// Each binding is some 300 native objects and a few hundred µs of calls at 24 layers. 16 seats have 136 ranges to
// decode, of which a server in steady state uses a few; chunks and drafts add one per length and seat.
export const bindingCountMax = 256;

export class GraphBindings {
  readonly inputIds: Int32Array; // [B · n] filled before a run, as are the next three
  readonly seqlensK: Int32Array; // [B]
  readonly totalSequenceLength: Int32Array; // [1]
  readonly logitRows: Int32Array; // [R]
  readonly #wide = new Int32Array(1);
  readonly aloneCount = new BigInt64Array(1); // 0, or n: each of a seat's n tokens as if it came alone
  readonly topValues: Float32Array; // [R, K] read after a run, as are the next three
  readonly topIds: Int32Array; // [R, K]
  readonly logsumexp: Float32Array; // [R]
  readonly logits: Float32Array; // [R, V]
  readonly #session: GraphSession;
  readonly #kvShape: KvShape;
  readonly #kv: BoundSeats;
  readonly #bounds: GraphBounds;
  readonly #bindings = new Map<number, Binding>(); // least recently used first
  #lastKey = -1;
  #last: Binding | null = null;

  constructor(session: GraphSession, kv: BoundSeats, bounds: GraphBounds) {
    const { logitRowsMax, topCount, vocabSize } = bounds;
    this.#session = session;
    this.#kvShape = kv.shape;
    this.#kv = kv;
    this.#bounds = bounds;
    this.inputIds = new Int32Array(bounds.runTokensMax);
    this.seqlensK = new Int32Array(kv.shape.slotCount);
    this.totalSequenceLength = new Int32Array(1);
    this.logitRows = new Int32Array(logitRowsMax);
    this.topValues = new Float32Array(logitRowsMax * topCount);
    this.topIds = new Int32Array(logitRowsMax * topCount);
    this.logsumexp = new Float32Array(logitRowsMax);
    this.logits = new Float32Array(logitRowsMax * vocabSize);
  }

  get count(): number {
    return this.#bindings.size;
  }

  /** Bound and ready to run; valid until the next call. Throws OrtError. */
  get(shape: BindingShape): Binding {
    this.#wide[0] = shape.tokenCount > 1 && this.aloneCount[0] === 0n ? 1 : 0; // a chunk of a prompt
    const key = this.#keyOf(shape);
    if (this.#last !== null && key === this.#lastKey) return this.#last;
    let binding = this.#bindings.get(key);
    if (binding === undefined) {
      this.#makeRoom();
      binding = this.#bind(shape);
    } else {
      this.#bindings.delete(key);
    }
    this.#bindings.set(key, binding);
    this.#lastKey = key;
    this.#last = binding;
    return binding;
  }

  release(): void {
    for (const binding of this.#bindings.values()) binding.release();
    this.#bindings.clear();
    this.#last = null;
  }

  #keyOf({ slotStart, slotCount, tokenCount, logitRowCount, benchTokens = 0 }: BindingShape): number {
    const { runTokensMax, logitRowsMax } = this.#bounds;
    // Whoever works on the bench may have come from any seat.
    const seats = benchTokens > 0 ? -benchTokens : slotStart * (this.#kvShape.slotCount + 1) + slotCount;
    return (seats * (runTokensMax + 1) + tokenCount) * (logitRowsMax + 1) + logitRowCount;
  }

  #makeRoom(): void {
    if (this.#bindings.size < bindingCountMax) return;
    const [oldest] = this.#bindings;
    const [key, binding] = oldest!;
    this.#bindings.delete(key);
    if (this.#last === binding) this.#last = null;
    binding.release();
  }

  #bind(bound: BindingShape): Binding {
    const { slotCount, tokenCount, logitRowCount } = bound;
    const { topCount, vocabSize } = this.#bounds;
    const past: BoundTensor[] = [];
    const present: BoundTensor[] = [];
    const { kvHeadCount, slotTokensMax, headSize, scales } = this.#kvShape;
    const shape = [slotCount, kvHeadCount, bound.benchTokens || slotTokensMax, headSize];
    for (const index of this.#kv.seats.keys()) {
      const data = this.#seatsOf(index, bound);
      const name = `${index % 2 === 0 ? 'key' : 'value'}.${index >> 1}`;
      past.push({ name: `past_${name}`, data, shape });
      present.push({ name: `present_${name}`, data, shape });
      if (scales === null) continue;
      const [kind, layer] = name.split('.');
      past.push(tensor(`${kind}_scale.${layer}`, scales.steps[index]!, [1, kvHeadCount, 1, headSize]));
      const shift = scales.shifts[index]!;
      past.push(tensor(`${kind === 'key' ? 'value' : 'answer'}_shift.${layer}`, shift, [shift.length]));
    }
    const inputs: BoundTensor[] = [
      tensor('input_ids', this.inputIds, [slotCount, tokenCount]),
      tensor('seqlens_k', this.seqlensK, [slotCount]),
      tensor('total_sequence_length', this.totalSequenceLength, []),
      tensor('logit_rows', this.logitRows, [logitRowCount]),
      { name: 'alone_count', data: this.aloneCount, shape: [] },
      ...past,
      ...(scales === null ? [] : [tensor('wide', this.#wide, [])]),
    ];
    const outputs: BoundTensor[] = [
      tensor('top_values', this.topValues, [logitRowCount, topCount]),
      tensor('top_ids', this.topIds, [logitRowCount, topCount]),
      tensor('logsumexp', this.logsumexp, [logitRowCount]),
      tensor('logits', this.logits, [logitRowCount, vocabSize]),
      ...present,
    ];
    return this.#session.bind(inputs, outputs);
  }

  #seatsOf(
    index: number,
    { slotStart, slotCount, benchTokens = 0 }: BindingShape,
  ): TensorData | DeviceMemory {
    const { kvHeadCount, headSize } = this.#kvShape;
    if (benchTokens > 0)
      return { address: this.#kv.bench![index]!.address, length: kvHeadCount * benchTokens * headSize };
    const stride = slotElements(this.#kvShape);
    const seats = this.#kv.seats[index]!;
    if (!isDeviceMemory(seats)) return seats.subarray(slotStart * stride, (slotStart + slotCount) * stride);
    assert(slotStart === 0, 'a device names no seats but the first');
    return { address: seats.address, length: slotCount * stride };
  }
}

/** The part of `memory` that a shape needs. */
function tensor(name: string, memory: Int32Array | Float32Array, shape: readonly number[]): BoundTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, data: memory.subarray(0, count), shape };
}
