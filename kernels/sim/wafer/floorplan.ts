// Floorplan: where each layer lies on the wafers, and what every core's SRAM holds there. A stage is a rectangle of
// cores with consecutive layers (or the output projection); the stages in order are the pipeline.
// Accounts for bytes; never decides: placement.ts does.
import type { Drafts } from '../drafts.ts';
import type { SimKvPrecision, SimPrecision } from '../precision.ts';
import { headBytes, layerBytes, type ModelShape, shapeKvBytesPerToken } from '../shapes.ts';
import { coreReservedBytes, type WaferChip } from './chips.ts';
import type { Rectangle } from './latency.ts';

export interface WaferSetup {
  readonly chip: WaferChip;
  readonly waferCount: number;
  readonly shape: ModelShape;
  readonly precision: SimPrecision;
  readonly kvPrecision: SimKvPrecision;
  readonly blockSize: number; // tokens per block of KV
  readonly chunkTokens: number; // prompt tokens that enter the pipeline together
  readonly drafts?: Drafts; // default: none
}

/** What a stage holds: `layerCount` layers from `firstLayer` on, or the output projection with the embeddings. */
export interface StageContent {
  readonly firstLayer: number;
  readonly layerCount: number; // 0: the output projection
}

export interface PlacedStage extends StageContent, Rectangle {
  readonly wafer: number;
  readonly x: number; // cores from the wafer's edge
  readonly y: number;
  readonly sram: CoreSram;
}

/** Bytes of each core of a stage. reserved + weights + activations + kvRoom = the core's SRAM. */
export interface CoreSram {
  readonly reservedBytes: number;
  readonly weightsBytes: number;
  readonly activationsBytes: number;
  readonly kvRoomBytes: number; // negative: it does not fit
  readonly blockBytes: number; // of one block of KV, on each core of the mesh row that holds it; 0 for the head
  readonly blocksPerRow: number; // blocks that a mesh row has room for
  readonly blockCount: number; // blocks that the stage has room for; Infinity for the head
}

export const waferActivationBytes = 2; // 16 bits
const bufferCount = 2; // one is filled while the other is used

/** Bytes of weights of a stage. */
export function stageWeightBytes(setup: WaferSetup, content: StageContent): number {
  const { shape, precision } = setup;
  const { common, routed } = layerBytes(shape, precision);
  const perLayer = (common + routed) / shape.layerCount;
  if (content.layerCount > 0) return content.layerCount * perLayer;
  const drafter = setup.drafts === undefined ? 0 : perLayer; // lies beside the output projection, which it uses
  return drafter + headBytes(shape, precision) * (shape.tiedEmbeddings ? 1 : 2);
}

/** Bytes of activations of a stage: a chunk of hidden states, and of the widest thing made of them. */
export function stageActivationBytes(setup: WaferSetup, content: StageContent): number {
  const { shape, chunkTokens } = setup;
  if (content.layerCount === 0)
    return bufferCount * waferActivationBytes * (shape.hiddenSize + shape.vocabSize);
  const q = shape.headCount * shape.headSize;
  const routed = shape.mixtureLayerCount > 0 ? shape.activeExpertCount * shape.ffnSize : 0;
  const ffn = 2 * Math.max(shape.denseFfnSize, routed + shape.sharedFfnSize);
  const widest = Math.max(q + 2 * shape.kvHeadCount * shape.headSize, ffn);
  return bufferCount * waferActivationBytes * chunkTokens * (shape.hiddenSize + widest);
}

// Bytes that a block of KV takes in a stage.
function stageBlockBytes(setup: WaferSetup, content: StageContent): number {
  const { shape, kvPrecision, blockSize } = setup;
  const share = content.layerCount / shape.layerCount;
  return Math.ceil(blockSize * share * shapeKvBytesPerToken(shape, kvPrecision));
}

/** The books of each core of `area`, if it holds `content`. */
export function coreSram(setup: WaferSetup, content: StageContent, area: Rectangle): CoreSram {
  const cores = area.columns * area.rows;
  const weightsBytes = Math.ceil(stageWeightBytes(setup, content) / cores);
  const activationsBytes = Math.ceil(stageActivationBytes(setup, content) / cores);
  const kvRoomBytes = setup.chip.coreBytes - coreReservedBytes - weightsBytes - activationsBytes;
  // A block lies across one mesh row, so that a token's KV is written and read by the whole row at once.
  const blockBytes = Math.ceil(stageBlockBytes(setup, content) / area.columns);
  const blocksPerRow = blockBytes === 0 ? 0 : Math.max(0, Math.floor(kvRoomBytes / blockBytes));
  const blockCount = blockBytes === 0 ? Number.POSITIVE_INFINITY : blocksPerRow * area.rows;
  return {
    reservedBytes: coreReservedBytes,
    weightsBytes,
    activationsBytes,
    kvRoomBytes,
    blockBytes,
    blocksPerRow,
    blockCount,
  };
}

/** Whether every core holds what it must, and how many blocks of KV the tightest stage has room for. */
export function kvBlockCount(stages: readonly PlacedStage[]): number {
  let count = Number.POSITIVE_INFINITY;
  for (const { sram } of stages) count = Math.min(count, sram.kvRoomBytes < 0 ? -1 : sram.blockCount);
  return count;
}

/** Cuts a wafer into one rectangle per weight (areas in proportion), in shelves read like a snake. */
export function cutWafer(
  chip: WaferChip,
  weights: readonly number[],
  shelfCount: number,
): (Rectangle & Corner)[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const shelves = intoShelves(weights, total, shelfCount);
  const pieces: (Rectangle & Corner)[] = [];
  let before = 0;
  for (const [index, shelf] of shelves.entries()) {
    const shelfTotal = shelf.reduce((sum, weight) => sum + weight, 0);
    const y = Math.round((chip.rows * before) / total);
    before += shelfTotal;
    const rows = Math.round((chip.rows * before) / total) - y;
    let walked = 0;
    for (const weight of shelf) {
      const start = Math.round((chip.columns * walked) / shelfTotal);
      walked += weight;
      const columns = Math.round((chip.columns * walked) / shelfTotal) - start;
      // Every second shelf runs backwards: neighbours in the pipeline are neighbours on the wafer.
      const x = index % 2 === 0 ? start : chip.columns - start - columns;
      pieces.push({ x, y, columns, rows });
    }
  }
  return pieces;
}

export interface Corner {
  readonly x: number;
  readonly y: number;
}

// Consecutive groups of nearly equal weight.
function intoShelves(weights: readonly number[], total: number, shelfCount: number): number[][] {
  const shelves: number[][] = [];
  let shelf: number[] = [];
  let walked = 0;
  for (const [index, weight] of weights.entries()) {
    shelf.push(weight);
    walked += weight;
    const left = weights.length - index - 1;
    const full = walked >= (total * (shelves.length + 1)) / shelfCount - weight / 2;
    if (left === 0 || (full && shelves.length < shelfCount - 1)) {
      shelves.push(shelf);
      shelf = [];
    }
  }
  return shelves;
}
