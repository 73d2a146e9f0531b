// Wafers whose weights come from external memory, against hand computation: the books of a core, the time of a step, what is refused.
import { expect, test } from 'vitest';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import {
  planSimDevice,
  type SimDeviceOptions,
  type StreamedSimDevice,
} from '../../../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../../../kernels/sim/fit-error.ts';
import { activeLayerWeights, layerBytes, shapeKvBytesPerToken } from '../../../../kernels/sim/shapes.ts';
import {
  batchLayerCycles,
  decodeLayerCycles,
  productLayerCycles,
} from '../../../../kernels/sim/wafer/latency.ts';
import { streamedFloor } from '../../../../kernels/sim/wafer/streamed-floor.ts';
import { decodeCounts, streamedStep } from '../../../../kernels/sim/wafer/streamed-steps.ts';

const big = namedShape('llama-3.1-70b');
const mixture = namedShape('qwen3-coder-480b-a35b');

function streamed(options: Partial<SimDeviceOptions> = {}): StreamedSimDevice {
  const device = planSimDevice({
    ...{ device: 'wse3', shape: big, precision: 'fp16', weights: 'streamed', ...options },
  });
  if (device.kind !== 'streamed') throw new Error('not streamed');
  return device;
}

function stepMs(device: StreamedSimDevice, users: number, contextTokens = 512): number {
  return streamedStep(device.setup, device.floor, decodeCounts(device.shape, users, contextTokens)).totalMs;
}

test('a model that does not fit comes in at the rate of the I/O, once for all users of a step', () => {
  const device = streamed();
  const { streamedLayerCount, residentLayerCount } = device.floor;
  expect(streamedLayerCount + residentLayerCount).toBe(80);
  const bytes = (layerBytes(big, 'fp16').common * streamedLayerCount) / 80;
  expect(stepMs(device, 1)).toBeCloseTo((bytes / 150e9) * 1000, 6);
  expect(stepMs(device, 32)).toBeCloseTo(stepMs(device, 1), 6);
});

test('throughput grows with the batch until computing binds, and no further than that', () => {
  const device = streamed({ demand: { userCount: 1, contextTokens: 64, answerTokens: 32 } });
  const rates = [1, 8, 64, 512, 4096, 32_768, 262_144].map((users) => users / stepMs(device, users, 64));
  expect(rates[1]! / rates[0]!).toBeCloseTo(8, 6);
  for (const [index, rate] of rates.slice(1).entries()) expect(rate).toBeGreaterThan(rates[index]!);
  expect(rates[6]! / rates[5]!).toBeLessThan(1.5);
  const { layerMs } = streamedStep(device.setup, device.floor, decodeCounts(big, 32_768, 64));
  expect(stepMs(device, 32_768, 64)).toBeGreaterThanOrEqual(80 * layerMs);
});

test('more wafers bring more I/O, and pay for adding up on it', () => {
  const demand = { userCount: 64, contextTokens: 8192, answerTokens: 512 };
  const four = streamed({ shape: namedShape('llama-3.1-405b'), count: 4, demand });
  const bytes = (layerBytes(four.shape, 'fp16').common * four.floor.streamedLayerCount) / 126;
  const hopMs = (64 * 16_384 * 2) / 150e6;
  const exchanges = 2 * 4 * 126 * hopMs; // twice a layer, up and down a tree of two levels, on the same I/O
  expect(stepMs(four, 64)).toBeCloseTo(bytes / (4 * 150e6) + exchanges, 3);
});

test('of a mixture only the experts that somebody meets come in, and only when they are known', () => {
  const device = streamed({ shape: mixture, precision: 'fp8' });
  const step = (users: number) => streamedStep(device.setup, device.floor, decodeCounts(mixture, users, 512));
  const { common, routed } = layerBytes(mixture, 'fp8');
  const one = step(1);
  expect(one.commonMs).toBeCloseTo(common / 62 / 150e6, 9);
  expect(one.routedMs).toBeCloseTo(((routed / 62) * (8 / 160)) / 150e6, 9);
  expect(step(64).routedMs).toBeCloseTo(((routed / 62) * (1 - (1 - 8 / 160) ** 64)) / 150e6, 9);
  // Nothing of the way in of experts is hidden behind the layer that needs them.
  expect(one.totalMs).toBeGreaterThanOrEqual(device.floor.streamedLayerCount * (one.routedMs + one.layerMs));
});

test('the books of every core add up to its SRAM, whatever stays', () => {
  for (const device of [streamed(), streamed({ shape: mixture, precision: 'fp8', count: 2 })]) {
    const { setup, shape } = device;
    for (const resident of [0, 1, device.floor.residentLayerCount]) {
      const { sram, kvBlocks } = streamedFloor(setup, resident);
      const { reservedBytes, headBytes, residentBytes, bufferBytes, activationsBytes, kvRoomBytes } = sram;
      const used = reservedBytes + headBytes + residentBytes + bufferBytes + activationsBytes;
      expect(used + kvRoomBytes).toBe(setup.chip.coreBytes);
      const cores = setup.waferCount * setup.chip.columns * setup.chip.rows;
      const { common, routed } = layerBytes(shape, setup.precision);
      // Two buffers of what every token of a layer meets, one of all its experts.
      const [layerCommon, layerRouted] = [
        common / shape.layerCount,
        routed / Math.max(1, shape.mixtureLayerCount),
      ];
      expect(bufferBytes).toBe(Math.ceil((2 * layerCommon + layerRouted) / cores));
      expect(residentBytes * cores).toBeGreaterThanOrEqual((resident * (common + routed)) / shape.layerCount);
      expect(kvBlocks * setup.blockSize * shapeKvBytesPerToken(shape, setup.kvPrecision)).toBeLessThanOrEqual(
        Math.max(0, kvRoomBytes) * cores,
      );
    }
  }
});

test('as many layers stay as the stated users leave room for', () => {
  const resident = [1, 32, 96].map(
    (userCount) =>
      streamed({ demand: { userCount, contextTokens: 1024, answerTokens: 64 } }).floor.residentLayerCount,
  );
  expect(resident[0]).toBeGreaterThan(resident[1]!);
  expect(resident[1]).toBeGreaterThan(resident[2]!);
  const fits = streamed({
    shape: namedShape('llama-3.1-8b'),
    demand: { userCount: 1, contextTokens: 1024, answerTokens: 64 },
  });
  expect(fits.floor.streamedLayerCount).toBe(0);
});

test('a batch is a pass of each token, or one product, of which each wafer does its part', () => {
  const shape = namedShape('llama-3.1-8b');
  const area = { columns: 400, rows: 400 };
  const of = (tokenCount: number, parts = 1) =>
    batchLayerCycles(shape, { tokenCount, attentionMacs: 0 }, { area, parts });
  expect(of(1)).toBeCloseTo(decodeLayerCycles(shape, area, 0), 6);
  expect(of(4)).toBeCloseTo(4 * decodeLayerCycles(shape, area, 0), 6);
  const product = productLayerCycles(shape, area, { tokenCount: 4096, position: -4096 });
  expect(of(4096)).toBeCloseTo(product, 3);
  expect(of(1) - of(1, 2)).toBeCloseTo((1.088 * activeLayerWeights(shape)) / 2 / 160_000, 6);
});

test('what has no room even so is refused with its numbers, and what is not modelled by name', () => {
  const wide = () =>
    streamed({ count: 1, demand: { userCount: 1, contextTokens: 131_072, answerTokens: 1 } });
  expect(wide).toThrow(DoesNotFitError);
  expect(wide).toThrow(
    /llama-3.1-70b at fp16, weights streamed: 1 × wse3 has 44.2 GB of SRAM.*the KV of 131072 tokens 42.9/,
  );
  expect(() => streamed({ shape: mixture, precision: 'fp16', count: 1 })).not.toThrow();
  expect(streamed({ demand: { userCount: 1, contextTokens: 131_072, answerTokens: 1 } }).count).toBe(2);
  expect(() => streamed({ kvStoreBytes: 1e12 })).toThrow(/streamed weights: .*external KV store/);
  expect(() => streamed({ drafts: { acceptance: 0.8, tokensMax: 4 } })).toThrow(
    /streamed weights: speculation/,
  );
  expect(() => streamed({ placement: 'equal' })).toThrow(/streamed weights: .*equal regions/);
});
