// An adapter for WebGPU where there is no GPU: SwiftShader, which Debian's chromium brings, with its own Vulkan loader.
// VULKAN_TEST_ICD may name another driver's file. Linux only; elsewhere, and beside a GPU, the system's own is taken.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { env } from 'node:process';
import { requireAdapter } from '../kernels/onnx/device-runtime.ts';

const known = ['/usr/lib/chromium/vk_swiftshader_icd.json'];
const loaded: unknown[] = []; // koffi unloads what nobody refers to

/** Null: from now on WebGPU has an adapter in this process. Else why there is none; asked for once, before any session. */
export function adapterProblem(): string | null {
  const file = [env['VULKAN_TEST_ICD'] ?? '', ...known].find((path) => path !== '' && existsSync(path));
  if (file !== undefined) {
    env['VK_ICD_FILENAMES'] ??= file;
    const loader = join(dirname(file), 'libvulkan.so.1');
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    if (existsSync(loader)) loaded.push(koffi.load(loader)); // whoever asks for it by name gets this one
  }
  try {
    requireAdapter();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
