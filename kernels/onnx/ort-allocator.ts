// Memory of a device, allocated through the session that computes there. Owns what it has given out. Before it: ort.ts;
// after it: ort-c-api.ts.
import type { OrtApi } from './ort-c-api.ts';
import type { Address } from './ort-library.ts';
import type { DeviceAllocator, DeviceMemory } from './runtime.ts';

/** As the provider names its memory; onnxruntime-node 1.30 takes the older "WebGPU_Buffer" for the same. */
export const webgpuMemoryName = 'WebGPU_Buf';

export class OrtAllocator implements DeviceAllocator {
  readonly #api: OrtApi;
  readonly #env: Address;
  readonly #session: Address;
  readonly #values = new Map<bigint, Address>(); // by address: the tensor that owns the memory
  #allocator: Address | null = null; // made when first needed
  #memoryInfo: Address | null = null;

  constructor(api: OrtApi, env: Address, session: Address) {
    this.#api = api;
    this.#env = env;
    this.#session = session;
  }

  allocate(length: number): DeviceMemory {
    const value = this.#api.createDeviceTensor(this.#open(), [length]);
    const address = this.#api.memoryOf(value);
    this.#values.set(address, value);
    this.#clear(value, length);
    return { address, length };
  }

  free({ address }: DeviceMemory): void {
    const value = this.#values.get(address);
    if (value === undefined) return;
    this.#values.delete(address);
    this.#api.releaseValue(value);
  }

  /** All that it has given out is gone, too. */
  release(): void {
    for (const value of this.#values.values()) this.#api.releaseValue(value);
    this.#values.clear();
    if (this.#allocator !== null) this.#api.releaseAllocator(this.#allocator);
    if (this.#memoryInfo !== null) this.#api.releaseMemoryInfo(this.#memoryInfo);
    this.#allocator = null;
    this.#memoryInfo = null;
  }

  #open(): Address {
    this.#memoryInfo ??= this.#api.createDeviceMemoryInfo(webgpuMemoryName);
    this.#allocator ??= this.#api.createAllocator(this.#session, this.#memoryInfo);
    return this.#allocator;
  }

  /** The allocator hands out again what was freed, as it was left: what is no number must not come near a softmax. */
  #clear(value: Address, length: number): void {
    const api = this.#api;
    const zeros = new Float32Array(length);
    const memoryInfo = api.createCpuMemoryInfo();
    const source = api.createTensor(memoryInfo, zeros, [length], 1);
    try {
      api.copyTensor(this.#env, source, value);
    } finally {
      api.releaseValue(source);
      api.releaseMemoryInfo(memoryInfo);
    }
  }
}
