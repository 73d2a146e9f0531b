// StreamedFloor: the SRAM of wafers whose weights come from external memory. Every layer lies over all cores of all wafers, an
// equal part on each: some layers stay, the others pass through two buffers. Accounts for bytes and chooses how many stay.
// Refuses, with numbers, what has no room even so. Before it: ../device.ts; after it: streamed-steps.ts.
import { DoesNotFitError } from '../fit-error.ts';
import { headBytes, layerBytes, shapeKvBytesPerToken } from '../shapes.ts';
import { coreReservedBytes } from './chips.ts';
import { stageActivationBytes } from './floorplan.ts';
import { type Demand, wafersMax } from './placement.ts';
import { decodeCounts, type LayerSplit, type StreamedSetup, streamedStep } from './streamed-steps.ts';

/** Bytes of each core, the same on all. reserved + head + resident + buffers + activations + kvRoom = the core's SRAM. */
export interface StreamedSram {
  readonly reservedBytes: number;
  readonly headBytes: number; // output projection; embeddings are looked up outside
  readonly residentBytes: number; // layers that stay
  readonly bufferBytes: number; // one is filled while the other is used
  readonly activationsBytes: number;
  readonly kvRoomBytes: number; // negative: it does not fit
  readonly blockBytes: number; // of one block of KV, on each core of the mesh rows that hold it, one on each wafer
  readonly blocksPerRow: number;
}

export interface StreamedFloor extends LayerSplit {
  readonly sram: StreamedSram;
  readonly kvBlocks: number;
}

/** On so many wafers, or on the fewest that have room. Throws DoesNotFitError. */
export function chooseStreamed(
  base: Omit<StreamedSetup, 'waferCount'>,
  demand: Demand,
  wanted: number | null,
): { readonly setup: StreamedSetup; readonly floor: StreamedFloor } {
  for (let waferCount = wanted ?? 1; ; waferCount++) {
    const setup = { ...base, waferCount };
    const floor = bestFloor(setup, demand);
    if (floor !== null) return { setup, floor };
    if (waferCount === (wanted ?? wafersMax)) refuse(setup, demand);
  }
}

// As many layers stay as serve the demand best; null: not even one user has room.
function bestFloor(setup: StreamedSetup, demand: Demand): StreamedFloor | null {
  let best: StreamedFloor | null = null;
  let most = { userCount: 0, rate: 0 };
  for (let resident = 0; resident <= setup.shape.layerCount; resident++) {
    const floor = streamedFloor(setup, resident);
    const contextTokens = Math.min(demand.contextTokens, setup.shape.contextLength);
    const room = Math.floor((floor.kvBlocks * setup.blockSize) / contextTokens);
    const users = Math.min(demand.userCount, setup.sequenceCountMax, room);
    if (users < 1) continue;
    const { totalMs } = streamedStep(setup, floor, decodeCounts(setup.shape, users, contextTokens));
    const found = { userCount: Number.isFinite(demand.userCount) ? users : 0, rate: users / totalMs };
    // Of users that are stated as many as can be served come first.
    if (found.userCount < most.userCount) continue;
    if (found.userCount === most.userCount && found.rate <= most.rate) continue;
    [best, most] = [floor, found];
  }
  return best;
}

/** The books of every core if `residentLayerCount` layers stay. */
export function streamedFloor(setup: StreamedSetup, residentLayerCount: number): StreamedFloor {
  const { chip, waferCount, shape, precision, kvPrecision, blockSize } = setup;
  const cores = waferCount * chip.columns * chip.rows;
  const each = (bytes: number): number => Math.ceil(bytes / cores);
  const streamedLayerCount = shape.layerCount - residentLayerCount;
  const stepTokens = setup.chunkTokens + setup.sequenceCountMax;
  const { common, routed } = layerBytes(shape, precision);
  const sram = {
    reservedBytes: coreReservedBytes,
    headBytes: each(headBytes(shape, precision)),
    residentBytes: each((residentLayerCount * (common + routed)) / shape.layerCount),
    bufferBytes: each(bufferBytes(setup, streamedLayerCount)),
    activationsBytes: each(stageActivationBytes({ ...setup, chunkTokens: stepTokens }, oneLayer)),
  };
  const kvRoomBytes = Object.values(sram).reduce((left, bytes) => left - bytes, chip.coreBytes);
  const blockBytes = Math.ceil(
    (blockSize * shapeKvBytesPerToken(shape, kvPrecision)) / (waferCount * chip.columns),
  );
  const blocksPerRow = Math.max(0, Math.floor(kvRoomBytes / blockBytes));
  return {
    ...{ residentLayerCount, streamedLayerCount },
    sram: { ...sram, kvRoomBytes, blockBytes, blocksPerRow },
    kvBlocks: blocksPerRow * chip.rows,
  };
}

const oneLayer = { firstLayer: 0, layerCount: 1 };

// Two for what every token of a layer meets. One for all experts of a layer: which are needed is known only when the layer's
// router has spoken, so that none comes ahead; a dense layer's feed-forward part among mixtures passes through it, too.
function bufferBytes({ shape, precision }: StreamedSetup, streamedLayerCount: number): number {
  const { common, routed } = layerBytes(shape, precision);
  if (streamedLayerCount === 0) return 0;
  return (2 * common) / shape.layerCount + routed / Math.max(1, shape.mixtureLayerCount);
}

function refuse(setup: StreamedSetup, demand: Demand): never {
  const { chip, waferCount, shape, precision, kvPrecision } = setup;
  const { sram } = streamedFloor(setup, 0);
  const gb = (bytes: number): string => ((waferCount * chip.columns * chip.rows * bytes) / 1e9).toFixed(1);
  const contextTokens = Math.min(demand.contextTokens, shape.contextLength);
  const kv = (contextTokens * shapeKvBytesPerToken(shape, kvPrecision)) / 1e9;
  throw new DoesNotFitError(
    `${shape.name} at ${precision}, weights streamed: ${waferCount} × ${chip.name} has ${gb(chip.coreBytes)} GB of SRAM; ` +
      `programs take ${gb(sram.reservedBytes)}, the output projection ${gb(sram.headBytes)}, a layer's buffers ${gb(sram.bufferBytes)}, ` +
      `activations ${gb(sram.activationsBytes)} and the KV of ${contextTokens} tokens ${kv.toFixed(1)}`,
  );
}
