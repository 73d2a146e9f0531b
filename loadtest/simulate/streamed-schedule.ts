// The on-chip schedule of wafers whose weights come from external memory: what every core holds, which layer's weights come in when
// and into which buffer, and when each layer is computed. As data for `predict --json`; the times are the device's own. Pure.
import type { StreamedSimDevice } from '../../kernels/sim/device.ts';
import { activeRoutedWeights, commonWeights, type ModelShape } from '../../kernels/sim/shapes.ts';
import { decodeCounts, type StreamedStep, streamedStep } from '../../kernels/sim/wafer/streamed-steps.ts';

export interface ScheduledLayer {
  readonly layer: number; // the last one is the output projection
  readonly isStreamed: boolean;
  readonly startUs: number; // from the beginning of the step
  readonly endUs: number; // with what it waits for its experts
}

/** Weights on their way in. */
export interface ScheduledTransfer {
  readonly layer: number; // ≥ the number of layers: of the next step
  readonly part: 'common' | 'experts'; // what every token meets, or the experts that some token meets
  readonly buffer: number; // 0 and 1: common, in turn; 2: experts
  readonly startUs: number;
  readonly endUs: number;
}

export type StreamedSchedule = Readonly<ReturnType<typeof streamedSchedule>>;

export function streamedSchedule(device: StreamedSimDevice, contextTokens: number) {
  const { floor, setup, shape, limits, demand } = device;
  const blocksEach = Math.max(1, Math.ceil(contextTokens / limits.blockSize));
  const fitting = Math.max(1, Math.floor(floor.kvBlocks / blocksEach));
  const userCount = Math.min(demand.userCount, limits.slotCount, fitting);
  const step = streamedStep(setup, floor, decodeCounts(shape, userCount, contextTokens));
  const { coreBytes } = setup.chip;
  const { sram } = floor;
  const rowBlocks = Math.min(sram.blocksPerRow, Math.ceil((userCount * blocksEach) / setup.chip.rows));
  const used = {
    program: sram.reservedBytes,
    head: sram.headBytes, // output projection
    resident: sram.residentBytes, // layers that stay
    buffers: sram.bufferBytes,
    activations: sram.activationsBytes,
    kv: rowBlocks * sram.blockBytes, // in use with that context
  };
  const free = Object.values(used).reduce((left, bytes) => left - bytes, coreBytes);
  return {
    weights: 'streamed' as const,
    contextTokens, // of each user
    userCount, // who share the step: as planned for, or as many as fit
    coreBytes, // SRAM of a core
    waferCount: setup.waferCount,
    holds: { ...used, free }, // bytes of each core, the same on all; they add up to its SRAM
    ...timesOf(step, shape, floor.streamedLayerCount > 0), // in the order of a step
    stepUs: step.totalMs * 1000, // one token of each user
  };
}

function timesOf(
  { periods, layerMs, exchangeMs, routedMs, commonMs }: StreamedStep,
  shape: ModelShape,
  streams: boolean,
) {
  const layers: ScheduledLayer[] = [];
  const transfers: ScheduledTransfer[] = [];
  const common = commonWeights(shape);
  const routerMs = layerMs * (common / (common + activeRoutedWeights(shape))); // computed before experts are known
  let periodMs = 0;
  for (const [index, { residentCount, headMs, ms }] of periods.entries()) {
    let atMs = periodMs;
    const compute = (isStreamed: boolean, durationMs: number): void => {
      layers.push({
        layer: layers.length,
        isStreamed,
        startUs: atMs * 1000,
        endUs: (atMs + durationMs) * 1000,
      });
      atMs += durationMs;
    };
    const fetch = (
      what: Omit<ScheduledTransfer, 'startUs' | 'endUs'>,
      startMs: number,
      durationMs: number,
    ): void => {
      if (durationMs <= 0) return;
      transfers.push({ ...what, startUs: startMs * 1000, endUs: (startMs + durationMs) * 1000 });
    };
    if (streams) {
      // Experts go first once they are known; what the next layer needs comes before them and after them.
      const next = {
        layer: layers.length + 1 + residentCount,
        part: 'common',
        buffer: (index + 1) % 2,
      } as const;
      const beforeMs = routedMs > 0 ? Math.min(commonMs, routerMs) : commonMs;
      fetch(next, periodMs, beforeMs);
      fetch({ layer: layers.length, part: 'experts', buffer: 2 }, periodMs + routerMs, routedMs);
      fetch(next, periodMs + routerMs + routedMs, commonMs - beforeMs);
      compute(true, routedMs + layerMs + exchangeMs);
    }
    for (let resident = 0; resident < residentCount; resident++) compute(false, layerMs + exchangeMs);
    if (headMs > 0) compute(false, headMs);
    periodMs += ms;
  }
  return { layers, transfers };
}
