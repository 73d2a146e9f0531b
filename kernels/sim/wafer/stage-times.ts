// Stage times: what each stage of a floorplan takes for a token or a chunk, in milliseconds, and how work walks through
// the stages. Decode times are linear in the context and tabulated once. Before it: placement.ts; after it: pipeline.ts.

import { draftedTimes } from './drafted-times.ts';
import { type PlacedStage, type WaferSetup, waferActivationBytes } from './floorplan.ts';
import { decodeLayerCycles, headCycles, productLayerCycles } from './latency.ts';
import { idleTimes, type StageTimes, type Work, walkOfToken, walkThrough } from './walk.ts';

export function stageTimes(
  setup: WaferSetup,
  stages: readonly PlacedStage[],
  linkLatencyUs: number,
): StageTimes {
  const { shape, chip } = setup;
  const stageCount = stages.length;
  const table = stageTable(setup, stages);
  const isHead = Uint8Array.from(stages, (stage) => (stage.layerCount === 0 ? 1 : 0));
  const streamMs = (index: number, { tokenCount, position }: Work): number =>
    tokenCount * (table.base[index]! + table.slope[index]! * (position + tokenCount / 2));
  const productMs = (index: number, { tokenCount, position }: Work): number =>
    table.edge[index]! + tokenCount * (table.token[index]! + table.pair[index]! * (position + tokenCount));
  const workMs = (index: number, work: Work): number => {
    if (isHead[index] === 1) return work.draws ? table.base[index]! : 0;
    if (work.tokenCount === 1) return table.base[index]! + table.slope[index]! * work.position;
    return Math.min(streamMs(index, work), productMs(index, work));
  };
  // A chunk that is computed token by token is handed on token by token; a matrix product only as a whole.
  const handMs = (index: number, work: Work, ms: number): number => {
    if (work.tokenCount === 1 || isHead[index] === 1) return ms;
    return streamMs(index, work) === ms ? ms / work.tokenCount : ms;
  };
  const tokenLinkMs = ((shape.hiddenSize * waferActivationBytes) / chip.ioBytesPerSecond) * 1e3;
  const hops = Uint8Array.from(
    stages,
    (stage, index) => (stages[index + 1]?.wafer ?? stage.wafer) - stage.wafer,
  );
  const linkMs = (index: number, tokenCount: number): number =>
    hops[index] === 0 ? 0 : linkLatencyUs / 1e3 + tokenCount * tokenLinkMs;
  const link = Float64Array.from(stages, (_, index) => linkMs(index, 1));
  const walkToken = walkOfToken({ base: table.base, slope: table.slope, link, isHead });
  const walkChunk = walkThrough(stageCount, { workMs, handMs, linkMs });
  const walk: StageTimes['walk'] = (work, startMs, freeAtMs, busyMs) =>
    (work.tokenCount === 1 ? walkToken : walkChunk)(work, startMs, freeAtMs, busyMs);
  const times = { stageCount, workMs, linkMs, walk, ...idleTimes(stageCount, workMs, walk) };
  return setup.drafts === undefined ? times : draftedTimes(times, { ...setup, drafts: setup.drafts }, stages);
}

const manyTokens = 1 << 16; // any number: costs are linear in the context

/** [stage] milliseconds. Token: base + slope · context. Product of n tokens: edge + n · (token + pair · context). */
interface StageTable {
  readonly base: Float64Array;
  readonly slope: Float64Array;
  readonly edge: Float64Array;
  readonly token: Float64Array;
  readonly pair: Float64Array;
}

// The latency formulas, solved for their coefficients once: a walk asks for every stage of every chunk.
function stageTable({ shape, chip }: WaferSetup, stages: readonly PlacedStage[]): StageTable {
  const cyclesPerMs = chip.clockHz / 1e3;
  const decode = (stage: PlacedStage, context: number): number =>
    stage.layerCount === 0
      ? headCycles(shape, stage) / cyclesPerMs
      : (stage.layerCount * decodeLayerCycles(shape, stage, context)) / cyclesPerMs;
  const product = (stage: PlacedStage, tokenCount: number, contextCount: number): number =>
    (stage.layerCount *
      productLayerCycles(shape, stage, { tokenCount, position: contextCount - tokenCount })) /
    cyclesPerMs;
  const tabulate = (value: (stage: PlacedStage) => number): Float64Array => Float64Array.from(stages, value);
  return {
    base: tabulate((stage) => decode(stage, 0)),
    slope: tabulate((stage) => (decode(stage, manyTokens) - decode(stage, 0)) / manyTokens),
    edge: tabulate((stage) => product(stage, 0, 0)),
    token: tabulate((stage) => product(stage, 1, 0) - product(stage, 0, 0)),
    pair: tabulate((stage) => (product(stage, 1, manyTokens) - product(stage, 1, 0)) / manyTokens),
  };
}
