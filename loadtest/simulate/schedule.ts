// The on-chip schedule: which region of which wafer holds what, byte by byte of a core's SRAM, and when one token is in it. As data
// for `predict --json`; the times are the device's own. Pure.
import type { WaferSimDevice } from '../../kernels/sim/device.ts';

/** One pipeline stage: a rectangle of cores. */
export interface ScheduledStage {
  readonly wafer: number;
  readonly x: number; // cores from the wafer's edge
  readonly y: number;
  readonly columns: number;
  readonly rows: number;
  readonly firstLayer: number;
  readonly layerCount: number; // 0: the head, with the output projection
  readonly startUs: number; // one token, one user, nothing else under way: when the region begins to work on it
  readonly endUs: number;
  readonly linkUs: number; // from there on its way to the next region
  /** Bytes of each core; they add up to its SRAM. */
  readonly coreBytes: {
    readonly program: number;
    readonly weights: number;
    readonly activations: number; // both buffers: one is filled while the other is used
    readonly kv: number; // in use with the context below
    readonly free: number;
  };
}

export interface ChipSchedule {
  readonly weights: 'resident';
  readonly contextTokens: number; // of each user
  readonly userCount: number; // whose KV is there: as planned for, or as many as fit
  readonly coreBytes: number; // SRAM of a core
  readonly stages: readonly ScheduledStage[]; // in the order in which a token passes them
  readonly tokenUs: number; // from entering the first to leaving the last
}

export function chipSchedule(device: WaferSimDevice, contextTokens: number): ChipSchedule {
  const { placement, setup, limits, demand } = device;
  const drafted = device.stageTimes();
  const times = drafted.undrafted ?? drafted; // one token as it is, whatever speculation makes of it
  const blocksEach = Math.max(1, Math.ceil(contextTokens / limits.blockSize));
  const fitting = Math.max(1, Math.floor(placement.kvBlocks / blocksEach));
  const userCount = Math.min(demand.userCount, fitting);
  const { coreBytes } = setup.chip;
  let atUs = 0;
  const stages = placement.stages.map((stage, index): ScheduledStage => {
    const { wafer, x, y, columns, rows, firstLayer, layerCount, sram } = stage;
    const startUs = atUs;
    const work = { tokenCount: 1, position: contextTokens, draws: true };
    const endUs = startUs + times.workMs(index, work) * 1000;
    const linkUs = index === placement.stages.length - 1 ? 0 : times.linkMs(index, 1) * 1000;
    atUs = endUs + linkUs;
    // Blocks are spread over the rows of the mesh; the fullest row decides.
    const rowBlocks =
      layerCount === 0 ? 0 : Math.min(sram.blocksPerRow, Math.ceil((userCount * blocksEach) / rows));
    const used = {
      program: sram.reservedBytes,
      weights: sram.weightsBytes,
      activations: sram.activationsBytes,
    };
    const kv = rowBlocks * sram.blockBytes;
    const free = coreBytes - used.program - used.weights - used.activations - kv;
    const place = { wafer, x, y, columns, rows, firstLayer, layerCount };
    return { ...place, startUs, endUs, linkUs, coreBytes: { ...used, kv, free } };
  });
  return { weights: 'resident', contextTokens, userCount, coreBytes, stages, tokenUs: atUs };
}
