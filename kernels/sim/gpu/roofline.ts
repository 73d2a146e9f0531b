// Roofline: what one step costs on n GPUs, and which term binds. Pure: counts in, milliseconds out.
// step = max(weights read / bandwidth, linear FLOPs / peak) + KV read / bandwidth + attention FLOPs / peak
//        + launches + rows + all-reduces. Before it: gpu-device.ts, which counts a plan's rows.
import {
  activeLayerWeights,
  attentionMacs,
  expertWeights,
  headWeights,
  kvBytesPerToken,
  layerWeights,
  type ModelShape,
  type Precision,
  weightBytes,
} from '../shapes.ts';
import { allReduceMs, type GpuChip } from './chips.ts';
import { gpuFitted } from './fitted.ts';

export interface GpuSetup {
  readonly chip: GpuChip;
  readonly gpuCount: number; // tensor parallel
  readonly shape: ModelShape;
  readonly precision: Precision;
}

/** What a step contains. Contexts are summed over rows. */
export interface StepCounts {
  readonly rowCount: number;
  readonly tokenCount: number; // all rows
  readonly sampledCount: number; // positions whose logits are needed
  readonly contextRead: number; // Σ over rows of the KV tokens read
  readonly attentionPairs: number; // Σ over prefill tokens of the tokens each looks at; decode rows are bound by KV reads
}

export interface StepTerms {
  readonly weightsMs: number; // reading weights
  readonly linearMs: number; // computing linear layers; only the larger of these two counts
  readonly kvMs: number;
  readonly attentionMs: number;
  readonly launchMs: number;
  readonly rowsMs: number;
  readonly allReduceMs: number;
  readonly totalMs: number;
}

export interface GpuCoefficients {
  readonly computeUtilisation: number;
  readonly layerOverheadUs: number;
  readonly rowOverheadUs: number;
}

// Share of peak bandwidth reached when weights and KV are read. Vidur's profiles, hardware-facts section 2: H100 70B
// TP1 0.86/0.86/0.84 at batch 1/32/128; the A100's 8B gives 0.78/0.68/0.57.
const bandwidthUtilisation = 0.85;
const activationBytes = 2; // bf16 between GPUs, whatever the weights are

/** Terms of one step, milliseconds. */
export function stepTerms(
  setup: GpuSetup,
  counts: StepCounts,
  fitted: GpuCoefficients = gpuFitted,
): StepTerms {
  const { chip, gpuCount, shape, precision } = setup;
  const bytesPerMs = (gpuCount * chip.memoryBytesPerSecond * bandwidthUtilisation) / 1e3;
  const peak = precision === 'fp8' ? chip.fp8FlopsPerSecond : chip.bf16FlopsPerSecond; // int4 computes in 16 bits
  const flopsPerMs = (gpuCount * peak * fitted.computeUtilisation) / 1e3;
  const layers = shape.layerCount;
  const linearMacs =
    counts.tokenCount * layers * activeLayerWeights(shape) + counts.sampledCount * headWeights(shape);
  const weightsMs = weightsRead(shape, precision, counts.tokenCount) / bytesPerMs;
  const linearMs = (2 * linearMacs) / flopsPerMs;
  const kvMs = (counts.contextRead * kvBytesPerToken(shape, precision)) / bytesPerMs;
  const attentionMs =
    (2 * shape.fullAttentionLayerCount * attentionMacs(shape, counts.attentionPairs)) / flopsPerMs;
  const launchMs = (layers * fitted.layerOverheadUs) / 1e3;
  const rowsMs = (counts.rowCount * fitted.rowOverheadUs) / 1e3;
  // Two all-reduces a layer: after attention and after the feed-forward part.
  const reducedBytes = counts.tokenCount * shape.hiddenSize * activationBytes;
  const reduceMs = 2 * layers * allReduceMs(chip, gpuCount, reducedBytes);
  const totalMs = Math.max(weightsMs, linearMs) + kvMs + attentionMs + launchMs + rowsMs + reduceMs;
  return { weightsMs, linearMs, kvMs, attentionMs, launchMs, rowsMs, allReduceMs: reduceMs, totalMs };
}

/** The largest term of a step, for people. */
export function boundOf(terms: StepTerms): string {
  const compute = terms.linearMs > terms.weightsMs;
  const candidates: [string, number][] = [
    compute ? ['compute (linear layers)', terms.linearMs] : ['memory bandwidth (weights)', terms.weightsMs],
    ['memory bandwidth (KV)', terms.kvMs],
    ['compute (attention)', terms.attentionMs],
    ['kernel launches', terms.launchMs],
    ['per-sequence work', terms.rowsMs],
    ['all-reduce', terms.allReduceMs],
  ];
  return candidates.reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}

// Bytes of weights a step reads. A mixture's experts are read if any token meets them: uniform routing leaves an
// expert out with (1 − k/E)^tokens.
function weightsRead(shape: ModelShape, precision: Precision, tokenCount: number): number {
  const { expertCount, activeExpertCount } = shape;
  const unmet = expertCount === 1 ? 0 : (1 - activeExpertCount / expertCount) ** tokenCount;
  const expertPart = expertCount * expertWeights(shape) * (1 - unmet);
  const rest = layerWeights(shape) - expertCount * expertWeights(shape);
  const layer = rest + expertPart;
  return (shape.layerCount * layer + headWeights(shape)) * weightBytes(precision);
}
