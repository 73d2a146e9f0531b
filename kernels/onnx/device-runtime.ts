// What the process has on a device: the decoder's session, the two that copy KV there (kv-graphs.ts), and the memory of
// every replica's seats. Owns all of it; workers attach. Before it: backend.ts; after it: ort.ts and device-seats.ts.

import { scatterGraph, sliceGraph } from './kv-graphs.ts';
import { type KvShape, slotElements } from './kv-memory.ts';
import type { DeviceSetup } from './messages.ts';
import { OrtError, openSessionOf } from './ort.ts';
import type { DeviceMemory, GraphSession, Provider } from './runtime.ts';

export interface DeviceRuntimeParts {
  readonly session: GraphSession; // the decoder's, on the device; released with the rest
  readonly provider: Provider;
  readonly shape: KvShape;
  readonly rowTokensMax: number;
}

export class DeviceRuntime {
  readonly #parts: DeviceRuntimeParts;
  readonly #slice: GraphSession;
  readonly #scatter: GraphSession;

  /** Throws OrtError. */
  constructor(parts: DeviceRuntimeParts) {
    const options = { intraOpThreads: 1, spinning: false, provider: parts.provider };
    this.#parts = parts;
    this.#slice = openSessionOf(sliceGraph(parts.shape), options);
    this.#scatter = openSessionOf(scatterGraph(parts.shape), options);
  }

  /** Zeroed seats of one replica, with all that a worker needs. Throws OrtError where the device has no more memory. */
  createSetup(): DeviceSetup {
    const { session, shape, rowTokensMax } = this.#parts;
    const allocated: DeviceMemory[] = [];
    const all = (length: number) =>
      Array.from({ length: 2 * shape.layerCount }, () => {
        const memory = session.allocator!.allocate(length);
        allocated.push(memory);
        return memory;
      });
    try {
      const lengths = seatLengths(shape, rowTokensMax);
      const memory = { seats: all(lengths.seats), bench: all(lengths.bench), piece: all(lengths.piece) };
      return {
        kind: 'device',
        session: session.handle!,
        slice: this.#slice.handle!,
        scatter: this.#scatter.handle!,
        memory,
      };
    } catch (error) {
      for (const memory of allocated) session.allocator!.free(memory);
      if (!(error instanceof OrtError)) throw error;
      const size = seatMemorySize(shape, rowTokensMax);
      throw new OrtError(error.code, `${size} bytes of KV for its seats: ${error.message}`);
    }
  }

  /** Once no thread uses it any more. */
  free({ memory }: DeviceSetup): void {
    for (const each of [...memory.seats, ...memory.bench, ...memory.piece])
      this.#parts.session.allocator!.free(each);
  }

  release(): void {
    this.#scatter.release();
    this.#slice.release();
    this.#parts.session.release();
  }
}

/** Throws OrtError('no-adapter') or OrtError('no-provider') in words where WebGPU cannot compute here. */
export function requireAdapter(): void {
  const sizes = { layerCount: 1, kvHeadCount: 1, headSize: 4 };
  openSessionOf(sliceGraph(sizes), { intraOpThreads: 1, spinning: false, provider: 'webgpu' }).release();
}

/** Bytes of device memory that the seats of one replica take. */
function seatMemorySize(shape: KvShape, rowTokensMax: number): number {
  const { seats, bench, piece } = seatLengths(shape, rowTokensMax);
  return 2 * shape.layerCount * Float32Array.BYTES_PER_ELEMENT * (seats + bench + piece);
}

/** Elements of each array. Who has one seat only works in it. */
function seatLengths(shape: KvShape, rowTokensMax: number) {
  const { slotCount, kvHeadCount, headSize } = shape;
  const seat = slotElements(shape);
  const isAlone = slotCount === 1;
  return {
    seats: slotCount * seat,
    bench: isAlone ? 1 : seat,
    piece: isAlone ? 1 : kvHeadCount * rowTokensMax * headSize,
  };
}
