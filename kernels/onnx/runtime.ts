// The little of ONNX Runtime that a worker needs, as an interface: one shape bound once, then run many times.
// Two implementations in ort.ts: the C API (zero copy, weights shared by every worker of the process) and the
// official binding (fallback). Before it: worker.ts; after it: the native library.

/** Element types that cross the seam. */
export type TensorData = Float32Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

/** What computes: this machine's cores, or the adapter that WebGPU prefers. */
export type Provider = 'cpu' | 'webgpu';

/** f32 in the memory of a session's device, until its allocator frees it. Structured-cloneable. */
export interface DeviceMemory {
  readonly address: bigint; // of WebGPU: the buffer's handle, which knows no offsets
  readonly length: number; // elements
}

export function isDeviceMemory(data: object): data is DeviceMemory {
  return 'address' in data;
}

/** Memory and shape of one input or output. The memory is used in place and must outlive the binding. */
export interface BoundTensor {
  readonly name: string;
  readonly data: TensorData | DeviceMemory; // may be a view into a larger buffer
  readonly shape: readonly number[];
}

/** Inputs and outputs of one shape, bound once. The same memory may be bound as input and as output (past, present). */
export interface Binding {
  /** Computes synchronously, in place. Throws OrtError; the session stays usable. */
  run(): void;
  release(): void;
}

export interface SessionOptions {
  readonly modelPath: string;
  readonly intraOpThreads: number; // ≥ 1
  readonly spinning: boolean; // threads busy-wait between operators
  readonly provider?: Provider; // absent: cpu
}

/** Memory of a session's device. */
export interface DeviceAllocator {
  /** Zeroed. Throws OrtError where the device has no more. */
  allocate(length: number): DeviceMemory;
  free(memory: DeviceMemory): void;
}

/** Bytes that runs have carried between this machine's memory and the device's, so far. */
export interface Traffic {
  toDevice: number;
  fromDevice: number;
}

export interface GraphSession {
  readonly runtime: 'c-api' | 'binding';
  readonly version: string; // of the library
  /** Opaque, structured-cloneable; attach() in another thread of this process shares the weights. Null: cannot. */
  readonly handle: SessionHandle | null;
  readonly onCpu?: readonly string[]; // of a device's session: operators that it leaves to the cpu
  readonly allocator?: DeviceAllocator | null; // absent or null: on the cpu, and in whoever attached
  bind(inputs: readonly BoundTensor[], outputs: readonly BoundTensor[]): Binding;
  release(): void;
}

export interface SessionHandle {
  readonly sessionAddress: bigint;
  readonly version: string;
  readonly provider?: Provider; // absent: cpu
}
