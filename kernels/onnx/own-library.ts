// Our own operators for ONNX Runtime on the cpu, a shared library built from the C sources of kernels/native (`make native`): where
// it lies, and whether this machine can use it. Before it: ort.ts registers it with sessions; after it: the library, whose entry
// point is in register.c.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadOrtApi } from './ort-c-api.ts';

let known: string | null | undefined;

/** Its path; null where there is none for this platform or processor. */
export function nativeLibraryPath(): string | null {
  known ??= usablePath();
  return known;
}

function usablePath(): string | null {
  const file = { linux: 'sparklane-kernels.so' }[platform() as string];
  if (file === undefined) return null;
  const path = join(sourceDirectory(), `${platform()}-${arch()}`, file);
  if (!existsSync(path)) return null;
  try {
    loadOrtApi(); // they are registered through it
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    return koffi.load(path).func('sparklane_supported', 'int32_t', [])() === 1 ? path : null;
  } catch {
    return null; // no koffi, or a library that does not fit this system
  }
}

/** This file is `kernels/onnx/own-library.ts` of the repository, or the package's `dist/kernels/onnx/own-library.js`. */
function sourceDirectory(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return join(here, import.meta.url.endsWith('.js') ? '../../../kernels/native' : '../native');
}
