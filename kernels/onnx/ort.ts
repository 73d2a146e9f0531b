// ONNX Runtime sessions through its C API: tensors are bound once over our own memory and a step is one call,
// without a copy. A session may be shared by every worker thread of the process, so weights are held once.
// Before it: worker.ts through runtime.ts; after it: ort-c-api.ts. Where this cannot load: ort-binding.ts.
import { adapterRefusal } from './adapter.ts';
import { OrtAllocator, webgpuMemoryName } from './ort-allocator.ts';
import { loadOrtApi, type OrtApi } from './ort-c-api.ts';
import { CApiBinding } from './ort-c-binding.ts';
import { type NodePlacement, recordPlacement } from './ort-device-api.ts';
import { OrtError } from './ort-error.ts';
import type { Address } from './ort-library.ts';
import { nativeLibraryPath } from './own-library.ts';
import type {
  Binding,
  BoundTensor,
  GraphSession,
  Provider,
  SessionHandle,
  SessionOptions,
  Traffic,
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
const attention = 'GroupQueryAttention'; // on the cpu it would have all keys and values carried there and back, every time
const levels = { none: 0, basic: 1, extended: 2, all: 99 } as const; // enum GraphOptimizationLevel

/**
 * Loads a model into this process. Blocks while it loads. Throws OrtError: 'unavailable' when the C API cannot be
 * used here (fall back to openBindingSession), else ONNX Runtime's own code and message.
 */
export function openSession(options: SessionOptions, tuning: SessionTuning = measuredTuning): GraphSession {
  return takeSession(openLooseSession(options, tuning), tuning.flushDenormals);
}

/** The same of a model in memory. */
export function openSessionOf(model: Uint8Array, options: Omit<SessionOptions, 'modelPath'>): GraphSession {
  return takeSession(openLooseSession({ ...options, modelPath: '' }, measuredTuning, model));
}

/** A session that nobody holds: its opener may end. Structured-cloneable. */
export interface LooseSession extends SessionHandle {
  readonly envAddress: bigint;
  readonly onCpu: readonly string[]; // of a device's: operators that it leaves to the cpu
}

/** As openSession, in a thread that lives no longer than the loading: somebody else takes it over. */
export function openLooseSession(
  options: SessionOptions,
  tuning: SessionTuning = measuredTuning,
  model: Uint8Array | null = null,
): LooseSession {
  const { provider = 'cpu' } = options;
  const api = loadOrtApi();
  const env = api.createEnv(logSeverity, 'sparklane');
  try {
    const sessionAddress = createSession(api, { env, options, tuning, model });
    const onCpu = provider === 'cpu' ? [] : leftToCpu(api.placementOf(sessionAddress));
    if (onCpu.includes(attention)) {
      api.releaseSession(sessionAddress);
      throw new OrtError('not-implemented', `${provider} does not compute this model's ${attention}`);
    }
    return { sessionAddress, envAddress: env, version: api.version, provider, onCpu };
  } catch (error) {
    api.releaseEnv(env);
    throw provider === 'webgpu' ? adapterRefusal(error, api.version) : error;
  }
}

/** From here on it is this thread's, which releases it. Throws OrtError when the libraries differ. */
export function takeSession(
  { sessionAddress, envAddress, version, provider = 'cpu', onCpu }: LooseSession,
  flushDenormals = true,
): GraphSession {
  const api = loadedApi(version);
  const allocator = provider === 'cpu' ? null : new OrtAllocator(api, envAddress, sessionAddress);
  const parts = { address: sessionAddress, provider, flushDenormals, allocator, traffic: noTraffic(), onCpu };
  return new CApiSession(api, parts, () => {
    allocator?.release();
    api.releaseSession(sessionAddress);
    api.releaseEnv(envAddress);
  });
}

/**
 * The session of another thread of this process, weights shared. Its opener must outlive every use here.
 * Throws OrtError when the library of this thread is not the opener's. What runs carry to a device and back is added to
 * `traffic`.
 */
export function attachSession(
  { sessionAddress, version, provider = 'cpu' }: SessionHandle,
  traffic: Traffic = noTraffic(),
): GraphSession {
  const parts = {
    address: sessionAddress,
    provider,
    flushDenormals: true,
    allocator: null,
    traffic,
    onCpu: [],
  };
  return new CApiSession(loadedApi(version), parts, () => undefined);
}

function noTraffic(): Traffic {
  return { toDevice: 0, fromDevice: 0 };
}

function loadedApi(version: string): OrtApi {
  const api = loadOrtApi();
  if (api.version === version) return api;
  throw new OrtError('invalid-argument', `session of ONNX Runtime ${version}, library is ${api.version}`);
}

function leftToCpu(placements: readonly NodePlacement[]): readonly string[] {
  const own = placements.filter(({ provider }) => provider === 'CPUExecutionProvider');
  return own.flatMap(({ operators }) => [...operators.keys()]);
}

interface SessionParts {
  readonly env: Address;
  readonly options: SessionOptions;
  readonly tuning: SessionTuning;
  readonly model: Uint8Array | null; // instead of the file
}

function createSession(api: OrtApi, { env, options, tuning, model }: SessionParts): Address {
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
    const library = options.provider === 'webgpu' ? null : nativeLibraryPath();
    if (library !== null) api.registerOperators(native, library);
    if (tuning.profilePrefix !== null) api.enableProfiling(native, tuning.profilePrefix);
    if (options.provider === 'webgpu') {
      api.appendProvider(native, 'WebGPU');
      api.addConfigEntry(native, recordPlacement);
    }
    if (model !== null) return api.createSessionOf(env, model, native);
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

interface OpenedParts {
  readonly address: Address;
  readonly provider: Provider;
  readonly flushDenormals: boolean;
  readonly allocator: OrtAllocator | null;
  readonly traffic: Traffic;
  readonly onCpu: readonly string[];
}

class CApiSession implements GraphSession {
  readonly runtime = 'c-api';
  readonly version: string;
  readonly handle: SessionHandle;
  readonly allocator: OrtAllocator | null;
  readonly onCpu: readonly string[];
  readonly #api: OrtApi;
  readonly #parts: OpenedParts;
  readonly #hostMemory: Address;
  readonly #deviceMemory: Address; // on the cpu the same
  readonly #bindings = new Set<Binding>(); // what release() must take with it
  #close: (() => void) | null;

  constructor(api: OrtApi, parts: OpenedParts, close: () => void) {
    const { address, provider, allocator, onCpu } = parts;
    this.version = api.version;
    this.handle = { sessionAddress: address, version: api.version, provider };
    this.allocator = allocator;
    this.onCpu = onCpu;
    this.#api = api;
    this.#parts = parts;
    this.#hostMemory = api.createCpuMemoryInfo();
    this.#deviceMemory = provider === 'cpu' ? this.#hostMemory : api.createDeviceMemoryInfo(webgpuMemoryName);
    this.#close = close;
  }

  bind(inputs: readonly BoundTensor[], outputs: readonly BoundTensor[]): Binding {
    if (this.#close === null) throw new OrtError('invalid-argument', 'the session has been released');
    const { address: session, provider, flushDenormals, traffic } = this.#parts;
    const carried = provider === 'cpu' ? null : traffic;
    const onRelease = (self: Binding) => this.#bindings.delete(self);
    const memory = { host: this.#hostMemory, device: this.#deviceMemory };
    const binding = new CApiBinding(this.#api, {
      session,
      flushDenormals,
      traffic: carried,
      memory,
      onRelease,
    });
    try {
      for (const tensor of inputs) binding.addInput(tensor);
      for (const tensor of outputs) binding.addOutput(tensor);
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
    if (this.#deviceMemory !== this.#hostMemory) this.#api.releaseMemoryInfo(this.#deviceMemory);
    this.#api.releaseMemoryInfo(this.#hostMemory);
    close();
  }
}
