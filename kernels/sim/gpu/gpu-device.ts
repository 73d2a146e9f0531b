// GpuDevice: n GPUs under continuous batching, as limits for the engine and a cost per step. KV is paged: blocks lie
// in GPU memory and a sequence reaches them through its block table, so restores and saves cost nothing.
// Refuses, with numbers, a model that does not fit. Used by ../device.ts.
import type { BackendLimits, StepPlan } from '../../backend.ts';
import type { CostModel } from '../cost-model.ts';
import { DoesNotFitError } from '../fit-error.ts';
import { keptKvBytesPerToken, layerBytes, shapeKvBytesPerToken, totalBytes } from '../shapes.ts';
import { draftedStepMs } from './drafted-steps.ts';
import { activationBytes, type GpuSetup, kvCopies, type StepCounts } from './roofline.ts';
import { stagedPricing, stageGroup } from './stage-steps.ts';

export interface GpuBounds {
  readonly sequenceCountMax: number; // max_num_seqs, max_batch_size
  readonly stepTokensMax: number; // max_num_batched_tokens, beyond one token per sequence
  readonly contextTokensMax: number; // longest sequence
  readonly blockSize: number; // tokens
}

// Share of memory that weights, KV and a step's activations may take (vLLM's default, and TensorRT-LLM's free fraction); the rest is for
// CUDA graphs and the allocator.
const memoryShare = 0.9;

/** Tokens of KV that fit beside the weights. Throws DoesNotFitError. */
export function gpuKvTokens(setup: GpuSetup): number {
  const { chip, gpuCount, shape, precision } = setup;
  const weights = gpuWeightBytes(setup);
  const usable = gpuCount * (chip.memoryBytes * memoryShare - workspaceBytes(setup));
  const tokens = Math.floor((usable - weights) / gpuKvBytesPerToken(setup));
  if (tokens >= minTokens) return tokens;
  throw new DoesNotFitError(
    `${shape.name} at ${precision} needs ${gb(weights)} GB for weights, ${gpuCount} × ${chip.name} has ` +
      `${gb(gpuCount * chip.memoryBytes)} GB, ${gb(usable)} GB of it usable`,
  );
}

const workspaceTokens = 8192; // that a step's buffers are made for: the runtimes' default of a step

// Bytes on each GPU that a step's activations take in 16 bits: the residual and what a feed-forward part is made of; of a mixture the
// tokens that ranks gather, and their copies for each expert. Machines that are no GPUs state what they have left.
function workspaceBytes(setup: GpuSetup): number {
  const { chip, shape, sharding } = setup;
  if (chip.own !== undefined || chip.measured !== undefined) return 0;
  const { gpuCount } = stageGroup(setup);
  const { hiddenSize, mixtureLayerCount, layerCount, activeExpertCount } = shape;
  const [ranks, cut] = sharding === 'expert' ? [gpuCount, 1] : [1, gpuCount];
  const dense = Math.max(mixtureLayerCount < layerCount ? shape.denseFfnSize : 0, shape.sharedFfnSize);
  const common = 4 * hiddenSize + (3 * dense) / cut;
  const gathered = ranks * hiddenSize * (ranks > 1 ? 2 : 1);
  const copies = activeExpertCount * (2 * hiddenSize + (3 * shape.ffnSize) / cut);
  const elements = common + (mixtureLayerCount > 0 ? gathered + copies : 0);
  return workspaceTokens * elements * activationBytes;
}

/** Bytes of one more token of context, on all GPUs that keep it. */
export function gpuKvBytesPerToken(setup: GpuSetup): number {
  const { shape, kvPrecision, windowedKv = 'whole' } = setup;
  const kept = windowedKv === 'whole' ? keptKvBytesPerToken : shapeKvBytesPerToken;
  return kvCopies(stageGroup(setup)) * kept(shape, kvPrecision);
}

/** On all GPUs. Data-parallel attention keeps all but the routed experts once on each GPU of a stage. */
export function gpuWeightBytes(setup: GpuSetup): number {
  const { shape, precision, sharding } = setup;
  const copies = sharding === 'expert' ? stageGroup(setup).gpuCount : 1;
  const { common, routed } = layerBytes(shape, precision);
  const drafter = setup.drafts === undefined ? 0 : 1 / shape.layerCount; // one layer more
  const experts = routed * (1 + drafter);
  return experts + copies * (totalBytes(shape, precision) - routed + common * drafter);
}

const minTokens = 1024; // less KV than this is not a service

const gb = (bytes: number): string => (bytes / 1e9).toFixed(1);

/** What the engine may do on these GPUs. Throws DoesNotFitError. */
export function gpuLimits(setup: GpuSetup, bounds: GpuBounds): BackendLimits {
  const kvTokens = gpuKvTokens(setup);
  return {
    replicaCount: 1,
    slotCount: bounds.sequenceCountMax,
    slotTokensMax: Math.min(bounds.contextTokensMax, setup.shape.contextLength),
    blockSize: bounds.blockSize,
    blockCount: Math.floor(kvTokens / bounds.blockSize),
    rowTokensMax: bounds.stepTokensMax,
    stepTokensMax: bounds.stepTokensMax + bounds.sequenceCountMax,
    sampleCountMax: 1,
    judgedTokensMax: bounds.stepTokensMax,
    logprobsMax: 20,
    vocabSize: setup.shape.vocabSize,
  };
}

export function gpuCostModel(setup: GpuSetup): CostModel {
  const { drafts } = setup;
  if (drafts === undefined) {
    const pricing = stagedPricing(setup);
    return { stepDurationMs: ({ rows }) => pricing(countsOf(rows)).totalMs };
  }
  const drafted = { ...setup, drafts };
  return {
    stepDurationMs({ rows }) {
      const decoding = rows.filter(({ tokens, sampleCount }) => tokens.length === 1 && sampleCount === 1);
      const decode = countsOf(decoding);
      return draftedStepMs(drafted, decode, decoding.length === rows.length ? decode : countsOf(rows));
    },
  };
}

function countsOf(rows: StepPlan['rows']): StepCounts {
  let tokenCount = 0;
  let sampledCount = 0;
  let contextRead = 0;
  let attentionPairs = 0;
  let prefillRows = 0;
  let prefillTokens = 0;
  for (const row of rows) {
    const n = row.tokens.length;
    tokenCount += n;
    sampledCount += row.sampleCount;
    contextRead += row.position + n;
    if (n === 1) continue;
    attentionPairs += n * row.position + (n * (n + 1)) / 2;
    prefillRows++;
    prefillTokens += n;
  }
  return {
    rowCount: rows.length,
    tokenCount,
    sampledCount,
    contextRead,
    attentionPairs,
    prefillRows,
    prefillTokens,
  };
}
