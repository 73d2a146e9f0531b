// Inputs and outputs of one shape, bound through the C API: on the cpu over our own memory, without a copy; on a device
// what lies here is carried there before a run and back after it, and what lies there stays. Owns the native tensors.
// Before it: ort.ts; after it: ort-c-api.ts.
import type { OrtApi } from './ort-c-api.ts';
import { assertBindable, OrtError } from './ort-error.ts';
import type { Address } from './ort-library.ts';
import {
  type Binding,
  type BoundTensor,
  type DeviceMemory,
  isDeviceMemory,
  type TensorData,
  type Traffic,
} from './runtime.ts';

export interface BindingParts {
  readonly session: Address;
  readonly flushDenormals: boolean;
  readonly traffic: Traffic | null; // what is carried counts here; null: nothing is
  readonly memory: { readonly host: Address; readonly device: Address }; // OrtMemoryInfo
  readonly onRelease: (self: Binding) => void;
}

export class CApiBinding implements Binding {
  readonly #api: OrtApi;
  readonly #parts: BindingParts;
  readonly #address: Address;
  readonly #values: Address[] = [];
  readonly #memory: (TensorData | DeviceMemory)[] = []; // ONNX Runtime holds bare pointers: these references keep the arrays alive
  readonly #carried: { readonly name: string; readonly value: Address }[] = []; // inputs that lie here, for a device
  #inputSize = 0; // bytes of those
  #outputSize = 0; // bytes of outputs that come back
  #released = false;

  constructor(api: OrtApi, parts: BindingParts) {
    this.#api = api;
    this.#parts = parts;
    this.#address = api.createIoBinding(parts.session);
  }

  addInput(tensor: BoundTensor): void {
    const { name, data } = tensor;
    const value = this.#createValue(tensor);
    if (this.#parts.traffic === null || isDeviceMemory(data)) {
      this.#api.bindInput(this.#address, name, value);
      return;
    }
    // Binding it is what copies it, so it is bound anew before every run.
    this.#carried.push({ name, value });
    this.#inputSize += data.byteLength;
  }

  addOutput(tensor: BoundTensor): void {
    this.#api.bindOutput(this.#address, tensor.name, this.#createValue(tensor));
    if (!isDeviceMemory(tensor.data)) this.#outputSize += tensor.data.byteLength;
  }

  run(): void {
    if (this.#released) throw new OrtError('invalid-argument', 'the binding has been released');
    const { session, flushDenormals, traffic } = this.#parts;
    for (const { name, value } of this.#carried) this.#api.bindInput(this.#address, name, value);
    this.#api.runWithBinding(session, this.#address, flushDenormals);
    if (traffic === null) return;
    traffic.toDevice += this.#inputSize;
    traffic.fromDevice += this.#outputSize;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#api.releaseIoBinding(this.#address);
    for (const value of this.#values) this.#api.releaseValue(value);
    this.#memory.length = 0;
    this.#parts.onRelease(this);
  }

  #createValue(tensor: BoundTensor): Address {
    assertBindable(tensor);
    const { data, shape } = tensor;
    const { host, device } = this.#parts.memory;
    const where = isDeviceMemory(data) ? device : host;
    const value = this.#api.createTensor(where, data, shape, elementTypeOf(data));
    this.#values.push(value);
    this.#memory.push(data);
    return value;
  }
}

// enum ONNXTensorElementDataType; source: onnxruntime_c_api.h
function elementTypeOf(data: TensorData | DeviceMemory): number {
  if (data instanceof Float32Array || isDeviceMemory(data)) return 1;
  if (data instanceof Uint8Array) return 2;
  if (data instanceof Int8Array) return 3;
  if (data instanceof Int32Array) return 6;
  return 7; // BigInt64Array
}
