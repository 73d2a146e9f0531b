// ONNX Runtime's shared library, as the onnxruntime-node package ships it, and how the functions of its table are called:
// statuses become OrtErrors, out-pointers results. Knows no function but those. Before it: ort-c-api.ts and
// ort-device-api.ts; after it: the native library.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { OrtError } from './ort-error.ts';

/** An address in this process; 0n is NULL. */
export type Address = bigint;

const apiVersion = 24; // of the C API: old enough for every library we accept, new enough for every position used
const acceptedVersion = /^1\.(\d+)\.\d+/;
const minorMin = 30; // ONNX Runtime 1.30 is what the graphs and this table were tested with

// Positions in `struct OrtApi`, as in ort-c-api.ts.
const positions = { GetErrorCode: 1, GetErrorMessage: 2, ReleaseStatus: 93 } as const;

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

type Koffi = typeof import('koffi');
/** A C type of an argument or result, in koffi's names. */
export type Type = 'void *' | 'void' | 'int32_t' | 'uint32_t' | 'size_t' | 'str' | 'str16';
type Value = Address | number | string | ArrayBufferView | null;
type Native = (...args: Value[]) => unknown;

/** The library and its table. */
export interface Library {
  readonly version: string;
  readonly pathType: Type; // ORTCHAR_T*
  addressOf(data: ArrayBufferView): Address;
  /** The pointer at `address[index]`. */
  pointerAt(address: Address, index: number): Address;
  /** The zero-terminated UTF-8 text at `address`. */
  textAt(address: Address): string;
  read(position: number, result: Type, args: readonly Type[]): Native;
}

/** Loads it and checks its version. Throws OrtError('unavailable'), or what loading threw. */
export function openLibrary(): Library {
  const require = createRequire(import.meta.url);
  // Required lazily: a machine without koffi's binary must still be able to load this module and fall back.
  const koffi = require('koffi') as Koffi;
  const library = koffi.load(libraryPath());
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
    pointerAt,
    textAt: (address) => koffi.decode(address, 'char', -1) as string,
    read(position, result, args) {
      const call = koffi.decode(pointerAt(api, position), koffi.proto(result, [...args])) as Native;
      // koffi unloads a library that nobody refers to; a decoded pointer alone does not count.
      return Object.assign(call, { library });
    },
  };
}

/** The shared library's, whether it is there or not. Throws where onnxruntime-node is not installed. */
export function libraryPath(): string {
  const require = createRequire(import.meta.url);
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

/** How functions of the table are called. */
export interface Callers {
  /** Turns a status into OrtError and frees it. */
  fail(status: Address): never;
  /** A function that answers OrtStatus*, null when all is well. */
  checked(position: number, args: readonly Type[]): (...values: Value[]) => void;
  /** The same with an out-pointer as its last argument, which becomes the result. */
  creator(position: number, args: readonly Type[]): (...values: Value[]) => Address;
  releaser(position: number): (address: Address) => void;
}

export function callersOf(library: Library): Callers {
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
