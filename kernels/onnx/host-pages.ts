// Memory that nobody uses any more, given back to the operating system at once. V8 frees a shared buffer when it next looks for
// garbage, which a server that makes little of it seldom does; and what ONNX Runtime frees, the allocator keeps. Models that come and
// go would add up. Linux with glibc; elsewhere memory comes back later. Before it: backend.ts; after it: madvise(2), malloc_trim(3).
import { createRequire } from 'node:module';
import { platform } from 'node:os';

interface Calls {
  addressOf(data: ArrayBufferView): bigint;
  madvise(address: bigint, size: number, advice: number): number;
  mallocTrim(kept: number): number;
}

const dontNeed = 4; // MADV_DONTNEED
const pageSizeMax = 65_536; // bytes; of any Linux

let calls: Calls | null | undefined; // undefined: not tried yet

/** What the views show is zero afterwards: they are of no use to anybody. */
export function giveBack(views: readonly ArrayBufferView[]): void {
  calls ??= open();
  if (calls === null) return;
  for (const view of views) {
    const address = calls.addressOf(view);
    const size = BigInt(pageSizeMax);
    const start = ((address + size - 1n) / size) * size;
    const end = ((address + BigInt(view.byteLength)) / size) * size;
    if (end > start) calls.madvise(start, Number(end - start), dontNeed);
  }
}

/** What the allocator holds for later. */
export function trimAllocator(): void {
  calls ??= open();
  calls?.mallocTrim(0);
}

function open(): Calls | null {
  if (platform() !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const library = koffi.load('libc.so.6');
    return {
      addressOf: (data) => koffi.address(data),
      madvise: library.func('madvise', 'int32_t', ['void *', 'size_t', 'int32_t']) as Calls['madvise'],
      mallocTrim: library.func('malloc_trim', 'int32_t', ['size_t']) as Calls['mallocTrim'],
    };
  } catch {
    return null; // another C library, or no koffi
  }
}
