// Stage times: what each stage of a floorplan takes for a token or a chunk, in milliseconds, and how work walks through
// the stages. Decode times are linear in the context and tabulated once. Before it: placement.ts; after it: pipeline.ts.
import type { Stage, WaferSetup } from './floorplan.ts';
import { decodeLayerCycles, headCycles, productLayerCycles } from './latency.ts';

const activationBytes = 2;

/** Work that goes through the stages as one: a decoded token, or a chunk of a prompt. */
export interface Work {
  readonly tokenCount: number;
  readonly position: number; // tokens before it
  readonly draws: boolean; // its last token needs the output projection
}

export interface StageTimes {
  readonly stageCount: number;
  /** Stage `index` at work. */
  workMs(index: number, work: Work): number;
  /** From stage `index` having something to hand over to the next one having it: 0 within a wafer. */
  linkMs(index: number, tokenCount: number): number;
  /**
   * Sends work in at `startMs`, given when each stage is free; updates that, adds to `busyMs`, returns when it leaves.
   * Nobody overtakes, and a stage keeps what it has until the next one takes it.
   */
  walk(work: Work, startMs: number, freeAtMs: Float64Array, busyMs: Float64Array | null): number;
  /** T1: one token through idle stages. */
  tokenMs(contextCount: number): number;
  /** The slowest stage for one token; `draws`: the output projection counts. */
  slowestStageMs(contextCount: number, draws: boolean): number;
  /** First token of a prompt of `tokenCount` on idle stages, chunk after chunk. */
  prefillMs(tokenCount: number, chunkTokens: number): number;
}

export function stageTimes(setup: WaferSetup, stages: readonly Stage[], linkLatencyUs: number): StageTimes {
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
    return streamMs(index, work) <= productMs(index, work) ? ms / work.tokenCount : ms;
  };
  const tokenLinkMs = ((shape.hiddenSize * activationBytes) / chip.ioBytesPerSecond) * 1e3;
  const hops = Uint8Array.from(
    stages,
    (stage, index) => (stages[index + 1]?.wafer ?? stage.wafer) - stage.wafer,
  );
  const linkMs = (index: number, tokenCount: number): number =>
    hops[index] === 0 ? 0 : linkLatencyUs / 1e3 + tokenCount * tokenLinkMs;
  const walk = walkThrough(stageCount, { workMs, handMs, linkMs });
  return { stageCount, workMs, linkMs, walk, ...idleTimes(stageCount, workMs, walk) };
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
function stageTable({ shape, chip }: WaferSetup, stages: readonly Stage[]): StageTable {
  const cyclesPerMs = chip.clockHz / 1e3;
  const decode = (stage: Stage, context: number): number =>
    stage.layerCount === 0
      ? headCycles(shape, stage) / cyclesPerMs
      : (stage.layerCount * decodeLayerCycles(shape, stage, context)) / cyclesPerMs;
  const product = (stage: Stage, tokenCount: number, contextCount: number): number =>
    (stage.layerCount *
      productLayerCycles(shape, stage, { tokenCount, position: contextCount - tokenCount })) /
    cyclesPerMs;
  const tabulate = (value: (stage: Stage) => number): Float64Array => Float64Array.from(stages, value);
  return {
    base: tabulate((stage) => decode(stage, 0)),
    slope: tabulate((stage) => (decode(stage, manyTokens) - decode(stage, 0)) / manyTokens),
    edge: tabulate((stage) => product(stage, 0, 0)),
    token: tabulate((stage) => product(stage, 1, 0) - product(stage, 0, 0)),
    pair: tabulate((stage) => (product(stage, 1, manyTokens) - product(stage, 1, 0)) / manyTokens),
  };
}

interface StepMs {
  workMs(index: number, work: Work): number;
  handMs(index: number, work: Work, workMs: number): number; // from the beginning to the first handing over
  linkMs(index: number, tokenCount: number): number;
}

function walkThrough(stageCount: number, { workMs, handMs, linkMs }: StepMs): StageTimes['walk'] {
  return (work, startMs, freeAtMs, busyMs) => {
    let start = Math.max(startMs, freeAtMs[0]!);
    let end = start; // the last token is there
    for (let index = 0; index < stageCount; index++) {
      const ms = workMs(index, work);
      const hand = handMs(index, work, ms);
      if (busyMs !== null) busyMs[index]! += ms;
      end = Math.max(start + ms, end + hand);
      if (index === stageCount - 1) {
        freeAtMs[index] = end;
        break;
      }
      const taken = Math.max(start + hand, freeAtMs[index + 1]!);
      freeAtMs[index] = Math.max(end, taken);
      const link = linkMs(index, work.tokenCount);
      start = taken + link;
      end = Math.max(end, taken) + link;
    }
    return end;
  };
}

function idleTimes(
  stageCount: number,
  workMs: StageTimes['workMs'],
  walk: StageTimes['walk'],
): Pick<StageTimes, 'tokenMs' | 'slowestStageMs' | 'prefillMs'> {
  return {
    tokenMs: (position) =>
      walk({ tokenCount: 1, position, draws: true }, 0, new Float64Array(stageCount), null),
    slowestStageMs(position, draws) {
      let slowest = 0;
      for (let index = 0; index < stageCount; index++) {
        slowest = Math.max(slowest, workMs(index, { tokenCount: 1, position, draws }));
      }
      return slowest;
    },
    prefillMs(tokenCount, chunkTokens) {
      const freeAtMs = new Float64Array(stageCount);
      let leftMs = 0;
      for (let position = 0; position < tokenCount; position += chunkTokens) {
        const count = Math.min(chunkTokens, tokenCount - position);
        leftMs = walk(
          { tokenCount: count, position, draws: position + count === tokenCount },
          0,
          freeAtMs,
          null,
        );
      }
      return leftMs;
    },
  };
}
