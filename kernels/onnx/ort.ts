// ONNX Runtime sessions through its C API: tensors are bound once over our own memory and a step is one call,
// without a copy. A session may be shared by every worker thread of the process, so weights are held once.
// Before it: worker.ts through runtime.ts; after it: ort-c-api.ts. Where this cannot load: ort-binding.ts.
import { type Address, loadOrtApi, type OrtApi } from './ort-c-api.ts';
import { assertBindable, OrtError } from './ort-error.ts';
import type {
  Binding,
  BoundTensor,
  GraphSession,
  SessionHandle,
  SessionOptions,
  TensorData,
} from './runtime.ts';

export { openBindingSession } from './ort-binding.ts';
export { OrtError } from './ort-error.ts';

/** Options nobody but a measurement changes; the reasons stand in PERFORMANCE.md, "Precision and graphs". */
export interface SessionTuning {
  readonly graphOptimizationLevel: 'none' | 'basic' | 'extended' | 'all';
  readonly memoryPattern: boolean; // plan the arena by input shape: one allocation per step
  readonly memoryArena: boolean;
  readonly flushDenormals: boolean; // where float-mode.ts can
  readonly profilePrefix: string | null; // writes <prefix>_<time>.json when the session is released
}

export const measuredTuning: SessionTuning = {
  graphOptimizationLevel: 'all',
  memoryPattern: true,
  memoryArena: true,
  flushDenormals: true,
  profilePrefix: null,
};

const logSeverity = 4; // fatal only: every refusal reaches the caller as OrtError, stderr stays quiet
const sequential = 0; // enum ExecutionMode: a decoder is a chain, there is nothing to run in parallel
const levels = { none: 0, basic: 1, extended: 2, all: 99 } as const; // enum GraphOptimizationLevel

/**
 * Loads a model into this process. Blocks while it loads. Throws OrtError: 'unavailable' when the C API cannot be
 * used here (fall back to openBindingSession), else ONNX Runtime's own code and message.
 */
export function openSession(options: SessionOptions, tuning: SessionTuning = measuredTuning): GraphSession {
  const api = loadOrtApi();
  const env = api.createEnv(logSeverity, 'sparklane');
  try {
    const address = createSession(api, env, options, tuning);
    return new CApiSession(api, address, tuning.flushDenormals, () => {
      api.releaseSession(address);
      api.releaseEnv(env);
    });
  } catch (error) {
    api.releaseEnv(env);
    throw error;
  }
}

/** A session that nobody holds: its opener may end. Structured-cloneable. */
export interface LooseSession extends SessionHandle {
  readonly envAddress: bigint;
}

/** As openSession, in a thread that lives no longer than the loading: somebody else takes it over. */
export function openLooseSession(options: SessionOptions): LooseSession {
  const api = loadOrtApi();
  const env = api.createEnv(logSeverity, 'sparklane');
  try {
    const sessionAddress = createSession(api, env, options, measuredTuning);
    return { sessionAddress, envAddress: env, version: api.version };
  } catch (error) {
    api.releaseEnv(env);
    throw error;
  }
}

/** From here on it is this thread's, which releases it. Throws OrtError when the libraries differ. */
export function takeSession({ sessionAddress, envAddress, version }: LooseSession): GraphSession {
  const api = loadOrtApi();
  if (api.version !== version)
    throw new OrtError('invalid-argument', `session of ONNX Runtime ${version}, library is ${api.version}`);
  return new CApiSession(api, sessionAddress, true, () => {
    api.releaseSession(sessionAddress);
    api.releaseEnv(envAddress);
  });
}

/**
 * The session of another thread of this process, weights shared. Its opener must outlive every use here.
 * Throws OrtError when the library of this thread is not the opener's.
 */
export function attachSession(handle: SessionHandle): GraphSession {
  const api = loadOrtApi();
  if (api.version !== handle.version) {
    throw new OrtError(
      'invalid-argument',
      `session of ONNX Runtime ${handle.version}, library is ${api.version}`,
    );
  }
  return new CApiSession(api, handle.sessionAddress, true, () => undefined);
}

function createSession(api: OrtApi, env: Address, options: SessionOptions, tuning: SessionTuning): Address {
  const native = api.createSessionOptions();
  try {
    api.setIntraOpThreads(native, options.intraOpThreads);
    api.setInterOpThreads(native, 1);
    api.setExecutionMode(native, sequential);
    api.setGraphOptimizationLevel(native, levels[tuning.graphOptimizationLevel]);
    api.setMemoryPattern(native, tuning.memoryPattern);
    api.setMemoryArena(native, tuning.memoryArena);
    for (const [key, value] of Object.entries(
      configEntries(options, tuning.flushDenormals && api.floatMode !== null),
    )) {
      api.addConfigEntry(native, { key, value });
    }
    if (tuning.profilePrefix !== null) api.enableProfiling(native, tuning.profilePrefix);
    return api.createSession(env, options.modelPath, native);
  } finally {
    api.releaseSessionOptions(native);
    api.floatMode?.restore(); // the first session of a process sets its opener's mode
  }
}

function configEntries(options: SessionOptions, flushDenormals: boolean): Record<string, string> {
  return {
    'session.intra_op.allow_spinning': options.spinning ? '1' : '0',
    'session.inter_op.allow_spinning': '0',
    // Long contexts take three times as long with denormals. Sets ONNX Runtime's own threads, and its opener's: where
    // that one's mode cannot be put back, JavaScript's arithmetic would lose denormals for good.
    'session.set_denormal_as_zero': flushDenormals ? '1' : '0',
  };
}

class CApiSession implements GraphSession {
  readonly runtime = 'c-api';
  readonly version: string;
  readonly #api: OrtApi;
  readonly #address: Address;
  readonly #flushDenormals: boolean;
  readonly #memoryInfo: Address;
  readonly #bindings = new Set<Binding>(); // what release() must take with it
  #close: (() => void) | null;

  constructor(api: OrtApi, address: Address, flushDenormals: boolean, close: () => void) {
    this.version = api.version;
    this.#flushDenormals = flushDenormals;
    this.#api = api;
    this.#address = address;
    this.#memoryInfo = api.createCpuMemoryInfo();
    this.#close = close;
  }

  get handle(): SessionHandle {
    return { sessionAddress: this.#address, version: this.version };
  }

  bind(inputs: readonly BoundTensor[], outputs: readonly BoundTensor[]): Binding {
    if (this.#close === null) throw new OrtError('invalid-argument', 'the session has been released');
    const onRelease = (self: Binding) => this.#bindings.delete(self);
    const binding = new CApiBinding(this.#api, this.#address, this.#flushDenormals, onRelease);
    try {
      for (const tensor of inputs) binding.addInput(this.#memoryInfo, tensor);
      for (const tensor of outputs) binding.addOutput(this.#memoryInfo, tensor);
    } catch (error) {
      binding.release();
      throw error;
    }
    this.#bindings.add(binding);
    return binding;
  }

  release(): void {
    const close = this.#close;
    if (close === null) return;
    this.#close = null;
    for (const binding of this.#bindings) binding.release();
    this.#api.releaseMemoryInfo(this.#memoryInfo);
    close();
  }
}

class CApiBinding implements Binding {
  readonly #api: OrtApi;
  readonly #session: Address;
  readonly #address: Address;
  readonly #flushDenormals: boolean;
  readonly #values: Address[] = [];
  readonly #memory: TensorData[] = []; // ONNX Runtime holds bare pointers: these references keep the arrays alive
  readonly #onRelease: (self: Binding) => void;
  #released = false;

  constructor(api: OrtApi, session: Address, flushDenormals: boolean, onRelease: (self: Binding) => void) {
    this.#api = api;
    this.#flushDenormals = flushDenormals;
    this.#session = session;
    this.#address = api.createIoBinding(session);
    this.#onRelease = onRelease;
  }

  addInput(memoryInfo: Address, tensor: BoundTensor): void {
    this.#api.bindInput(this.#address, tensor.name, this.#createValue(memoryInfo, tensor));
  }

  addOutput(memoryInfo: Address, tensor: BoundTensor): void {
    this.#api.bindOutput(this.#address, tensor.name, this.#createValue(memoryInfo, tensor));
  }

  run(): void {
    if (this.#released) throw new OrtError('invalid-argument', 'the binding has been released');
    this.#api.runWithBinding(this.#session, this.#address, this.#flushDenormals);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#api.releaseIoBinding(this.#address);
    for (const value of this.#values) this.#api.releaseValue(value);
    this.#memory.length = 0;
    this.#onRelease(this);
  }

  #createValue(memoryInfo: Address, tensor: BoundTensor): Address {
    assertBindable(tensor);
    const { data, shape } = tensor;
    const value = this.#api.createTensor(memoryInfo, data, shape, elementTypeOf(data));
    this.#values.push(value);
    this.#memory.push(data);
    return value;
  }
}

// enum ONNXTensorElementDataType; source: onnxruntime_c_api.h
function elementTypeOf(data: TensorData): number {
  if (data instanceof Float32Array) return 1;
  if (data instanceof Uint8Array) return 2;
  if (data instanceof Int8Array) return 3;
  if (data instanceof Int32Array) return 6;
  return 7; // BigInt64Array
}
