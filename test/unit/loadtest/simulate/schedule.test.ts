// The on-chip schedule: nothing is larger than a core's SRAM, regions do not overlap, a token passes them one after the other in
// the time that the device itself says.
import { expect, test } from 'vitest';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { planSimDevice, type WaferSimDevice } from '../../../../kernels/sim/device.ts';
import { chipSchedule } from '../../../../loadtest/simulate/schedule.ts';

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
