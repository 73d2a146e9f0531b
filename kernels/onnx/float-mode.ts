// The floating-point mode of the calling thread: denormals as zero while native code runs, JavaScript's own before and
// after. A softmax over a long context is full of denormals, and a processor takes a hundred times as long for one;
// ONNX Runtime's own switch covers its threads and, for good, whoever opens the first session. Owns two images of the
// C library's floating-point environment. Before it: ort-c-api.ts, around its calls; after it: fesetenv(3).
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';

export interface FloatMode {
  /** Denormals are zero in this thread, as operands and as results. */
  flush(): void;
  /** As it was when the mode was loaded. */
  restore(): void;
}

interface Layout {
  readonly library: string;
  readonly control: number; // byte offset of the control register
  readonly bits: number;
}

const sseBits = 0x8040; // MXCSR: flush to zero, denormals are zero
const armBit = 0x0100_0000; // FPCR: FZ
const environmentSizeMax = 64; // bytes; the largest fenv_t below has 32
// Source: <bits/fenv.h> of glibc, <fenv.h> of macOS. Layouts are not taken on trust: loadFloatMode() tries them.
const layouts: Readonly<Record<string, Layout>> = {
  'linux/x64': { library: 'libm.so.6', control: 28, bits: sseBits },
  'linux/arm64': { library: 'libm.so.6', control: 0, bits: armBit },
  'darwin/x64': { library: '/usr/lib/libSystem.B.dylib', control: 4, bits: sseBits },
  'darwin/arm64': { library: '/usr/lib/libSystem.B.dylib', control: 8, bits: armBit },
};

/** For this thread; null where it cannot be switched (another C library, another system). */
export function loadFloatMode(): FloatMode | null {
  const layout = layouts[`${platform()}/${arch()}`];
  if (layout === undefined) return null;
  try {
    const mode = openMode(layout);
    mode.flush();
    const flushed = !keepsDenormals();
    mode.restore();
    return flushed && keepsDenormals() ? mode : null;
  } catch {
    return null; // no such library, or not one that koffi can load
  }
}

function openMode({ library, control, bits }: Layout): FloatMode {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const maths = koffi.load(library);
  const get = maths.func('fegetenv', 'int32_t', ['void *']) as (environment: Uint8Array) => number;
  const set = maths.func('fesetenv', 'int32_t', ['void *']) as (environment: Uint8Array) => number;
  const own = new Uint8Array(environmentSizeMax);
  get(own);
  const flushing = own.slice();
  const view = new DataView(flushing.buffer);
  view.setUint32(control, view.getUint32(control, true) | bits, true);
  return { flush: () => void set(flushing), restore: () => void set(own) };
}

const numbers = Float64Array.of(Number.MIN_VALUE, 1); // from memory: a constant would be computed beforehand

function keepsDenormals(): boolean {
  return numbers[0]! * numbers[1]! > 0;
}
