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
  readonly size: number; // of fenv_t, bytes; at least
  readonly control: number; // byte offset of the control register
  readonly bits: number;
}

const sseBits = 0x8040; // MXCSR: flush to zero, denormals are zero
const armBit = 0x0100_0000; // FPCR: FZ
// Source: <bits/fenv.h> of glibc, <fenv.h> of macOS. Layouts are not taken on trust: loadFloatMode() tries them.
const layouts: Readonly<Record<string, Layout>> = {
  'linux/x64': { library: 'libm.so.6', size: 32, control: 28, bits: sseBits },
  'linux/arm64': { library: 'libm.so.6', size: 8, control: 0, bits: armBit },
  'darwin/x64': { library: '/usr/lib/libSystem.B.dylib', size: 16, control: 4, bits: sseBits },
  'darwin/arm64': { library: '/usr/lib/libSystem.B.dylib', size: 16, control: 8, bits: armBit },
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

function openMode({ library, size, control, bits }: Layout): FloatMode {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const maths = koffi.load(library);
  const get = maths.func('fegetenv', 'int32_t', ['void *']) as (environment: bigint) => number;
  const set = maths.func('fesetenv', 'int32_t', ['void *']) as (environment: bigint) => number;
  const own = new DataView(new ArrayBuffer(Math.max(size, 64)));
  get(koffi.address(own));
  const flushing = new DataView(own.buffer.slice(0));
  flushing.setUint32(control, own.getUint32(control, true) | bits, true);
  const [ownAddress, flushingAddress] = [koffi.address(own), koffi.address(flushing)];
  const images = [own, flushing]; // referred to for as long as the addresses are
  return {
    flush: () => void (images.length > 0 && set(flushingAddress)),
    restore: () => void (images.length > 0 && set(ownAddress)),
  };
}

const numbers = Float64Array.of(Number.MIN_VALUE, 1); // from memory: a constant would be computed beforehand

function keepsDenormals(): boolean {
  return numbers[0]! * numbers[1]! > 0;
}
