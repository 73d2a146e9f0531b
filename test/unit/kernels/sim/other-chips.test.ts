// Groq's LPU and SambaNova's SN40L: how many chips a model gets, and what a token takes on them.
import { expect, test } from 'vitest';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { type GpuSimDevice, planSimDevice, type SimDeviceOptions } from '../../../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../../../kernels/sim/fit-error.ts';
import { groqFitted } from '../../../../kernels/sim/gpu/fitted.ts';
import { stagedTerms } from '../../../../kernels/sim/gpu/stage-steps.ts';

function planned(device: string, model: string, more: Partial<SimDeviceOptions> = {}): GpuSimDevice {
  const found = planSimDevice({ device, shape: namedShape(model), precision: 'fp8', ...more });
  if (found.kind !== 'gpu') throw new Error('a wafer');
  return found;
}

const oneUser = { rowCount: 1, tokenCount: 1, sampledCount: 1, contextRead: 0, attentionPairs: 0 };

test('a model gets the fewest nodes that hold it, its KV beside it, and no more than were asked for', () => {
  const { setup, limits } = planned('groqlpu', 'llama-3.1-8b');
  expect(setup.gpuCount).toBe(8 * setup.stageCount!);
  const room = setup.gpuCount * 230e6 * 0.9;
  const kvBytes = 2 * 32 * 8 * 128; // fp8, a token
  expect(room).toBeGreaterThan(8.03e9 + 8192 * kvBytes);
  expect(room - 8 * 230e6 * 0.9).toBeLessThan(8.03e9 + 8192 * kvBytes);
  expect(limits.blockCount * limits.blockSize).toBeGreaterThanOrEqual(8192);
  expect(planned('groqlpux576', 'llama-2-70b').setup).toMatchObject({ gpuCount: 576, stageCount: 72 });
  expect(planned('sn40l', 'llama-3.1-8b', { precision: 'bf16' }).count).toBe(16);
  // 671 billion weights do not fit eight chips for each layer.
  const large = planned('groqlpu', 'deepseek-v3').setup;
  expect(large.gpuCount / large.stageCount!).toBeGreaterThan(8);
  expect(large.stageCount).toBeLessThanOrEqual(61);
});

test('a token passes all layers, each with its own fixed time, whatever the number of chips', () => {
  const few = planned('groqlpu', 'llama-2-70b').setup;
  const many = planned('groqlpux576', 'llama-2-70b').setup;
  const weightsMs = 68_713_185_280 / (8 * 80e12 * 0.85) / 1e-3;
  for (const setup of [few, many]) {
    const { totalMs } = stagedTerms(setup, oneUser);
    const ratio = totalMs / (weightsMs + (80 * groqFitted.lpuLayerUs) / 1000);
    expect(ratio).toBeGreaterThan(1); // vectors between chips
    expect(ratio).toBeLessThan(1.02);
  }
  // Users of different stages do not wait for each other.
  const eight = { ...oneUser, rowCount: 8, tokenCount: 8, sampledCount: 8 };
  expect(stagedTerms(many, eight).totalMs / stagedTerms(many, oneUser).totalMs).toBeCloseTo(1, 2);
});

test.each([
  ['groqlpux2', 'llama-3.1-8b', {}, '8, 16, 32, 64, 128'],
  ['groqlpux8', 'llama-3.1-8b', {}, '1.8 GB'],
  ['groqlpu', 'gpt-oss-20b', { sharding: 'expert' as const }, 'GPUs only'],
  ['sn40l', 'llama-3.1-8b', {}, 'fp8'],
  ['sn40lx8', 'llama-3.1-405b', { precision: 'bf16' as const }, '512.0 GB'],
  ['sn40lx33', 'llama-3.1-8b', { precision: 'bf16' as const }, '16, 8, 4, 2, 1'],
])('refuses %s with %s %o, with the numbers', (device, model, more, message) => {
  const plan = () => planned(device, model, more);
  expect(plan).toThrow(DoesNotFitError);
  expect(plan).toThrow(message);
});
