// Refusals of WebGPU and CUDA in words: each names what this machine lacks.
import { platform } from 'node:os';
import { expect, test } from 'vitest';
import { adapterName, adapterRefusal, cudaRefusal } from '../../../../kernels/onnx/adapter.ts';
import { OrtError } from '../../../../kernels/onnx/ort-error.ts';
import type { VulkanAdapter } from '../../../../kernels/onnx/vulkan-adapters.ts';

const noAdapter = new OrtError(
  'fail',
  'context.cc:136 Failed to get a WebGPU adapter: No supported adapters',
);
const llvmpipe: VulkanAdapter = { name: 'llvmpipe (LLVM 15)', kind: 'cpu' };

test.runIf(platform() === 'linux').each([
  ['no loader', null, 'libvulkan.so.1'],
  ['no driver', [], 'no driver of a GPU'],
  ['software only', [llvmpipe], 'llvmpipe (LLVM 15)'],
] as const)('%s: the refusal says so', (_, adapters, part) => {
  const refusal = adapterRefusal(noAdapter, '1.30.0', () => adapters);
  expect(refusal).toMatchObject({ name: 'OrtError', code: 'no-adapter' });
  expect((refusal as Error).message).toContain(part);
  expect((refusal as Error).message).toContain('--backend cpu');
});

test('a library without the provider is named; other errors stay what they are', () => {
  const unknown = new OrtError('fail', "Unknown provider name 'WebGPU'.");
  expect(adapterRefusal(unknown, '1.30.0', () => null)).toMatchObject({ code: 'no-provider' });
  const other = new OrtError('no-such-file', 'model.onnx');
  expect(adapterRefusal(other, '1.30.0', () => null)).toBe(other);
});

test('on Linux the adapter is the one that performs best; elsewhere the system chooses', () => {
  const adapters: readonly VulkanAdapter[] = [
    llvmpipe,
    { name: 'Arc A770', kind: 'discrete' },
    { name: 'UHD 770', kind: 'integrated' },
  ];
  expect(adapterName('linux', () => adapters)).toBe('Arc A770');
  const two = [...adapters, { name: 'RTX 4090', kind: 'discrete' } as const];
  expect(adapterName('linux', () => two)).toBe('Arc A770 or RTX 4090');
  expect(adapterName('win32', () => null)).toContain('Direct3D 12');
  expect(adapterName('darwin', () => null)).toContain('Metal');
});

test('CUDA is refused with what would have to be there', () => {
  expect(cudaRefusal().message).toMatch(/onnxruntime_providers_cuda/);
});
