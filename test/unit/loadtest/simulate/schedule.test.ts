// The on-chip schedule: nothing is larger than a core's SRAM, regions do not overlap, a token passes them one after the other in
// the time that the device itself says.
import { expect, test } from 'vitest';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import {
  planSimDevice,
  type StreamedSimDevice,
  type WaferSimDevice,
} from '../../../../kernels/sim/device.ts';
import { decodeCounts, streamedStep } from '../../../../kernels/sim/wafer/streamed-steps.ts';
import { chipSchedule } from '../../../../loadtest/simulate/schedule.ts';
import { type StreamedSchedule, streamedSchedule } from '../../../../loadtest/simulate/streamed-schedule.ts';

test.each([
  ['llama-3.1-8b', 'fp16', 1000],
  ['llama-3.1-8b', 'fp16', 8000],
  ['llama-3.1-70b', 'fp16', 4000],
  ['gpt-oss-120b', 'mxfp4', 2000],
] as const)('%s in %s at %i tokens', (model, precision, contextTokens) => {
  const device = planSimDevice({ device: 'wse3', shape: namedShape(model), precision }) as WaferSimDevice;
  const { stages, coreBytes, tokenUs, userCount } = chipSchedule(device, contextTokens);
  const { chip } = device.setup;
  expect(userCount).toBeGreaterThanOrEqual(1);
  expect(tokenUs / 1000).toBeCloseTo(device.stageTimes().tokenMs(contextTokens), 6);
  let reachedUs = 0;
  const layers: number[] = [];
  for (const [index, stage] of stages.entries()) {
    const { program, weights, activations, kv, free } = stage.coreBytes;
    expect(Math.min(program, weights, activations, kv, free)).toBeGreaterThanOrEqual(0);
    expect(program + weights + activations + kv + free).toBe(coreBytes);
    expect(stage.startUs).toBeCloseTo(reachedUs, 9);
    expect(stage.endUs).toBeGreaterThan(stage.startUs);
    reachedUs = stage.endUs + stage.linkUs;
    expect(stage.x + stage.columns).toBeLessThanOrEqual(chip.columns);
    expect(stage.y + stage.rows).toBeLessThanOrEqual(chip.rows);
    for (let layer = 0; layer < stage.layerCount; layer++) layers.push(stage.firstLayer + layer);
    for (const other of stages.slice(index + 1)) {
      const apart =
        other.wafer !== stage.wafer ||
        other.x >= stage.x + stage.columns ||
        stage.x >= other.x + other.columns ||
        other.y >= stage.y + stage.rows ||
        stage.y >= other.y + other.rows;
      expect(apart).toBe(true);
    }
  }
  expect(layers).toEqual(Array.from({ length: device.shape.layerCount }, (_, layer) => layer));
});

test.each([
  ['llama-3.1-70b', 'fp16', 4000, 1],
  ['llama-3.1-405b', 'fp16', 4000, 4],
  ['deepseek-v3', 'fp8', 2000, 1],
  ['kimi-k2', 'int4', 2000, 3],
  ['llama-3.1-8b', 'fp16', 1000, 1],
] as const)(
  'weights of %s in %s streamed at %i tokens on %i wafers',
  (shape, precision, contextTokens, count) => {
    const weights = 'streamed';
    const demand = { userCount: 4, contextTokens, answerTokens: 100 };
    const device = planSimDevice({
      ...{ device: 'wse3', shape: namedShape(shape), precision, count, weights, demand },
    }) as StreamedSimDevice;
    const schedule = streamedSchedule(device, contextTokens);
    const { layers, transfers, stepUs, holds, coreBytes, userCount } = schedule;
    expect(userCount).toBe(4);
    const step = streamedStep(device.setup, device.floor, decodeCounts(device.shape, 4, contextTokens));
    expect(stepUs).toBeCloseTo(step.totalMs * 1000, 6);
    expect(Math.min(...Object.values(holds))).toBeGreaterThanOrEqual(0);
    expect(Object.values(holds).reduce((sum, bytes) => sum + bytes, 0)).toBe(coreBytes);
    // Every layer once and in order, then the output projection; all within the step.
    expect(layers.map(({ layer }) => layer)).toEqual(
      Array.from({ length: device.shape.layerCount + 1 }, (_, layer) => layer),
    );
    let reachedUs = 0;
    for (const { startUs, endUs } of layers) {
      expect(startUs).toBeGreaterThanOrEqual(reachedUs - slackUs);
      expect(endUs).toBeGreaterThan(startUs);
      reachedUs = endUs;
    }
    expect(reachedUs).toBeLessThanOrEqual(stepUs + slackUs);
    // The I/O does one thing at a time.
    for (const [index, { startUs }] of transfers.entries()) {
      expect(startUs).toBeGreaterThanOrEqual((transfers[index - 1]?.endUs ?? 0) - slackUs);
    }
    expect(transfers.at(-1)?.endUs ?? 0).toBeLessThanOrEqual(stepUs + slackUs);
    expectBuffersKept(schedule);
    const streamedLayers = layers.filter(({ isStreamed }) => isStreamed).length;
    expect(streamedLayers).toBe(device.floor.streamedLayerCount);
    expect(new Set(transfers.filter(({ part }) => part === 'common').map(({ layer }) => layer)).size).toBe(
      streamedLayers,
    );
  },
);

const slackUs = 1e-6;

// Two steps after each other: nothing comes into a buffer that is in use, and what a layer needs is there before it ends.
function expectBuffersKept({ layers, transfers, stepUs }: StreamedSchedule): void {
  const count = layers.length - 1;
  const streamed = layers.filter(({ isStreamed }) => isStreamed);
  for (const { layer, part, buffer, startUs, endUs } of transfers) {
    const late = layer >= count ? stepUs : 0;
    const user = layers[layer >= count ? layer - count : layer]!;
    expect(user.isStreamed).toBe(true);
    const usedFromUs = user.startUs + late;
    if (part === 'common') expect(endUs).toBeLessThanOrEqual(usedFromUs + slackUs);
    else expect(startUs >= usedFromUs - slackUs && endUs <= user.endUs + slackUs).toBe(true);
    // Whoever had this buffer before has been computed: for common parts the streamed layer two before, for experts the last one.
    const index = streamed.indexOf(user) + (late > 0 ? streamed.length : 0);
    const before = streamed[index - (part === 'common' ? 2 : 1)];
    if (before !== undefined) expect(startUs).toBeGreaterThanOrEqual(before.endUs - slackUs);
    expect(buffer).toBe(part === 'common' ? index % 2 : 2);
  }
}
