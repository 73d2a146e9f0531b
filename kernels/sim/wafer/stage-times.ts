// Stage times: what each stage of a floorplan takes for a token or a chunk, in milliseconds, and how work walks through
// the stages. Decode times are linear in the context and tabulated once. Before it: placement.ts; after it: pipeline.ts.
import type { Stage, WaferSetup } from './floorplan.ts';
import { decodeLayerCycles, headCycles, productLayerCycles, streamLayerCycles } from './latency.ts';

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
  const cyclesPerMs = chip.clockHz / 1e3;
  const stageCount = stages.length;
  const { base, slope } = decodeTable(setup, stages);
  const product = (stage: Stage, work: Work) =>
    (stage.layerCount * productLayerCycles(shape, stage, work)) / cyclesPerMs;
  const stream = (stage: Stage, work: Work) =>
    (stage.layerCount * streamLayerCycles(shape, stage, work)) / cyclesPerMs;
  const workMs = (index: number, work: Work): number => {
    const stage = stages[index]!;
    if (stage.layerCount === 0) return work.draws ? base[index]! : 0;
    if (work.tokenCount === 1) return base[index]! + slope[index]! * work.position;
    return Math.min(stream(stage, work), product(stage, work));
  };
  // A chunk that is computed token by token is handed on token by token; a matrix product only as a whole.
  const handMs = (index: number, work: Work, ms: number): number => {
    const stage = stages[index]!;
    if (work.tokenCount === 1 || stage.layerCount === 0) return ms;
    return stream(stage, work) <= product(stage, work) ? ms / work.tokenCount : ms;
  };
  const tokenLinkMs = ((shape.hiddenSize * activationBytes) / chip.ioBytesPerSecond) * 1e3;
  const linkMs = (index: number, tokenCount: number): number => {
    const next = stages[index + 1];
    const leaves = next !== undefined && next.wafer !== stages[index]!.wafer;
    return leaves ? linkLatencyUs / 1e3 + tokenCount * tokenLinkMs : 0;
  };
  const walk = walkThrough(stageCount, { workMs, handMs, linkMs });
  return { stageCount, workMs, linkMs, walk, ...idleTimes(stageCount, workMs, walk) };
}

const slopeTokens = 1 << 16; // any number: the cost is linear in the context

// [stage] milliseconds of one token at an empty context, and per token of context.
function decodeTable(
  { shape, chip }: WaferSetup,
  stages: readonly Stage[],
): { base: Float64Array; slope: Float64Array } {
  const cyclesPerMs = chip.clockHz / 1e3;
  const at = (stage: Stage, context: number): number =>
    stage.layerCount === 0
      ? headCycles(shape, stage) / cyclesPerMs
      : (stage.layerCount * decodeLayerCycles(shape, stage, context)) / cyclesPerMs;
  return {
    base: Float64Array.from(stages, (stage) => at(stage, 0)),
    slope: Float64Array.from(stages, (stage) => (at(stage, slopeTokens) - at(stage, 0)) / slopeTokens),
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
