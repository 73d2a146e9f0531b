// Roofline: what one step costs on n GPUs, and which term binds. Pure: counts in, milliseconds out.
// step = max(common weights read, their FLOPs) + activations through memory + max(experts read, their FLOPs) + routing + KV read
//        + attention + launches + rows + links. Before it: gpu-device.ts, which counts a plan's rows.
import type { Drafts } from '../drafts.ts';
import type { SimKvPrecision, SimPrecision } from '../precision.ts';
import {
  activeRoutedWeights,
  attentionMacs,
  commonWeights,
  decodeAttentionMacs,
  headBytes,
  headWeights,
  kvBytesPerTokenOfLayer,
  layerBytes,
  type ModelShape,
  metShare,
  stateBytesPerRow,
} from '../shapes.ts';
import { allReduceMs, allToAllMs, type GpuChip, hasFp4, type OwnConstants, peakFlops } from './chips.ts';
import { gpuFitted, mixtureFitted } from './fitted.ts';
import { measuredTerms } from './measured-steps.ts';
import type { StepCounts, StepTerms } from './step-terms.ts';

export type { StepCounts, StepTerms } from './step-terms.ts';

/** tensor: every matrix is cut. expert: data-parallel attention, whole experts apart (TensorRT-LLM's DEP). */
export type Sharding = 'tensor' | 'expert';

export interface GpuSetup {
  readonly chip: GpuChip;
  readonly gpuCount: number; // all stages together
  readonly stageCount?: number; // pipeline stages, each on an equal part of the GPUs; default: 1
  readonly sharding: Sharding;
  readonly shape: ModelShape;
  readonly precision: SimPrecision;
  readonly kvPrecision: SimKvPrecision;
  readonly windowedKv?: WindowedKv; // default: whole
  readonly drafts?: Drafts; // default: none; steps of them are drafted-steps.ts's
}

/** What a windowed layer keeps: KV of the whole context (TensorRT-LLM's default), or of its window (vLLM's). */
export type WindowedKv = 'whole' | 'window';

export type GpuCoefficients = Readonly<Record<keyof typeof gpuFitted, number>>;

export type MixtureCoefficients = Readonly<Record<keyof typeof mixtureFitted, number>>;

// Share of peak bandwidth reached when weights and KV are read. Vidur's profiles, hardware-facts section 2: H100 70B
// TP1 0.86/0.86/0.84 at batch 1/32/128; the A100's 8B gives 0.78/0.68/0.57.
const bandwidthUtilisation = 0.85;
export const activationBytes = 2; // bf16 between GPUs, whatever the weights are

/** Terms of one step on one stage's GPUs, milliseconds; stages are stage-steps.ts's. */
export function stepTerms(
  setup: GpuSetup,
  counts: StepCounts,
  fitted: GpuCoefficients = gpuFitted,
  mixture: MixtureCoefficients = mixtureFitted,
): StepTerms {
  return stepPricing(setup, fitted, mixture)(counts);
}

/** What a step with these counts takes. */
export type StepPricing = (counts: StepCounts) => StepTerms;

/** The same for many steps: what depends on the setup alone is computed once. */
export function stepPricing(
  setup: GpuSetup,
  fitted: GpuCoefficients,
  mixture: MixtureCoefficients,
): StepPricing {
  const { chip, gpuCount, shape, precision, sharding } = setup;
  const { measured } = chip;
  if (measured !== undefined) return (counts) => measuredTerms(shape, measured, counts);
  const own = constantsOf(setup, fitted, mixture);
  const bytesPerMs = (gpuCount * chip.memoryBytesPerSecond * own.bandwidthUtilisation) / 1e3;
  const flopsPerMs = (gpuCount * peakFlops(chip, precision, 'common') * own.productUtilisation) / 1e3;
  // Under data-parallel attention every GPU reads all that is not an expert, for its own rows.
  const copies = sharding === 'expert' ? gpuCount : 1;
  const halfTiles = (copies * own.tileTokens) / 2;
  const read = copies * (layerBytes(shape, precision).common + headBytes(shape, precision));
  const weightsMs = read / bytesPerMs;
  const [commonCount, headCount] = [commonWeights(shape), headWeights(shape)];
  const movedPerToken = chip.own === undefined ? activationsMoved(setup) : 0;
  const expertTerms = expertPricing(setup, bytesPerMs, mixture);
  const attentionFlopsPerMs = (gpuCount * attentionPeak(setup) * own.computeUtilisation) / 1e3;
  const launchMs = (shape.layerCount * own.layerUs + shape.mixtureLayerCount * own.mixtureLayerUs) / 1e3;
  return (counts) => {
    const linearMacs =
      padded(counts.tokenCount, halfTiles) * commonCount + padded(counts.sampledCount, halfTiles) * headCount;
    const linearMs = (2 * linearMacs) / flopsPerMs;
    const activationsMs = (counts.tokenCount * movedPerToken * activationBytes) / bytesPerMs;
    const experts = expertTerms(counts.tokenCount);
    const readMs = kvBytesRead(setup, counts) / bytesPerMs;
    const kvMs = Math.max(readMs, decodeAttentionMs(setup, counts, attentionFlopsPerMs));
    const pairs = windowed(shape, counts.attentionPairs, counts.tokenCount);
    const attentionMs = (2 * attentionMacs(shape, pairs)) / attentionFlopsPerMs;
    const rowsMs = ((counts.rowCount / copies) * own.rowUs) / 1e3; // a rank schedules its own rows
    const linkMs = linkMsOf(setup, counts.tokenCount, fitted);
    const computedMs = Math.max(weightsMs, linearMs) + activationsMs + experts.totalMs + kvMs + attentionMs;
    const sumMs = computedMs + launchMs + rowsMs + linkMs;
    // Field by field: a literal that spreads others is a hundred times as slow, and one is made for every step.
    return {
      weightsMs,
      linearMs,
      activationsMs,
      expertWeightsMs: experts.readMs,
      expertLinearMs: experts.linearMs,
      routingMs: experts.routingMs,
      kvMs,
      attentionMs,
      launchMs,
      rowsMs,
      linkMs,
      totalMs: imbalanceOf(copies, counts, mixture) * sumMs,
    };
  };
}

// Half of a product's last tile is empty on average.
function padded(count: number, halfTiles: number): number {
  return count === 0 ? 0 : count + halfTiles;
}

// All data-parallel ranks wait for the fullest: the more there are, the more so, and most where some have a prompt and others none.
function imbalanceOf(
  rankCount: number,
  { prefillTokens = 0 }: StepCounts,
  { promptImbalance, decodeImbalance }: MixtureCoefficients,
): number {
  const ofEight = prefillTokens > 0 ? promptImbalance : decodeImbalance;
  return 1 + ((ofEight - 1) * Math.log2(rankCount)) / 3;
}

const tileTokensDefault = 128; // rows of an 8-bit product's tile on Hopper. NVIDIA, CUTLASS.

interface StepConstants
  extends Pick<
    OwnConstants,
    'layerUs' | 'mixtureLayerUs' | 'rowUs' | 'bandwidthUtilisation' | 'computeUtilisation'
  > {
  readonly productUtilisation: number; // as computeUtilisation, of products in the weights' format
  readonly tileTokens: number;
}

// The chip's own constants, or those that were fitted to GPUs.
function constantsOf(
  { chip, shape, precision }: GpuSetup,
  fitted: GpuCoefficients,
  { mixtureLayerUs, fp4Utilisation, warpFp4Gain, blockScaleShare }: MixtureCoefficients,
): StepConstants {
  const { own, tileTokens = tileTokensDefault } = chip;
  if (own !== undefined) return { ...own, productUtilisation: own.computeUtilisation, tileTokens: 0 };
  const { computeUtilisation, layerOverheadUs: layerUs, rowOverheadUs: rowUs } = fitted;
  const fp4 = fp4Utilisation * (chip.hasWarpFp4 === true ? warpFp4Gain : 1);
  const fp8 = computeUtilisation * (hasBlockScales(shape, precision) ? blockScaleShare : 1);
  return {
    ...{ layerUs, rowUs, mixtureLayerUs, bandwidthUtilisation, computeUtilisation, tileTokens },
    productUtilisation: precision === 'nvfp4' && hasFp4(chip) ? fp4 : fp8, // without fp4 it is widened, as INT4 is
  };
}

function hasBlockScales(shape: ModelShape, precision: SimPrecision): boolean {
  return precision === 'fp8' && shape.hasBlockScales;
}

// Attention computes in the format of KV, whatever the weights are in.
function attentionPeak({ chip, kvPrecision, precision }: GpuSetup): number {
  if (precision === 'nvfp4' || precision === 'fp8')
    return kvPrecision === 'fp16' ? chip.bf16FlopsPerSecond : chip.fp8FlopsPerSecond;
  return chip.bf16FlopsPerSecond;
}

// Elements of activations that a token's products write and the next ones read, experts' apart (they are routed): norms and
// residual six times, on each GPU that shares a layer; queries, keys and values four times; a feed-forward part's width six times.
function activationsMoved({ shape, gpuCount, sharding }: GpuSetup): number {
  const { layerCount, mixtureLayerCount, hiddenSize, headCount, kvHeadCount, headSize } = shape;
  const residual = 6 * hiddenSize * (sharding === 'expert' ? 1 : gpuCount);
  const attention = 4 * (headCount + kvHeadCount) * headSize;
  const widths =
    (layerCount - mixtureLayerCount) * shape.denseFfnSize + mixtureLayerCount * shape.sharedFfnSize;
  return layerCount * (residual + attention) + 6 * widths;
}

/** The largest term of a step, for people. */
export function boundOf(terms: StepTerms): string {
  const compute = terms.linearMs > terms.weightsMs;
  const expertCompute = terms.expertLinearMs > terms.expertWeightsMs;
  const candidates: [string, number][] = [
    compute ? ['compute (linear layers)', terms.linearMs] : ['memory bandwidth (weights)', terms.weightsMs],
    expertCompute
      ? ['compute (experts)', terms.expertLinearMs]
      : ['memory bandwidth (experts)', terms.expertWeightsMs],
    ['memory bandwidth (activations)', terms.activationsMs],
    ['routing to experts', terms.routingMs],
    ['memory bandwidth (KV)', terms.kvMs],
    ['compute (attention)', terms.attentionMs],
    ['kernel launches', terms.launchMs],
    ['per-sequence work', terms.rowsMs],
    ['links between GPUs', terms.linkMs],
  ];
  return candidates.reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}

interface ExpertTerms {
  readonly readMs: number;
  readonly linearMs: number;
  readonly routingMs: number;
  readonly totalMs: number;
}

const noExperts: ExpertTerms = { readMs: 0, linearMs: 0, routingMs: 0, totalMs: 0 };

// What a mixture's experts take of a step of so many tokens. They are read if any token meets them.
function expertPricing(
  { chip, gpuCount, shape, precision, sharding }: GpuSetup,
  bytesPerMs: number,
  fitted: MixtureCoefficients,
): (tokenCount: number) => ExpertTerms {
  const { expertCount, activeExpertCount, mixtureLayerCount, hiddenSize, ffnSize } = shape;
  if (mixtureLayerCount === 0) return () => noExperts;
  const { routed } = layerBytes(shape, precision);
  const utilisation = expertUtilisation({ chip, shape, precision }, fitted);
  const flopsPerMs = (gpuCount * peakFlops(chip, precision, 'expert') * utilisation) / 1e3;
  const activeCount = activeRoutedWeights(shape);
  // Kernels that widen MXFP4 (TensorRT-LLM's Triton backend) sort, fill and sum over all tokens that ranks have gathered, whoever
  // has their experts. Source: its fused_moe_triton; no constant of its own.
  const gathered = sharding === 'expert' && isWidened(chip, precision) ? gpuCount : 1;
  // Sorting, quantising and the activation function are work of the vector units on the same elements.
  const vectorOpsPerMs = (gpuCount * chip.vectorFlopsPerSecond) / 1e3;
  return (tokenCount) => {
    const met = metShare(shape, tokenCount);
    const readMs = (routed * met) / bytesPerMs;
    // A product's tile is as high as `tileTokens`: of each expert's last one, half is empty on average.
    const padding = (fitted.tileTokens / 2) * ((expertCount * met) / activeExpertCount);
    const linearMs = (2 * (tokenCount + padding) * activeCount) / flopsPerMs;
    // A token's vector is copied to each of its experts, passes through gate, up and down, and is summed again.
    const handled = tokenCount * gathered;
    const moved = handled * mixtureLayerCount * activeExpertCount * (hiddenSize + ffnSize) * activationBytes;
    const routingMs =
      (fitted.routingPasses * moved) / bytesPerMs +
      (fitted.routingOps * moved) / activationBytes / vectorOpsPerMs;
    return { readMs, linearMs, routingMs, totalMs: Math.max(readMs, linearMs) + routingMs };
  };
}

function expertUtilisation(
  { chip, shape, precision }: Pick<GpuSetup, 'chip' | 'shape' | 'precision'>,
  fitted: MixtureCoefficients,
): number {
  if (precision === 'nvfp4' && hasFp4(chip))
    return fitted.expertFp4Utilisation * (chip.hasWarpFp4 === true ? fitted.warpFp4Gain : 1);
  if (precision === 'fp8')
    return fitted.expertFp8Utilisation * (hasBlockScales(shape, precision) ? fitted.blockScaleShare : 1);
  if (precision !== 'mxfp4') return fitted.expertBf16Utilisation;
  return isWidened(chip, precision) ? fitted.expertWidenedUtilisation : fitted.expertMxfp4Utilisation;
}

// MXFP4 experts on a chip without fp4: their weights are widened to 16 bits as they are multiplied with.
function isWidened(chip: GpuChip, precision: SimPrecision): boolean {
  return precision === 'mxfp4' && peakFlops(chip, precision, 'expert') === chip.bf16FlopsPerSecond;
}

/** GPUs that hold the same KV: tensor parallelism cuts it by heads, and latent KV is one vector for all heads. */
export function kvCopies({ shape, gpuCount, sharding }: GpuSetup): number {
  if (sharding === 'expert') return 1;
  return Math.max(1, gpuCount / (shape.latent === null ? shape.kvHeadCount : 1));
}

function kvBytesRead(setup: GpuSetup, counts: StepCounts): number {
  const { shape, kvPrecision } = setup;
  const tokens = windowed(shape, counts.contextRead, counts.rowCount);
  return (
    kvCopies(setup) * tokens * kvBytesPerTokenOfLayer(shape, kvPrecision) +
    counts.rowCount * stateBytesPerRow(shape)
  );
}

// Heads share latent KV, so that reading it is cheap beside multiplying with it.
function decodeAttentionMs({ shape }: GpuSetup, counts: StepCounts, flopsPerMs: number): number {
  if (shape.latent === null) return 0;
  return (2 * shape.layerCount * decodeAttentionMacs(shape, counts.contextRead)) / flopsPerMs;
}

// Σ over layers of the tokens looked at, `lookers` of which share `total`: a window sees no more than its length.
function windowed(shape: ModelShape, total: number, lookers: number): number {
  const seen = Math.min(total, lookers * shape.windowTokens);
  return shape.fullAttentionLayerCount * total + shape.windowedLayerCount * seen;
}

function linkMsOf(
  { chip, gpuCount, shape, sharding }: GpuSetup,
  tokenCount: number,
  fitted: GpuCoefficients,
): number {
  const vectorBytes = shape.hiddenSize * activationBytes;
  if (sharding === 'tensor') {
    // Two all-reduces a layer: after attention and after the feed-forward part.
    return 2 * shape.layerCount * allReduceMs(chip, gpuCount, tokenCount * vectorBytes, fitted);
  }
  // To the experts and back. TensorRT-LLM sends a token's vector once to each other GPU that has one of its experts only where
  // the GPUs share a memory fabric (NVL72); elsewhere, unless told otherwise, every GPU gathers all tokens, and the outputs
  // are reduced and scattered. Source: its select_alltoall_method_type (fused_moe).
  const met = chip.sharesFabric === true ? 1 - (1 - 1 / gpuCount) ** shape.activeExpertCount : 1;
  const apart = (gpuCount - 1) * met;
  const sentBytes = (tokenCount / gpuCount) * apart * vectorBytes;
  return 2 * shape.mixtureLayerCount * allToAllMs(chip, gpuCount, sentBytes, fitted);
}
