// Placement: how many layers share a region, and how large each region is. Large regions make one token quicker,
// small ones make more stages and so more users at once; both compete with KV for the same SRAM. The optimiser
// tries every grouping and keeps the one that serves the stated users best. Refuses, with numbers, what does not fit.
import { DoesNotFitError } from '../fit-error.ts';
import { totalBytes } from '../shapes.ts';
import { coreReservedBytes } from './chips.ts';
import {
  coreSram,
  cutWafer,
  kvBlockCount,
  type PlacedStage,
  type StageContent,
  stageActivationBytes,
  stageWeightBytes,
  type WaferSetup,
} from './floorplan.ts';
import { stageTimes } from './stage-times.ts';

/** Whom a placement is to serve. */
export interface Demand {
  readonly userCount: number; // Infinity: as many as KV has room for
  readonly contextTokens: number; // of each, prompt and answer
  readonly answerTokens: number; // of them; the rest is prompt, and computed, too
}

export interface Placement {
  readonly stages: readonly PlacedStage[];
  readonly kvBlocks: number; // blocks of KV on the wafers
  readonly tokenMs: number; // T1: one token of one user through all stages, at the demand's context
  readonly slowestStageMs: number;
  readonly userCount: number; // of the demand that KV has room for
  readonly requestMs: number; // one user's whole request on idle wafers
  readonly tokensPerSecond: number; // answers of all those users together
}

const headFactors = [1, 1.5, 2, 3, 4, 6]; // region of the head over the smallest that holds it
const fillMax = 0.98; // of the smallest region: rounding to whole cores takes the rest

/** The best placement for the demand. Throws DoesNotFitError. */
export function optimisePlacement(setup: WaferSetup, demand: Demand, linkLatencyUs: number): Placement {
  let best: Placement | null = null;
  for (const stageLayers of groupings(setup.shape.layerCount)) {
    for (const factor of headFactors) {
      const headCores = factor * coresFor(setup, { firstLayer: 0, layerCount: 0 });
      const placement = place(setup, demand, linkLatencyUs, proportional(setup, stageLayers, headCores));
      if (placement !== null && (best === null || better(placement, best))) best = placement;
    }
  }
  return best ?? refuse(setup);
}

/** The obvious placement: every layer and the head get the same number of cores. Throws DoesNotFitError. */
export function equalPlacement(setup: WaferSetup, demand: Demand, linkLatencyUs: number): Placement {
  const contents: StageContent[] = Array.from({ length: setup.shape.layerCount }, (_, firstLayer) => ({
    firstLayer,
    layerCount: 1,
  }));
  contents.push({ firstLayer: setup.shape.layerCount, layerCount: 0 });
  const perWafer = Math.ceil(contents.length / setup.waferCount);
  const wafers: Share[][] = [];
  for (let index = 0; index < contents.length; index += perWafer) {
    wafers.push(contents.slice(index, index + perWafer).map((content) => ({ content, weight: 1 })));
  }
  return place(setup, demand, linkLatencyUs, wafers) ?? refuse(setup);
}

/** Fewest wafers that hold the model and at least one sequence of `contextTokens`. Throws DoesNotFitError. */
export function fewestWafers(setup: Omit<WaferSetup, 'waferCount'>, contextTokens: number): number {
  const bytes = totalBytes(setup.shape, setup.precision);
  const waferBytes = setup.chip.columns * setup.chip.rows * setup.chip.coreBytes;
  const first = Math.max(1, Math.ceil(bytes / waferBytes));
  for (let waferCount = first; waferCount <= wafersMax; waferCount++) {
    try {
      const { kvBlocks } = optimisePlacement(
        { ...setup, waferCount },
        { userCount: 1, contextTokens, answerTokens: contextTokens },
        0,
      );
      if (kvBlocks * setup.blockSize >= contextTokens) return waferCount;
    } catch (error) {
      if (!(error instanceof DoesNotFitError)) throw error;
    }
  }
  return refuse({ ...setup, waferCount: wafersMax });
}

/** More than any published installation serves one model from. */
export const wafersMax = 64;

interface Share {
  readonly content: StageContent;
  readonly weight: number; // its part of the wafer, relative to the others' on the same wafer
}

// Layers per stage: every number of stages once, as even as possible.
function groupings(layerCount: number): number[][] {
  const result: number[][] = [];
  const seen = new Set<number>();
  for (let per = 1; per <= layerCount; per++) {
    const count = Math.ceil(layerCount / per);
    if (seen.has(count)) continue;
    seen.add(count);
    result.push(Array.from({ length: count }, (_, index) => evenPart(layerCount, count, index)));
  }
  return result;
}

function evenPart(total: number, count: number, index: number): number {
  return Math.floor((total * (index + 1)) / count) - Math.floor((total * index) / count);
}

// Layers get cores in proportion to their number, the head (last wafer) what it was given.
function proportional(setup: WaferSetup, stageLayers: readonly number[], headCores: number): Share[][] {
  const waferCores = setup.chip.columns * setup.chip.rows;
  const layerCores = (setup.waferCount * waferCores - headCores) / setup.shape.layerCount;
  const wafers: Share[][] = Array.from({ length: setup.waferCount }, () => []);
  let firstLayer = 0;
  for (const layerCount of stageLayers) {
    const middle = (firstLayer + layerCount / 2) * layerCores;
    const wafer = Math.min(setup.waferCount - 1, Math.max(0, Math.floor(middle / waferCores)));
    wafers[wafer]!.push({ content: { firstLayer, layerCount }, weight: layerCount * layerCores });
    firstLayer += layerCount;
  }
  const last = wafers[setup.waferCount - 1]!;
  last.push({ content: { firstLayer, layerCount: 0 }, weight: headCores });
  return wafers.map((shares) => fixHead(shares, waferCores, headCores));
}

// The head keeps its cores exactly; what the layers of its wafer leave or lack is theirs.
function fixHead(shares: Share[], waferCores: number, headCores: number): Share[] {
  const layers = shares.filter(({ content }) => content.layerCount > 0);
  if (layers.length === shares.length || layers.length === 0) return shares;
  const total = layers.reduce((sum, { weight }) => sum + weight, 0);
  const scale = Math.max(0, waferCores - headCores) / total;
  return shares.map((share) =>
    share.content.layerCount === 0 ? share : { ...share, weight: share.weight * scale },
  );
}

function coresFor(setup: WaferSetup, content: StageContent): number {
  const bytes = stageWeightBytes(setup, content) + stageActivationBytes(setup, content);
  return Math.ceil(bytes / ((setup.chip.coreBytes - coreReservedBytes) * fillMax));
}

function place(
  setup: WaferSetup,
  demand: Demand,
  linkLatencyUs: number,
  wafers: Share[][],
): Placement | null {
  const stages: PlacedStage[] = [];
  for (const [wafer, shares] of wafers.entries()) {
    if (shares.length === 0) continue;
    const cut = bestCut(setup, wafer, shares);
    if (cut === null) return null;
    stages.push(...cut);
  }
  const kvBlocks = kvBlockCount(stages);
  if (kvBlocks < 1) return null;
  const room = Math.floor((kvBlocks * setup.blockSize) / demand.contextTokens);
  const userCount = Math.max(1, Math.min(demand.userCount, room));
  const times = stageTimes(setup, stages, linkLatencyUs);
  const tokenMs = times.tokenMs(demand.contextTokens);
  const slowestStageMs = times.slowestStageMs(demand.contextTokens, true);
  // A prompt streams through the stages, half of its context done on average.
  const promptCount = demand.contextTokens - demand.answerTokens;
  const promptMs = promptCount * times.slowestStageMs(promptCount / 2, false);
  const requestMs = promptMs + (1 + demand.answerTokens) * tokenMs;
  const stageMs = promptMs + demand.answerTokens * slowestStageMs; // a request keeps the slowest stage so long
  const requestsPerSecond = Math.min((userCount * 1000) / requestMs, 1000 / stageMs);
  const tokensPerSecond = requestsPerSecond * demand.answerTokens;
  return { stages, kvBlocks, tokenMs, slowestStageMs, userCount, requestMs, tokensPerSecond };
}

// Among all numbers of shelves, the one with most room for KV; among equals, the squarest regions.
function bestCut(setup: WaferSetup, wafer: number, shares: readonly Share[]): PlacedStage[] | null {
  let best: PlacedStage[] | null = null;
  let bestScore = Number.NEGATIVE_INFINITY;
  const weights = shares.map(({ weight }) => weight);
  for (let shelfCount = 1; shelfCount <= Math.min(shares.length, shelvesMax); shelfCount++) {
    const pieces = cutWafer(setup.chip, weights, shelfCount);
    if (pieces.some(({ columns, rows }) => columns < 1 || rows < 1)) continue;
    const stages = pieces.map((piece, index) => {
      const { content } = shares[index]!;
      return { ...content, ...piece, wafer, sram: coreSram(setup, content, piece) };
    });
    const blocks = kvBlockCount(stages);
    if (blocks < 0) continue;
    const edges = stages.reduce((sum, stage) => sum + stage.layerCount * (stage.columns + stage.rows), 0);
    const score = Math.min(blocks, kvEnough) - edges * edgeWeight;
    if (score > bestScore) [best, bestScore] = [stages, score];
  }
  return best;
}

const shelvesMax = 48;
const kvEnough = 1e6; // blocks; keeps the score finite for a wafer that holds only the head
const edgeWeight = 0.05; // blocks of KV that a core of edge is worth

function better(a: Placement, b: Placement): boolean {
  if (a.userCount !== b.userCount && Math.min(a.userCount, b.userCount) < fewUsers)
    return a.userCount > b.userCount;
  if (Math.abs(a.tokensPerSecond / b.tokensPerSecond - 1) > 1e-9)
    return a.tokensPerSecond > b.tokensPerSecond;
  return a.requestMs < b.requestMs;
}

const fewUsers = 2; // room for a second user goes before speed for the first

function refuse(setup: WaferSetup): never {
  const { chip, waferCount, shape, precision } = setup;
  const weights = totalBytes(shape, precision);
  const sram = waferCount * chip.columns * chip.rows * chip.coreBytes;
  throw new DoesNotFitError(
    `${shape.name} at ${precision} needs ${(weights / 1e9).toFixed(1)} GB for weights, ${waferCount} × ${chip.name} ` +
      `has ${(sram / 1e9).toFixed(1)} GB of SRAM, and each core also needs room for its program, activations and KV`,
  );
}
