// Latency, placement and pipeline of the wafer against hand computation.
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { namedShape } from '../../../../kernels/sim/catalogue.ts';
import { planSimDevice, type WaferSimDevice } from '../../../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../../../kernels/sim/fit-error.ts';
import { WAFER_CHIPS } from '../../../../kernels/sim/wafer/chips.ts';
import {
  coreSram,
  cutWafer,
  kvBlockCount,
  stageActivationBytes,
  stageWeightBytes,
} from '../../../../kernels/sim/wafer/floorplan.ts';
import { KvFloor } from '../../../../kernels/sim/wafer/kv-floor.ts';
import { decodeLayerCycles, productLayerCycles } from '../../../../kernels/sim/wafer/latency.ts';
import { Pipeline } from '../../../../kernels/sim/wafer/pipeline.ts';

const fitted = {
  ...{ decodeCyclesPerMac: 1, decodeCyclesPerEdgeCore: 10, decodeCyclesPerLayer: 1000 },
  ...{ prefillCyclesPerMac: 2, prefillCyclesPerEdgeCore: 100, prefillCyclesPerEdgeCoreAndWidth: 0.5 },
};
const shape = namedShape('llama-3.1-8b');
const layer = 4096 * (4096 + 1024 + 1024 + 4096) + 3 * 4096 * 14336;
const square = { columns: 400, rows: 400 };

function wafer(options: Partial<Parameters<typeof planSimDevice>[0]> = {}): WaferSimDevice {
  const device = planSimDevice({ device: 'wse3', shape, precision: 'fp16', ...options });
  if (device.kind !== 'wafer') throw new Error('not a wafer');
  return device;
}

test('a decoded token costs its weights and its context per core, the edge, and a fixed part', () => {
  expect(decodeLayerCycles(shape, square, 0, fitted)).toBeCloseTo(layer / 160_000 + 4000 + 1000, 6);
  expect(decodeLayerCycles(shape, square, 1000, fitted)).toBeCloseTo(
    (layer + 2 * 4096 * 1000) / 160_000 + 5000,
    6,
  );
});

test('a chunk as one product costs its products per core and the edge', () => {
  const macs = 256 * (layer + 2 * 4096 * 256);
  const cycles = productLayerCycles(shape, square, { tokenCount: 256, position: 0 }, fitted);
  expect(cycles).toBeCloseTo((2 * macs) / 160_000 + 400 * (100 + 0.5 * 4096), 3);
});

test('a wafer is cut without gap or overlap', () => {
  const chip = WAFER_CHIPS[1]!;
  const pieces = cutWafer(chip, [3, 1, 4, 1, 5, 9, 2, 6], 3);
  expect(pieces.length).toBe(8);
  const area = pieces.reduce((sum, piece) => sum + piece.columns * piece.rows, 0);
  expect(area).toBe(chip.columns * chip.rows);
  for (const [index, a] of pieces.entries()) {
    for (const b of pieces.slice(index + 1)) {
      const apart =
        a.x + a.columns <= b.x || b.x + b.columns <= a.x || a.y + a.rows <= b.y || b.y + b.rows <= a.y;
      expect(apart).toBe(true);
    }
  }
});

test('a placement holds every layer once, in order, and the head last', () => {
  const { placement } = wafer();
  let next = 0;
  for (const stage of placement.stages.slice(0, -1)) {
    expect(stage.firstLayer).toBe(next);
    next += stage.layerCount;
  }
  expect(next).toBe(32);
  expect(placement.stages.at(-1)!.layerCount).toBe(0);
  expect(placement.kvBlocks).toBe(kvBlockCount(placement.stages));
});

test('the books of a core: weights once, two buffers of activations, and KV in what is left', () => {
  const { setup } = wafer();
  const { chunkTokens, chip, blockSize } = setup;
  const widest = 2 * 14336; // gate and up, wider than q, k and v
  const content = { firstLayer: 0, layerCount: 2 };
  const activations = 2 * 2 * chunkTokens * (4096 + widest); // two buffers of 16 bits
  expect(stageActivationBytes(setup, content)).toBe(activations);
  expect(stageActivationBytes(setup, { firstLayer: 32, layerCount: 0 })).toBe(2 * 2 * (4096 + 128256));
  expect(stageWeightBytes(setup, content)).toBe(2 * layer * 2);
  const sram = coreSram(setup, content, square);
  expect(sram.activationsBytes).toBe(Math.ceil(activations / 160_000));
  expect(sram.reservedBytes + sram.weightsBytes + sram.activationsBytes + sram.kvRoomBytes).toBe(
    chip.coreBytes,
  );
  const blockBytes = Math.ceil((blockSize * 2 * 2 * 8 * 128 * 2) / 400); // k and v of two layers over a row
  expect([sram.blockBytes, sram.blocksPerRow]).toEqual([
    blockBytes,
    Math.floor(sram.kvRoomBytes / blockBytes),
  ]);
});

test('embeddings that are the output projection too lie on the wafer once', () => {
  const head = { firstLayer: 0, layerCount: 0 };
  const { setup } = wafer();
  expect(stageWeightBytes(setup, head)).toBe(2 * 128256 * 4096 * 2);
  const tied = { ...setup, shape: { ...shape, tiedEmbeddings: true } };
  expect(stageWeightBytes(tied, head)).toBe(128256 * 4096 * 2);
});

test('a chunk is handed on token by token: the next stage begins with the first one', () => {
  const times = wafer().stageTimes();
  const tokenCount = 16; // so few are cheaper one by one than as a product
  const work = { tokenCount, position: 0, draws: true };
  const perToken = Array.from(
    { length: times.stageCount - 1 },
    (_, stage) => times.workMs(stage, work) / tokenCount,
  );
  const layersMs = perToken.reduce((sum, ms) => sum + ms, 0) + (tokenCount - 1) * Math.max(...perToken);
  const headMs = times.workMs(times.stageCount - 1, work);
  expect(times.prefillMs(tokenCount, tokenCount)).toBeCloseTo(layersMs + headMs, 9);
});

test('KV that was used longest ago leaves the wafer first', () => {
  const floor = new KvFloor(wafer().placement.stages, { frameCount: 4, blockCount: 8 });
  const traffic = { fetched: 0, spilled: 0, streamed: 0 };
  const use = (seat: number, block: number) => {
    const before = { ...traffic };
    floor.hold(seat, [block], 1, traffic);
    floor.release(seat);
    floor.check();
    return traffic.fetched - before.fetched;
  };
  for (const block of [0, 1, 2, 3]) use(0, block);
  use(0, 0); // now 1 is the oldest
  use(0, 4); // takes its frame
  expect(traffic).toEqual({ fetched: 0, spilled: 1, streamed: 0 });
  expect([0, 2, 3, 4].map((block) => use(0, block))).toEqual([0, 0, 0, 0]); // all still there
  expect(use(0, 1)).toBe(1); // in the place of 0
  expect(use(0, 0)).toBe(1);
});

test('the optimiser serves its demand at least as well as the equal split', () => {
  const demand = { userCount: 40, contextTokens: 8192, answerTokens: 512 };
  const equal = wafer({ count: 2, placement: 'equal', demand }).placement;
  const best = wafer({ count: 2, demand }).placement;
  expect(best.tokensPerSecond).toBeGreaterThanOrEqual(equal.tokensPerSecond);
  const alone = { userCount: 1, contextTokens: 2048, answerTokens: 2048 };
  expect(wafer({ demand: alone }).placement.tokenMs).toBeLessThan(wafer({ demand }).placement.tokenMs);
});

test('a model that does not fit is refused with its size and the SRAM there is', () => {
  const big = { shape: namedShape('llama-3.1-70b'), count: 3 };
  expect(() => wafer(big)).toThrow(DoesNotFitError);
  expect(() => wafer(big)).toThrow(/141\.1 GB.*132\.7 GB/);
  expect(wafer({ ...big, count: 4 }).placement.kvBlocks).toBeGreaterThan(0);
});

test('a lone token takes the sum of its stages and of the links', () => {
  const device = wafer({ shape: namedShape('llama-3.1-70b'), linkLatencyUs: 7 });
  const times = device.stageTimes();
  let sum = 0;
  for (let index = 0; index < times.stageCount; index++) {
    sum += times.workMs(index, { tokenCount: 1, position: 500, draws: true }) + times.linkMs(index, 1);
  }
  expect(times.tokenMs(500)).toBeCloseTo(sum, 9);
  const links = device.placement.stages.filter((_, index) => times.linkMs(index, 1) > 0).length;
  expect(links).toBe(device.setup.waferCount - 1);
  const crossing = device.placement.stages.findIndex((_, index) => times.linkMs(index, 1) > 0);
  expect(times.linkMs(crossing, 1)).toBeCloseTo(0.007 + (8192 * 2 * 1e3) / 150e9, 9);
});

test('tokens of many users follow each other at the pace of the slowest stage', () => {
  const clock = new VirtualClock();
  const times = wafer().stageTimes();
  const pipeline = new Pipeline(clock, times, 8);
  const left: number[] = [];
  for (let user = 0; user < 50; user++) {
    const leave = (): void => void left.push(clock.nowMs());
    pipeline.enter({ tokenCount: 1, position: 100, draws: true, entered() {}, leave });
  }
  clock.run();
  expect(left[0]).toBeCloseTo(times.tokenMs(100), 9);
  const gapMs = (left[49]! - left[0]!) / 49;
  expect(gapMs).toBeCloseTo(times.slowestStageMs(100, true), 6);
});

test('a token that waits goes before the next chunk, and a chunk is not passed for ever', () => {
  const clock = new VirtualClock();
  const pipeline = new Pipeline(clock, wafer().stageTimes(), 2);
  const order: string[] = [];
  const passage = (name: string, tokenCount: number) => ({
    ...{ tokenCount, position: 0, draws: true, leave() {} },
    entered: () => void order.push(name),
  });
  for (const name of ['chunk 1', 'chunk 2']) pipeline.enter(passage(name, 8));
  for (const name of ['a', 'b', 'c', 'd', 'e']) pipeline.enter(passage(name, 1));
  clock.run();
  expect(order).toEqual(['chunk 1', 'a', 'b', 'chunk 2', 'c', 'd', 'e']);
});
