// The fallback where the C API cannot be loaded: onnxruntime-node's own native binding, called directly because
// its public run() defers to the event loop while the native one underneath is synchronous. Memory is bound and
// updated in place as in ort.ts, except that the binding refuses views over a SharedArrayBuffer.
// Before it: worker.ts through runtime.ts; after it: the native library.
import { createRequire } from 'node:module';
import { assertBindable, OrtError } from './ort-error.ts';
import {
  type Binding,
  type BoundTensor,
  type GraphSession,
  isDeviceMemory,
  type SessionOptions,
  type TensorData,
} from './runtime.ts';

/**
 * After every run the binding copies each output it returns into a fresh array, preallocated or not, KV buffers
 * included: a step would cost in proportion to their capacity. It converts outputs in order and throws at the
 * first that is no tensor, when the run is over and before anything is copied. So the graphs for this runtime
 * (BuiltGraph.bindingModelPath) start with a sequence output, and exactly this message means "done".
 * Without such an output, or should a later version accept it, results are the same and only slower.
 */
const copyRefused = 'Non tensor type is temporarily not supported.';

interface NativeTensor {
  readonly dims: readonly number[];
}
interface NativeSession {
  loadModel(path: string, options: object): void;
  readonly outputMetadata: readonly { readonly name: string; readonly isTensor: boolean }[];
  run(feeds: object, fetches: object, options: object): unknown;
  dispose(): void;
}
interface NativeModule {
  readonly binding: { readonly InferenceSession: new () => NativeSession };
  initOrt(): void;
}
interface CommonModule {
  readonly Tensor: new (type: string, data: TensorData, dims: readonly number[]) => NativeTensor;
  readonly env: { logLevel: string; readonly versions: { readonly node?: string } };
}

/** Loads a model. Rejects with OrtError: 'unavailable' when the binding itself cannot be loaded. */
export async function openBindingSession(options: SessionOptions): Promise<GraphSession> {
  const { native, common } = loadBinding();
  const session = new native.binding.InferenceSession();
  try {
    session.loadModel(options.modelPath, nativeOptions(options));
  } catch (cause) {
    throw toOrtError(cause);
  }
  return new BindingSession(session, common);
}

function loadBinding(): { native: NativeModule; common: CommonModule } {
  const require = createRequire(import.meta.url);
  try {
    const common = require('onnxruntime-node') as CommonModule;
    const native = require('onnxruntime-node/dist/binding.js') as NativeModule;
    common.env.logLevel = 'fatal';
    native.initOrt();
    return { native, common };
  } catch (cause) {
    throw new OrtError('unavailable', `onnxruntime-node cannot be loaded: ${toOrtError(cause).message}`);
  }
}

/** The same choices as measuredTuning of ort.ts. */
function nativeOptions(options: SessionOptions): object {
  return {
    intraOpNumThreads: options.intraOpThreads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableMemPattern: true,
    enableCpuMemArena: true,
    logSeverityLevel: 4,
    extra: {
      session: {
        set_denormal_as_zero: '0',
        intra_op: { allow_spinning: options.spinning ? '1' : '0' },
        inter_op: { allow_spinning: '0' },
      },
    },
  };
}

class BindingSession implements GraphSession {
  readonly runtime = 'binding';
  readonly version: string;
  readonly handle = null;
  readonly #session: NativeSession;
  readonly #common: CommonModule;
  readonly #guards: readonly string[]; // outputs that are no tensors, see `copyRefused`
  #released = false;

  constructor(session: NativeSession, common: CommonModule) {
    this.#session = session;
    this.#common = common;
    this.version = common.env.versions.node ?? 'unknown';
    this.#guards = session.outputMetadata.filter(({ isTensor }) => !isTensor).map(({ name }) => name);
  }

  bind(inputs: readonly BoundTensor[], outputs: readonly BoundTensor[]): Binding {
    if (this.#released) throw new OrtError('invalid-argument', 'the session has been released');
    const feeds = this.#tensors(inputs);
    const fetches: Record<string, NativeTensor | null> = {};
    for (const name of this.#guards) fetches[name] = null;
    Object.assign(fetches, this.#tensors(outputs));
    let session: NativeSession | null = this.#session;
    return {
      run: () => {
        if (session === null || this.#released) throw new OrtError('invalid-argument', 'released');
        runInPlace(session, feeds, fetches);
      },
      release: () => {
        session = null;
      },
    };
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#session.dispose();
  }

  #tensors(bound: readonly BoundTensor[]): Record<string, NativeTensor> {
    const tensors: Record<string, NativeTensor> = {};
    for (const tensor of bound) {
      assertBindable(tensor);
      const { name, data, shape } = tensor;
      if (isDeviceMemory(data)) {
        throw new OrtError('invalid-argument', `tensor ${name}: the binding computes on the cpu`);
      }
      if (data.buffer instanceof SharedArrayBuffer) {
        throw new OrtError('invalid-argument', `tensor ${name}: the binding refuses a SharedArrayBuffer`);
      }
      tensors[name] = new this.#common.Tensor(typeNameOf(data), data, shape);
    }
    return tensors;
  }
}

function runInPlace(session: NativeSession, feeds: object, fetches: object): void {
  try {
    session.run(feeds, fetches, {});
  } catch (cause) {
    if (cause instanceof Error && cause.message === copyRefused) return;
    throw toOrtError(cause);
  }
}

function typeNameOf(data: TensorData): string {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Uint8Array) return 'uint8';
  if (data instanceof Int8Array) return 'int8';
  if (data instanceof Int32Array) return 'int32';
  return 'int64';
}

function toOrtError(cause: unknown): OrtError {
  return new OrtError('fail', cause instanceof Error ? cause.message : String(cause));
}
