// Our own operators for ONNX Runtime on the cpu, a shared library built from the C sources of kernels/native (`make native`): where
// it lies, whether it is whole, and whether this machine can use it. Before it: ort.ts registers it with sessions; after it: the library, whose entry
// point is in register.c.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadOrtApi } from './ort-c-api.ts';

/** Of the two, one is null. */
interface NativeLibrary {
  readonly path: string | null;
  readonly problem: string | null; // why there is no path
  readonly isBroken: boolean; // it is here, and does not work
}

let known: NativeLibrary | undefined;

/** Its path; null where there is none for this platform or processor, or none that can be loaded. */
export function nativeLibraryPath(): string | null {
  return nativeLibrary().path;
}

/** That, and why there is none. */
export function nativeLibrary(): NativeLibrary {
  known ??= libraryIn(sourceDirectory());
  return known;
}

/** The library below `directory`. */
export function libraryIn(directory: string): NativeLibrary {
  const none = {
    path: null,
    problem: 'there are none of our own for this processor and system',
    isBroken: false,
  };
  const broken = (problem: string) => ({ path: null, problem, isBroken: true });
  const file = { linux: 'sparklane-kernels.so' }[platform() as string];
  if (file === undefined) return none;
  const built = join(directory, `${platform()}-${arch()}`);
  const path = join(built, file);
  if (!existsSync(path)) return none;
  if (!isAsBuilt(path, join(built, 'library.sha256')))
    return broken(`${path} is not the library that was built: install it anew`);
  let koffi: typeof import('koffi');
  try {
    loadOrtApi(); // they are registered through it
    koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  } catch {
    return none;
  }
  try {
    const isSupported = koffi.load(path).func('sparklane_supported', 'int32_t', [])() === 1;
    return isSupported ? { path, problem: null, isBroken: false } : none;
  } catch (error) {
    // Such as a file system that nothing may be executed from.
    return broken(`${path} cannot be loaded: ${(error as Error).message}`);
  }
}

/** Of a file that was cut short, the system maps pages that are not there, and ends the process when they are read. */
function isAsBuilt(path: string, digestPath: string): boolean {
  try {
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
    return digest === readFileSync(digestPath, 'utf8').trim();
  } catch {
    return false;
  }
}

/** This file is `kernels/onnx/own-library.ts` of the repository, or the package's `dist/kernels/onnx/own-library.js`. */
function sourceDirectory(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return join(here, import.meta.url.endsWith('.js') ? '../../../kernels/native' : '../native');
}
