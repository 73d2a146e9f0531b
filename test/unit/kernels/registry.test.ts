import { expect, test } from 'vitest';
import { VirtualClock } from '../../../kernels/clock.ts';
import { backendNames, createBackend, UnknownBackendError } from '../../../kernels/registry.ts';
import type { ModelSpec } from '../../../models/spec.ts';
import { rowOf } from '../../cpu-rig.ts';

const clock = new VirtualClock();
const world = {
  spec: { vocabSize: 300 } as ModelSpec,
  sizes: {
    replicaCount: 1,
    slotCount: 2,
    slotTokensMax: 32,
    blockSize: 4,
    blockCount: 8,
    rowTokensMax: 8,
    stepTokensMax: 16,
    sampleCountMax: 3,
  },
  threadCount: 1,
  stepTimeoutMs: 1000,
  tellIntervalMs: 0,
  openGraph: () => Promise.reject(new Error('a simulated device computes nothing')),
  simulated: { model: 'llama-3.1-8b', precision: 'fp16', weights: 'resident', text: 'noise' } as const,
  clock,
  log: { info: () => undefined, warn: () => undefined },
};

test('a name that no device has is refused with the list', async () => {
  for (const name of ['gpu', '', 'toString']) {
    await expect(createBackend(name, world)).rejects.toThrow(UnknownBackendError);
    await expect(createBackend(name, world)).rejects.toThrow(`known are ${backendNames.join(', ')}`);
  }
});

test('the simulated device opens without a graph and steps on the given clock', async () => {
  const backend = await createBackend('sim', world);
  expect(backend.limits).toMatchObject({ ...world.sizes, vocabSize: 300 });
  const rows = [rowOf({ slot: 0, position: 0, tokens: [1, 2, 3] })];
  let tokenCount = 0;
  backend.step({ replica: 0, restores: [], rows, saves: [] }, (outcome) => {
    if (outcome.ok) tokenCount = outcome.rows[0]!.tokens.length;
  });
  clock.run();
  expect(tokenCount).toBe(1);
  await backend.close();
});

test('the cpu device asks for its graph', async () => {
  await expect(createBackend('cpu', world)).rejects.toThrow('computes nothing');
});

test('a simulated chip opens with the vocabulary that is served, and says how it likes its prompts cut', async () => {
  for (const name of ['wse3', 'h100x2']) {
    const backend = await createBackend(name, world);
    expect(backend.limits).toMatchObject({ vocabSize: 300, slotTokensMax: 32, blockSize: 4 });
    expect(backend.prefill!.tokensPerStep).toBeGreaterThanOrEqual(backend.prefill!.chunkTokens);
    await backend.close();
  }
});

test('a simulated chip takes the weights as they are published, unless another format is asked for', async () => {
  const simulated = { ...world.simulated, model: 'gpt-oss-120b', precision: null };
  const backend = await createBackend('h100', { ...world, simulated });
  expect(backend.limits.slotCount).toBeGreaterThan(1); // 65 GB of mxfp4
  await backend.close();
  const wide = { ...simulated, precision: 'fp16' } as const;
  await expect(createBackend('h100', { ...world, simulated: wide })).rejects.toThrow('GB');
});

test('wafers serve a model that they do not hold, all sequences in one step', async () => {
  const simulated = { ...world.simulated, model: 'llama-3.1-70b', weights: 'streamed' } as const;
  await expect(
    createBackend('wse3x1', { ...world, simulated: { ...simulated, weights: 'resident' } }),
  ).rejects.toThrow('needs 141.1 GB');
  const backend = await createBackend('wse3x1', { ...world, simulated });
  expect(backend.limits).toMatchObject({ replicaCount: 1, vocabSize: 300 });
  expect(backend.limits.slotCount).toBeGreaterThan(1);
  const start = clock.nowMs();
  const rows = [rowOf({ slot: 0, position: 0, tokens: [1] }), rowOf({ slot: 1, position: 0, tokens: [1] })];
  let deviceMs = 0;
  backend.step({ replica: 0, restores: [], rows, saves: [] }, (outcome) => {
    if (outcome.ok) deviceMs = outcome.deviceMs;
  });
  clock.run();
  expect(clock.nowMs() - start).toBeCloseTo(deviceMs, 6);
  expect(deviceMs).toBeGreaterThan(500); // some hundred gigabytes at 150 a second
  await backend.close();
});
