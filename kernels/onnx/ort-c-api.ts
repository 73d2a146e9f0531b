// ONNX Runtime's C API: turns its table of function pointers into typed JavaScript functions. Owns no session and no
// memory; knows no model. Before it: ort.ts; after it: ort-library.ts, with denormals flushed while it computes
// (float-mode.ts), and what devices need beside it (ort-device-api.ts).
import { type FloatMode, loadFloatMode } from './float-mode.ts';
import { type DeviceApi, deviceTable } from './ort-device-api.ts';
import { OrtError } from './ort-error.ts';
import { type Address, type Callers, callersOf, type Library, openLibrary } from './ort-library.ts';
import { type DeviceMemory, isDeviceMemory } from './runtime.ts';

/** The functions used, bound to the library. Each that can fail throws OrtError with ONNX Runtime's message. */
export interface OrtApi extends DeviceApi {
  readonly version: string;
  readonly floatMode: FloatMode | null;
  createEnv(severity: number, logId: string): Address;
  createSessionOptions(): Address;
  setGraphOptimizationLevel(options: Address, level: number): void;
  setIntraOpThreads(options: Address, count: number): void;
  setInterOpThreads(options: Address, count: number): void;
  setExecutionMode(options: Address, mode: number): void;
  setMemoryPattern(options: Address, enabled: boolean): void;
  setMemoryArena(options: Address, enabled: boolean): void;
  enableProfiling(options: Address, filePrefix: string): void;
  addConfigEntry(options: Address, entry: { readonly key: string; readonly value: string }): void;
  /** Operators of another shared library. */
  registerOperators(options: Address, libraryPath: string): void;
  createSession(env: Address, modelPath: string, options: Address): Address;
  createSessionOf(env: Address, model: Uint8Array, options: Address): Address;
  createCpuMemoryInfo(): Address;
  /** A tensor over `data`, which the caller keeps alive and in place until releaseValue(); `memoryInfo` says where it is. */
  createTensor(
    memoryInfo: Address,
    data: ArrayBufferView | DeviceMemory,
    shape: readonly number[],
    elementType: number,
  ): Address;
  createIoBinding(session: Address): Address;
  bindInput(binding: Address, name: string, value: Address): void;
  bindOutput(binding: Address, name: string, value: Address): void;
  /** `flushDenormals`: where the floating-point mode can be switched. */
  runWithBinding(session: Address, binding: Address, flushDenormals: boolean): void;
  releaseEnv(env: Address): void;
  releaseMemoryInfo(memoryInfo: Address): void;
  releaseSession(session: Address): void;
  releaseValue(value: Address): void;
  releaseSessionOptions(options: Address): void;
  releaseIoBinding(binding: Address): void;
}

// Positions in `struct OrtApi`, from 0. The struct only ever grows at its end, so they hold for every later 1.x;
// source: onnxruntime_c_api.h, and each is called by test/unit/kernels/onnx/ort.test.ts.
const positions = {
  CreateEnv: 3,
  CreateSession: 7,
  CreateSessionFromArray: 8,
  CreateSessionOptions: 10,
  SetSessionExecutionMode: 13,
  EnableProfiling: 14,
  EnableMemPattern: 16,
  DisableMemPattern: 17,
  EnableCpuMemArena: 18,
  DisableCpuMemArena: 19,
  SetSessionGraphOptimizationLevel: 23,
  SetIntraOpNumThreads: 24,
  SetInterOpNumThreads: 25,
  CreateTensorWithDataAsOrtValue: 49,
  CreateCpuMemoryInfo: 69,
  ReleaseEnv: 92,
  ReleaseMemoryInfo: 94,
  ReleaseSession: 95,
  ReleaseValue: 96,
  ReleaseSessionOptions: 100,
  AddSessionConfigEntry: 130,
  RunWithBinding: 133,
  CreateIoBinding: 134,
  ReleaseIoBinding: 135,
  BindInput: 136,
  BindOutput: 137,
  RegisterCustomOpsLibraryV2: 228,
} as const;

const arenaAllocator = 1; // enum OrtAllocatorType: OrtArenaAllocator
const defaultMemory = 0; // enum OrtMemType: OrtMemTypeDefault
const deviceElementSize = 4; // bytes: f32

/** Loads the library and checks its version. Throws OrtError('unavailable') when that is impossible here. */
export function loadOrtApi(): OrtApi {
  try {
    return openTable();
  } catch (cause) {
    if (cause instanceof OrtError) throw cause;
    throw new OrtError('unavailable', `ONNX Runtime's C API cannot be loaded: ${messageOf(cause)}`);
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

type Options = Pick<
  OrtApi,
  | 'createSessionOptions'
  | 'setGraphOptimizationLevel'
  | 'setIntraOpThreads'
  | 'setInterOpThreads'
  | 'setExecutionMode'
  | 'setMemoryPattern'
  | 'setMemoryArena'
  | 'enableProfiling'
  | 'addConfigEntry'
  | 'registerOperators'
  | 'releaseSessionOptions'
>;

function optionsTable({ pathType }: Library, { checked, creator, releaser }: Callers): Options {
  const enablePattern = checked(positions.EnableMemPattern, ['void *']);
  const disablePattern = checked(positions.DisableMemPattern, ['void *']);
  const enableArena = checked(positions.EnableCpuMemArena, ['void *']);
  const disableArena = checked(positions.DisableCpuMemArena, ['void *']);
  const addConfigEntry = checked(positions.AddSessionConfigEntry, ['void *', 'str', 'str']);
  return {
    createSessionOptions: creator(positions.CreateSessionOptions, []),
    setGraphOptimizationLevel: checked(positions.SetSessionGraphOptimizationLevel, ['void *', 'int32_t']),
    setIntraOpThreads: checked(positions.SetIntraOpNumThreads, ['void *', 'int32_t']),
    setInterOpThreads: checked(positions.SetInterOpNumThreads, ['void *', 'int32_t']),
    setExecutionMode: checked(positions.SetSessionExecutionMode, ['void *', 'int32_t']),
    setMemoryPattern: (options, enabled) => (enabled ? enablePattern : disablePattern)(options),
    setMemoryArena: (options, enabled) => (enabled ? enableArena : disableArena)(options),
    enableProfiling: checked(positions.EnableProfiling, ['void *', pathType]),
    addConfigEntry: (options, { key, value }) => addConfigEntry(options, key, value),
    registerOperators: checked(positions.RegisterCustomOpsLibraryV2, ['void *', pathType]),
    releaseSessionOptions: releaser(positions.ReleaseSessionOptions),
  };
}

function openTable(): OrtApi {
  const library = openLibrary();
  const callers = callersOf(library);
  const { fail, checked, creator, releaser } = callers;
  const floatMode = loadFloatMode();
  const createTensor = creator(positions.CreateTensorWithDataAsOrtValue, [
    'void *', // OrtMemoryInfo
    'void *', // data
    'size_t', // bytes
    'void *', // const int64_t* shape
    'size_t', // rank
    'int32_t', // element type
  ]);
  const createCpuMemoryInfo = creator(positions.CreateCpuMemoryInfo, ['int32_t', 'int32_t']);
  const createSessionOf = creator(positions.CreateSessionFromArray, ['void *', 'void *', 'size_t', 'void *']);
  // The one call of the hot path: fixed arguments, no closure per call.
  const runWithBinding = library.read(positions.RunWithBinding, 'void *', ['void *', 'void *', 'void *']);
  return {
    version: library.version,
    floatMode,
    ...optionsTable(library, callers),
    ...deviceTable(library, callers),
    createEnv: creator(positions.CreateEnv, ['int32_t', 'str']),
    createSession: creator(positions.CreateSession, ['void *', library.pathType, 'void *']),
    createSessionOf: (env, model, options) => createSessionOf(env, model, model.byteLength, options),
    createCpuMemoryInfo: () => createCpuMemoryInfo(arenaAllocator, defaultMemory),
    createTensor(memoryInfo, data, shape, elementType) {
      const dims = BigInt64Array.from(shape, BigInt);
      if (isDeviceMemory(data)) {
        const { address, length } = data;
        return createTensor(memoryInfo, address, length * deviceElementSize, dims, shape.length, elementType);
      }
      // V8 keeps a small array inside its heap, where the collector may move it, until somebody asks for `.buffer`.
      const address = data.buffer.byteLength === 0 ? 0n : library.addressOf(data);
      return createTensor(memoryInfo, address, data.byteLength, dims, shape.length, elementType);
    },
    createIoBinding: creator(positions.CreateIoBinding, ['void *']),
    bindInput: checked(positions.BindInput, ['void *', 'str', 'void *']),
    bindOutput: checked(positions.BindOutput, ['void *', 'str', 'void *']),
    runWithBinding(session, binding, flushDenormals) {
      if (flushDenormals) floatMode?.flush();
      const status = runWithBinding(session, null, binding) as Address | null;
      if (flushDenormals) floatMode?.restore();
      if (status !== null) fail(status);
    },
    releaseEnv: releaser(positions.ReleaseEnv),
    releaseMemoryInfo: releaser(positions.ReleaseMemoryInfo),
    releaseSession: releaser(positions.ReleaseSession),
    releaseValue: releaser(positions.ReleaseValue),
    releaseIoBinding: releaser(positions.ReleaseIoBinding),
  };
}
