// The names of the adapters that Vulkan has on this machine, which is where WebGPU finds them on Linux; ONNX Runtime does
// not say which one it took. Owns the little of Vulkan's interface that this takes. Before it: adapter.ts; after it:
// the system's Vulkan loader.
import { createRequire } from 'node:module';

export interface VulkanAdapter {
  readonly name: string;
  readonly kind: 'other' | 'integrated' | 'discrete' | 'virtual' | 'cpu';
}

type Koffi = typeof import('koffi');
type Loader = ReturnType<Koffi['load']>;
type Pointer = bigint | null;

const loaderName = 'libvulkan.so.1';
// enum VkPhysicalDeviceType; source: vulkan_core.h, as what follows
const kinds = ['other', 'integrated', 'discrete', 'virtual', 'cpu'] as const;
const propertiesSize = 1024; // bytes; VkPhysicalDeviceProperties has 824
const kindOffset = 16;
const nameOffset = 20;
const nameSizeMax = 256;
const createInfoType = 1; // VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
const createInfoSize = 64; // sType, pNext, flags, pApplicationInfo, two lists of names
const adapterCountMax = 64;

/** Null: this machine has no Vulkan loader. Whatever else goes wrong is an empty list: it is only about names. */
export function vulkanAdapters(): readonly VulkanAdapter[] | null {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  let library: Loader;
  try {
    library = koffi.load(loaderName);
  } catch {
    return null;
  }
  try {
    return adaptersOf(library);
  } catch {
    return []; // a loader without the functions that it should have
  }
}

function adaptersOf(library: Loader): readonly VulkanAdapter[] {
  const create = library.func('vkCreateInstance', 'int32_t', ['void *', 'void *', 'void *']);
  const destroy = library.func('vkDestroyInstance', 'void', ['void *', 'void *']);
  const enumerate = library.func('vkEnumeratePhysicalDevices', 'int32_t', ['void *', 'void *', 'void *']);
  const describe = library.func('vkGetPhysicalDeviceProperties', 'void', ['void *', 'void *']);
  const info = new Uint8Array(createInfoSize);
  new DataView(info.buffer).setUint32(0, createInfoType, true);
  const instance = new BigUint64Array(1);
  if (create(info, null, instance) !== 0) return [];
  try {
    const count = Uint32Array.of(adapterCountMax);
    const handles = new BigUint64Array(adapterCountMax);
    if (enumerate(instance[0]! as Pointer, count, handles) < 0) return [];
    return Array.from(handles.subarray(0, count[0]!), (handle) => {
      const properties = new Uint8Array(propertiesSize);
      describe(handle as Pointer, properties);
      return adapterOf(properties);
    });
  } finally {
    destroy(instance[0]! as Pointer, null);
  }
}

function adapterOf(properties: Uint8Array): VulkanAdapter {
  const name = properties.subarray(nameOffset, nameOffset + nameSizeMax);
  const end = name.indexOf(0);
  return {
    name: new TextDecoder().decode(end === -1 ? name : name.subarray(0, end)),
    kind: kinds[new DataView(properties.buffer).getUint32(kindOffset, true)] ?? 'other',
  };
}
