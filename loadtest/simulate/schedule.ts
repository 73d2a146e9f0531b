// The on-chip schedule: which region of which wafer holds what, byte by byte of a core's SRAM, and when one token is in it. As data
// for `predict --json`; the times are the device's own. Pure.
import type { WaferSimDevice } from '../../kernels/sim/device.ts';

export type ChipSchedule = Readonly<ReturnType<typeof chipSchedule>>;

/** One pipeline stage: a rectangle of cores. */
export type ScheduledStage = ChipSchedule['stages'][number];

export function chipSchedule(device: WaferSimDevice, contextTokens: number) {
  const { placement, setup, limits, demand } = device;
  const drafted = device.stageTimes();
  const times = drafted.undrafted ?? drafted; // one token as it is, whatever speculation makes of it
  const blocksEach = Math.max(1, Math.ceil(contextTokens / limits.blockSize));
  const fitting = Math.max(1, Math.floor(placement.kvBlocks / blocksEach));
  const userCount = Math.min(demand.userCount, fitting);
  const { coreBytes } = setup.chip;
  let atUs = 0;
  const stages = placement.stages.map((stage, index) => {
    const { wafer, x, y, columns, rows, firstLayer, layerCount, sram } = stage;
    const startUs = atUs; // one token, one user, nothing else under way: when the region begins to work on it
    const work = { tokenCount: 1, position: contextTokens, draws: true };
    const endUs = startUs + times.workMs(index, work) * 1000;
    const linkUs = index === placement.stages.length - 1 ? 0 : times.linkMs(index, 1) * 1000; // to the next region
    atUs = endUs + linkUs;
    // Blocks are spread over the rows of the mesh; the fullest row decides.
    const rowBlocks =
      layerCount === 0 ? 0 : Math.min(sram.blocksPerRow, Math.ceil((userCount * blocksEach) / rows));
    const used = {
      program: sram.reservedBytes,
      weights: sram.weightsBytes,
      activations: sram.activationsBytes, // both buffers: one is filled while the other is used
    };
    const kv = rowBlocks * sram.blockBytes;
    const free = coreBytes - used.program - used.weights - used.activations - kv;
    // Cores from the wafer's edge; no layers: the head, with the output projection.
    const place = { wafer, x, y, columns, rows, firstLayer, layerCount };
    // Bytes of each core add up to its SRAM.
    return { ...place, startUs, endUs, linkUs, coreBytes: { ...used, kv, free } };
  });
  return {
    weights: 'resident' as const,
    contextTokens, // of each user
    userCount, // whose KV is there: as planned for, or as many as fit
    coreBytes, // SRAM of a core
    stages, // in the order in which a token passes them
    tokenUs: atUs, // from entering the first to leaving the last
  };
}
