// Which adapter WebGPU computes on, in words, or what this machine lacks for one. Before it: backend.ts and ort.ts; after
// it: vulkan-adapters.ts.
import { existsSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { OrtError } from './ort-error.ts';
import { libraryPath } from './ort-library.ts';
import { type VulkanAdapter, vulkanAdapters } from './vulkan-adapters.ts';

const systems: Readonly<Record<string, string>> = {
  win32: "Direct3D 12: the system's high-performance adapter",
  darwin: "Metal: the system's default adapter",
};

// In the order in which ONNX Runtime asks for one: performance before power.
const preference: readonly VulkanAdapter['kind'][] = ['discrete', 'integrated', 'virtual', 'cpu', 'other'];

/** For people: the adapter's name; where several are alike, all of them. */
export function adapterName(system: NodeJS.Platform = platform(), known = vulkanAdapters): string {
  const own = systems[system];
  if (own !== undefined) return own;
  const adapters = known() ?? [];
  for (const kind of preference) {
    const names = adapters.filter((adapter) => adapter.kind === kind).map(({ name }) => name);
    if (names.length > 0) return names.join(' or ');
  }
  return 'Vulkan: an adapter without a name';
}

/** Why a session on WebGPU could not be opened, if it is this machine or its library; any other error as it is. */
export function adapterRefusal(error: unknown, version: string, known = vulkanAdapters): unknown {
  if (!(error instanceof OrtError)) return error;
  if (/adapter/i.test(error.message)) return new OrtError('no-adapter', missingAdapter(known));
  if (/provider/i.test(error.message) && error.code !== 'ep-fail')
    return new OrtError(
      'no-provider',
      `ONNX Runtime ${version} for ${platform()} ${arch()} has no WebGPU inside`,
    );
  return error;
}

function missingAdapter(known: () => readonly VulkanAdapter[] | null): string {
  const found = 'WebGPU finds no adapter';
  const otherwise = 'serve with --backend cpu';
  if (platform() !== 'linux')
    return `${found} that ${platform()} offers for Direct3D 12 or Metal; ${otherwise}`;
  const adapters = known();
  if (adapters === null)
    return `${found}: there is no Vulkan loader (libvulkan.so.1) on this machine; install it with the driver of the GPU, or ${otherwise}`;
  if (adapters.length === 0)
    return `${found}: Vulkan is installed but has no driver of a GPU; install the GPU's Vulkan driver, or ${otherwise}`;
  const names = adapters.map(({ name }) => name).join(', ');
  return `${found} that it accepts; Vulkan offers ${names}, and software adapters such as llvmpipe are refused; ${otherwise}`;
}

/** Why CUDA cannot be had: OrtError, always, because nothing here computes with it yet. */
export function cudaRefusal(): OrtError {
  const name = platform() === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';
  const file = join(dirname(libraryPath()), name);
  const isThere = existsSync(file);
  return new OrtError(
    'no-provider',
    isThere
      ? `${name} is installed, but this server does not compute with CUDA; --backend webgpu uses the same GPU`
      : `onnxruntime-node comes without CUDA for ${platform()} ${arch()} (${name} is not beside its library); --backend webgpu uses the same GPU`,
  );
}
