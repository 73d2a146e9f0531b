// StreamedDevice: wafers whose weights come from external memory, as limits for the engine and a cost per step. All rows of a step
// share one stream of weights; KV stays on the wafers. Used by ../device.ts; after it: streamed-steps.ts.
import type { BackendLimits, StepPlan } from '../../backend.ts';
import type { CostModel } from '../cost-model.ts';
import { attentionMacs, decodeAttentionMacs, type ModelShape } from '../shapes.ts';
import type { StreamedFloor } from './streamed-floor.ts';
import { type StreamedCounts, type StreamedSetup, streamedStep } from './streamed-steps.ts';

/** What the engine may do on these wafers. */
export function streamedLimits(
  setup: StreamedSetup,
  floor: StreamedFloor,
  contextTokensMax: number,
): BackendLimits {
  const { shape, blockSize, chunkTokens, sequenceCountMax } = setup;
  return {
    replicaCount: 1,
    slotCount: sequenceCountMax,
    slotTokensMax: Math.min(contextTokensMax, shape.contextLength),
    blockSize,
    blockCount: floor.kvBlocks,
    rowTokensMax: chunkTokens,
    stepTokensMax: chunkTokens + sequenceCountMax,
    sampleCountMax: 1,
    judgedTokensMax: chunkTokens,
    logprobsMax: 20,
    vocabSize: shape.vocabSize,
  };
}

export function streamedCostModel(setup: StreamedSetup, floor: StreamedFloor): CostModel {
  return {
    stepDurationMs: ({ rows }) => streamedStep(setup, floor, countsOf(setup.shape, rows)).totalMs,
  };
}

function countsOf(shape: ModelShape, rows: StepPlan['rows']): StreamedCounts {
  let tokenCount = 0;
  let sampledCount = 0;
  let macs = 0;
  for (const { tokens, sampleCount, position } of rows) {
    const n = tokens.length;
    tokenCount += n;
    sampledCount += sampleCount;
    macs +=
      n === 1
        ? decodeAttentionMacs(shape, position + 1)
        : attentionMacs(shape, n * position + (n * (n + 1)) / 2);
  }
  return { tokenCount, sampledCount, attentionMacs: macs };
}
