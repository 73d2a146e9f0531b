// ONNX Runtime's C API: loads the shared library that the onnxruntime-node package ships and turns its table of
// function pointers into typed JavaScript functions. Owns no session and no memory; knows no model.
// Before it: ort.ts; after it: the native library, with denormals flushed while it computes (float-mode.ts).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { type FloatMode, loadFloatMode } from './float-mode.ts';
import { OrtError } from './ort-error.ts';

/** An address in this process; 0n is NULL. */
export type Address = bigint;

/** The functions used, bound to the library. Each that can fail throws OrtError with ONNX Runtime's message. */
export interface OrtApi {
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
  createSession(env: Address, modelPath: string, options: Address): Address;
  createCpuMemoryInfo(): Address;
  /** A tensor over the memory of `data`, which the caller keeps alive and in place until releaseValue(). */
  createTensor(
    memoryInfo: Address,
    data: ArrayBufferView,
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
  GetErrorCode: 1,
  GetErrorMessage: 2,
  CreateEnv: 3,
  CreateSession: 7,
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
  ReleaseStatus: 93,
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
} as const;

const apiVersion = 17; // of the C API: old enough for every library we accept, new enough for every position above
const acceptedVersion = /^1\.(\d+)\.\d+/;
const minorMin = 30; // ONNX Runtime 1.30 is what the graphs and this table were tested with

// enum OrtErrorCode; source: onnxruntime_c_api.h
const errorCodes = [
  'ok',
  'fail',
  'invalid-argument',
  'no-such-file',
  'no-model',
  'engine-error',
  'runtime-exception',
  'invalid-protobuf',
  'model-loaded',
  'not-implemented',
  'invalid-graph',
  'ep-fail',
];

const arenaAllocator = 1; // enum OrtAllocatorType: OrtArenaAllocator
const defaultMemory = 0; // enum OrtMemType: OrtMemTypeDefault

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

type Koffi = typeof import('koffi');
type Type = 'void *' | 'void' | 'int32_t' | 'uint32_t' | 'size_t' | 'str' | 'str16';
type Value = Address | number | string | ArrayBufferView | null;
type Native = (...args: Value[]) => unknown;

interface Library {
  readonly version: string;
  readonly pathType: Type; // ORTCHAR_T*
  addressOf(data: ArrayBufferView): Address;
  read(position: number, result: Type, args: readonly Type[]): Native;
}

function openLibrary(): Library {
  const require = createRequire(import.meta.url);
  // Required lazily: a machine without koffi's binary must still be able to load this module and fall back.
  const koffi = require('koffi') as Koffi;
  const path = libraryPath(require);
  const library = koffi.load(path);
  const base = library.func('OrtGetApiBase', 'void *', [])() as Address;
  const pointerAt = (address: Address, index: number): Address => koffi.decode(address, 8 * index, 'void *');
  const version = koffi.decode(pointerAt(base, 1), koffi.proto('str', []))() as string;
  const minor = acceptedVersion.exec(version)?.[1];
  if (minor === undefined || Number(minor) < minorMin) {
    throw new OrtError('unavailable', `ONNX Runtime ${version} is not supported: 1.${minorMin} or later is`);
  }
  const api = koffi.decode(
    pointerAt(base, 0),
    koffi.proto('void *', ['uint32_t']),
  )(apiVersion) as Address | null;
  if (api === null) throw new OrtError('unavailable', `ONNX Runtime ${version} lacks C API ${apiVersion}`);
  return {
    version,
    pathType: platform() === 'win32' ? 'str16' : 'str',
    addressOf: (data) => koffi.address(data),
    read(position, result, args) {
      const call = koffi.decode(pointerAt(api, position), koffi.proto(result, [...args])) as Native;
      // koffi unloads a library that nobody refers to; a decoded pointer alone does not count.
      return Object.assign(call, { library });
    },
  };
}

function libraryPath(require: NodeJS.Require): string {
  const directory = dirname(require.resolve('onnxruntime-node/package.json'));
  const folder = join(directory, 'bin', 'napi-v6', platform(), arch());
  const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
    version: string;
  };
  switch (platform()) {
    case 'win32':
      return join(folder, 'onnxruntime.dll');
    case 'darwin':
      return join(folder, `libonnxruntime.${version}.dylib`);
    default:
      return join(folder, 'libonnxruntime.so.1');
  }
}

interface Callers {
  /** Turns a status into OrtError and frees it. */
  fail(status: Address): never;
  /** A function that answers OrtStatus*, null when all is well. */
  checked(position: number, args: readonly Type[]): (...values: Value[]) => void;
  /** The same with an out-pointer as its last argument, which becomes the result. */
  creator(position: number, args: readonly Type[]): (...values: Value[]) => Address;
  releaser(position: number): (address: Address) => void;
}

function callersOf(library: Library): Callers {
  const getCode = library.read(positions.GetErrorCode, 'int32_t', ['void *']);
  const getMessage = library.read(positions.GetErrorMessage, 'str', ['void *']);
  const releaseStatus = library.read(positions.ReleaseStatus, 'void', ['void *']);
  const fail = (status: Address): never => {
    const code = errorCodes[getCode(status) as number] ?? 'fail';
    const message = getMessage(status) as string;
    releaseStatus(status);
    throw new OrtError(code, message);
  };
  const checked: Callers['checked'] = (position, args) => {
    const call = library.read(position, 'void *', args);
    return (...values) => {
      const status = call(...values) as Address | null;
      if (status !== null) fail(status);
    };
  };
  const creator: Callers['creator'] = (position, args) => {
    const call = checked(position, [...args, 'void *']);
    return (...values) => {
      const out = new BigUint64Array(1);
      call(...values, out);
      return out[0]!;
    };
  };
  const releaser: Callers['releaser'] = (position) => {
    return library.read(position, 'void', ['void *']) as (address: Address) => void;
  };
  return { fail, checked, creator, releaser };
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
  // The one call of the hot path: fixed arguments, no closure per call.
  const runWithBinding = library.read(positions.RunWithBinding, 'void *', ['void *', 'void *', 'void *']);
  return {
    version: library.version,
    floatMode,
    ...optionsTable(library, callers),
    createEnv: creator(positions.CreateEnv, ['int32_t', 'str']),
    createSession: creator(positions.CreateSession, ['void *', library.pathType, 'void *']),
    createCpuMemoryInfo: () => createCpuMemoryInfo(arenaAllocator, defaultMemory),
    createTensor(memoryInfo, data, shape, elementType) {
      const dims = BigInt64Array.from(shape, BigInt);
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
