// Stage times: what each stage of a floorplan takes for a token or a chunk, in milliseconds. Linear in the context,
// so both are tabulated once. Pure after construction. Before it: placement.ts; after it: pipeline.ts.
import type { Stage, WaferSetup } from './floorplan.ts';
import { decodeLayerCycles, headCycles, prefillLayerCycles } from './latency.ts';

const activationBytes = 2;

export interface StageTimes {
  readonly stageCount: number;
  /** Stage `index` for one token after `contextCount` others. */
  decodeMs(index: number, contextCount: number): number;
  /** Stage `index` for a chunk of a prompt; the head computes at most its last token. */
  chunkMs(index: number, tokenCount: number, position: number): number;
  /** From stage `index` to the next one: 0 within a wafer. */
  linkMs(index: number, tokenCount: number): number;
  tokenMs(contextCount: number): number;
  slowestStageMs(contextCount: number): number;
  /** First token of a prompt of `tokenCount` on an idle wafer: the pipe filled chunk by chunk. */
  prefillMs(tokenCount: number, chunkTokens: number): number;
}

export function stageTimes(setup: WaferSetup, stages: readonly Stage[], linkLatencyUs: number): StageTimes {
  const { shape, chip } = setup;
  const cyclesPerMs = chip.clockHz / 1e3;
  const base = new Float64Array(stages.length); // ms at an empty context
  const slope = new Float64Array(stages.length); // ms per token of context
  for (const [index, stage] of stages.entries()) {
    const at = (context: number) =>
      stage.layerCount === 0
        ? headCycles(shape, stage) / cyclesPerMs
        : (stage.layerCount * decodeLayerCycles(shape, stage, context)) / cyclesPerMs;
    base[index] = at(0);
    slope[index] = (at(slopeTokens) - at(0)) / slopeTokens;
  }
  const decodeMs = (index: number, contextCount: number) => base[index]! + slope[index]! * contextCount;
  const chunkMs = (index: number, tokenCount: number, position: number) => {
    const stage = stages[index]!;
    if (stage.layerCount === 0) return base[index]!;
    return (stage.layerCount * prefillLayerCycles(shape, stage, { tokenCount, position })) / cyclesPerMs;
  };
  const linkMs = (index: number, tokenCount: number) => {
    const next = stages[index + 1];
    if (next === undefined || next.wafer === stages[index]!.wafer) return 0;
    return (
      linkLatencyUs / 1e3 + ((tokenCount * shape.hiddenSize * activationBytes) / chip.ioBytesPerSecond) * 1e3
    );
  };
  return {
    stageCount: stages.length,
    decodeMs,
    chunkMs,
    linkMs,
    tokenMs: (context) => sum(stages.length, (index) => decodeMs(index, context) + linkMs(index, 1)),
    slowestStageMs: (context) => max(stages.length, (index) => decodeMs(index, context)),
    prefillMs(tokenCount, chunkTokens) {
      const lastPosition = Math.floor((tokenCount - 1) / chunkTokens) * chunkTokens;
      let slowest = 0;
      for (let position = 0; position < lastPosition; position += chunkTokens) {
        slowest += max(stages.length, (index) =>
          stages[index]!.layerCount === 0 ? 0 : chunkMs(index, chunkTokens, position),
        );
      }
      const last = tokenCount - lastPosition;
      return (
        slowest + sum(stages.length, (index) => chunkMs(index, last, lastPosition) + linkMs(index, last))
      );
    },
  };
}

const slopeTokens = 1 << 16; // any number: the cost is linear in the context

function sum(count: number, term: (index: number) => number): number {
  let total = 0;
  for (let index = 0; index < count; index++) total += term(index);
  return total;
}

function max(count: number, term: (index: number) => number): number {
  let largest = 0;
  for (let index = 0; index < count; index++) largest = Math.max(largest, term(index));
  return largest;
}
