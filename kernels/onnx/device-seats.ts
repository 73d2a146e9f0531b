// Seats in a device's memory. The first seats can be computed together where they lie; any other range cannot be named
// there (a buffer has no offsets), so a run that begins at a later seat works on a bench: one seat's tokens are copied to
// it within the device, and what the run has written is copied back. Blocks cross between the device and this machine
// when they are restored or saved, and nothing else of KV ever does. Owns the copies; before it: device.ts; after it: the
// sessions of kv-graphs.ts.
import assert from 'node:assert/strict';
import type { BlockPlace, KvArrays, KvShape } from './kv-memory.ts';
import { blockPieces, slotElements } from './kv-memory.ts';
import type { Run } from './row-groups.ts';
import type { Binding, BoundTensor, DeviceMemory, GraphSession, TensorData } from './runtime.ts';
import type { Seats } from './seats.ts';

/** [2 · layerCount] each; structured-cloneable. */
export interface DeviceSeatMemory {
  readonly seats: readonly DeviceMemory[]; // of all seats
  readonly bench: readonly DeviceMemory[]; // of one
  readonly piece: readonly DeviceMemory[]; // of the longest row
}

export interface DeviceSeatParts {
  readonly shape: KvShape;
  readonly memory: DeviceSeatMemory;
  readonly blocks: KvArrays;
  readonly slice: GraphSession; // of sliceGraph()
  readonly scatter: GraphSession; // of scatterGraph()
}

const benchStep = 256; // tokens: the bench is as long as its run needs, in steps, so that few shapes occur
const bindingCountMax = 64;

export class DeviceSeats implements Seats {
  readonly arrays: readonly DeviceMemory[];
  readonly bench: readonly DeviceMemory[];
  readonly #parts: DeviceSeatParts;
  readonly #starts = new BigInt64Array(2); // of seat and token
  readonly #ends = new BigInt64Array(2);
  readonly #rows: Int32Array; // of all heads of the longest row
  readonly #staging: readonly Float32Array[]; // [2 · layerCount] a block's numbers on their way
  readonly #bindings = new Map<string, Binding>();

  constructor(parts: DeviceSeatParts) {
    const { shape, memory } = parts;
    const { kvHeadCount, blockSize, headSize } = shape;
    this.#parts = parts;
    this.arrays = memory.seats;
    this.bench = memory.bench;
    this.#rows = new Int32Array(Math.max(memory.piece[0]!.length / headSize, kvHeadCount * blockSize));
    this.#staging = memory.seats.map(() => new Float32Array(kvHeadCount * blockSize * headSize));
  }

  enter({ slotStart, slotCount, tokenCount }: Readonly<Run>, position: number): number {
    if (slotStart === 0) return 0;
    assert(slotCount === 1, 'a bench has one seat');
    const tokens = this.#benchTokens(position + tokenCount);
    if (position > 0) this.#slice({ slot: slotStart, start: 0, tokens }, this.arrays, this.#benchOf(tokens));
    return tokens;
  }

  leave({ slotStart, tokenCount }: Readonly<Run>, position: number): void {
    if (slotStart === 0) return;
    const { kvHeadCount, headSize } = this.#parts.shape;
    const tokens = this.#benchTokens(position + tokenCount);
    const length = kvHeadCount * tokenCount * headSize;
    const piece = this.#parts.memory.piece.map(({ address }) => ({ address, length }));
    this.#slice({ slot: 0, start: position, tokens: tokenCount }, this.#benchOf(tokens), piece);
    this.#scatter({ slot: slotStart, start: position, tokens: tokenCount }, piece);
  }

  restore({ slot, position, block }: BlockPlace): void {
    for (const [array, piece] of blockPieces(this.#parts, block).entries())
      bytesOf(this.#staging[array]!).set(piece);
    this.#scatter({ slot, start: position, tokens: this.#parts.shape.blockSize }, this.#staging);
  }

  save({ slot, position, block }: BlockPlace): void {
    const { blockSize } = this.#parts.shape;
    this.#slice({ slot, start: position, tokens: blockSize }, this.arrays, this.#staging);
    for (const [array, piece] of blockPieces(this.#parts, block).entries())
      piece.set(bytesOf(this.#staging[array]!));
  }

  release(): void {
    for (const binding of this.#bindings.values()) binding.release();
    this.#bindings.clear();
  }

  #benchTokens(needed: number): number {
    return Math.min(Math.ceil(needed / benchStep) * benchStep, this.#parts.shape.slotTokensMax);
  }

  #benchOf(tokens: number): readonly DeviceMemory[] {
    const { kvHeadCount, headSize } = this.#parts.shape;
    return this.bench.map(({ address }) => ({ address, length: kvHeadCount * tokens * headSize }));
  }

  /** Tokens of a seat of `from` become the whole of `to`. */
  #slice(
    { slot, start, tokens }: Range,
    from: readonly DeviceMemory[],
    to: readonly (DeviceMemory | Float32Array)[],
  ): void {
    const { kvHeadCount, headSize } = this.#parts.shape;
    this.#starts[0] = BigInt(slot);
    this.#starts[1] = BigInt(start);
    this.#ends[0] = BigInt(slot + 1);
    this.#ends[1] = BigInt(start + tokens);
    const key = `slice ${from[0]!.address} ${from[0]!.length} ${nameOf(to[0]!)} ${tokens}`;
    this.#run(key, () => {
      const seatSize = from === this.arrays ? slotElements(this.#parts.shape) : from[0]!.length;
      const capacity = seatSize / (kvHeadCount * headSize);
      const seats = from[0]!.length / seatSize;
      const inputs = from.map((data, array) =>
        tensor(`from.${array}`, data, [seats, kvHeadCount, capacity, headSize]),
      );
      const outputs = to.map((data, array) =>
        tensor(`to.${array}`, data, [1, kvHeadCount, tokens, headSize]),
      );
      const ranges = [tensor('starts', this.#starts, [2]), tensor('ends', this.#ends, [2])];
      return this.#parts.slice.bind([...ranges, ...inputs], outputs);
    });
  }

  /** `piece` becomes those tokens of the seat. */
  #scatter({ slot, start, tokens }: Range, piece: readonly (DeviceMemory | Float32Array)[]): void {
    const { kvHeadCount, headSize, slotTokensMax } = this.#parts.shape;
    const count = kvHeadCount * tokens;
    for (let row = 0; row < count; row++) {
      const head = Math.floor(row / tokens);
      this.#rows[row] = (slot * kvHeadCount + head) * slotTokensMax + start + (row % tokens);
    }
    this.#run(`scatter ${nameOf(piece[0]!)} ${tokens}`, () => {
      const inputs = [tensor('rows', this.#rows.subarray(0, count), [count, 1])];
      const outputs: BoundTensor[] = [];
      for (const [array, data] of piece.entries()) {
        const whole = this.arrays[array]!;
        const shape = [whole.length / headSize, headSize];
        inputs.push(tensor(`piece.${array}`, data, [count, headSize]), tensor(`into.${array}`, whole, shape));
        outputs.push(tensor(`into.${array}.after`, whole, shape));
      }
      return this.#parts.scatter.bind(inputs, outputs);
    });
  }

  #run(key: string, bind: () => Binding): void {
    let binding = this.#bindings.get(key);
    if (binding === undefined) {
      if (this.#bindings.size >= bindingCountMax) this.release();
      binding = bind();
      this.#bindings.set(key, binding);
    }
    binding.run();
  }
}

interface Range {
  readonly slot: number;
  readonly start: number; // token
  readonly tokens: number;
}

function nameOf(data: DeviceMemory | Float32Array): string {
  return data instanceof Float32Array ? 'here' : String(data.address);
}

function tensor(name: string, data: TensorData | DeviceMemory, shape: readonly number[]): BoundTensor {
  return { name, data, shape };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
