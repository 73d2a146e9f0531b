// StageSteps: a step on GPUs under pipeline parallelism. The stages work on as many parts of the batch at once, so a step of
// all rows is one part's way through all stages. Pure. Before it: gpu-device.ts; after it: roofline.ts, one stage's GPUs.
import { type GpuChip, linkRate } from './chips.ts';
import { gpuFitted, mixtureFitted } from './fitted.ts';
import {
  activationBytes,
  type GpuCoefficients,
  type GpuSetup,
  type MixtureCoefficients,
  type StepCounts,
  type StepPricing,
  type StepTerms,
  stepPricing,
} from './roofline.ts';

/** The setup of one stage's GPUs, with all layers on them. */
export function stageGroup(setup: GpuSetup): GpuSetup {
  const { stageCount = 1 } = setup;
  return stageCount === 1 ? setup : { ...setup, gpuCount: setup.gpuCount / stageCount, stageCount: 1 };
}

/** Batches that the runtime fills on its own: of each rank under data-parallel attention, of each stage. */
export function batchesOf(setup: GpuSetup): number {
  return (setup.stageCount ?? 1) * (setup.sharding === 'expert' ? stageGroup(setup).gpuCount : 1);
}

/** Terms of one step, milliseconds, whatever the number of stages. */
export function stagedTerms(
  setup: GpuSetup,
  counts: StepCounts,
  fitted: GpuCoefficients = gpuFitted,
  mixture: MixtureCoefficients = mixtureFitted,
): StepTerms {
  return stagedPricing(setup, fitted, mixture)(counts);
}

/** The same for many steps, as stepPricing(). */
export function stagedPricing(
  setup: GpuSetup,
  fitted: GpuCoefficients = gpuFitted,
  mixture: MixtureCoefficients = mixtureFitted,
): StepPricing {
  const { stageCount = 1, shape, chip } = setup;
  if (stageCount === 1) return stepPricing(setup, fitted, mixture);
  const group = stageGroup(setup);
  const pricing = stepPricing(group, fitted, mixture);
  const headless = { ...group, shape: { ...group.shape, vocabSize: 0 } };
  const pricingWithoutHead = stepPricing(headless, fitted, mixture);
  // Layers cannot be cut: when all stages have a part, they wait for the one that has a layer more.
  const uneven = (Math.ceil(shape.layerCount / stageCount) * stageCount) / shape.layerCount;
  const ranks = setup.sharding === 'expert' ? group.gpuCount : 1;
  return (counts) => {
    const part = partOf(counts, stageCount);
    const terms = pricing(part);
    const hopsMs = stageCount * hopMs(chip, part.tokenCount * shape.hiddenSize * activationBytes);
    // The output projection is the last stage's alone; every stage's runtime schedules all rows of the part, and tells the next of each.
    const headMs = terms.totalMs - pricingWithoutHead(part).totalMs;
    const aloneMs = headMs + terms.rowsMs;
    const toldMs = chip.own === undefined ? (mixture.stageRowUs * part.rowCount) / ranks / 1e3 : 0;
    const slowestMs = (uneven * (terms.totalMs - aloneMs)) / stageCount + aloneMs + toldMs;
    const partCount = Math.min(stageCount, Math.max(1, counts.rowCount)); // under way at a time
    const totalMs = Math.max(terms.totalMs, partCount * slowestMs) + hopsMs;
    return { ...terms, linkMs: terms.linkMs + hopsMs, totalMs };
  };
}

const hopLatencyUs = 8; // as a small all-reduce between two GPUs (chips.ts)

// Milliseconds from one stage to the next, and from the last one back.
function hopMs(chip: GpuChip, bytes: number): number {
  const latencyUs = chip.own === undefined ? hopLatencyUs : 0; // in its layers' time
  return latencyUs / 1e3 + (bytes / linkRate(chip)) * 1e3;
}

// The fullest part of a batch: decode rows lie evenly, prompts are whole.
function partOf(counts: StepCounts, stageCount: number): StepCounts {
  const { rowCount, tokenCount, prefillRows = 0, prefillTokens = 0 } = counts;
  const evenly = (count: number): number => Math.max(Math.min(1, count), count / stageCount);
  const prompts = prefillRows === 0 ? 0 : Math.min(1, Math.max(1, prefillRows / stageCount) / prefillRows);
  const decodeRows = rowCount - prefillRows;
  const perRow = rowCount === 0 ? 0 : counts.contextRead / rowCount;
  const partRows = evenly(decodeRows) + prefillRows * prompts;
  return {
    rowCount: partRows,
    tokenCount: evenly(tokenCount - prefillTokens) + prefillTokens * prompts,
    sampledCount: evenly(counts.sampledCount),
    contextRead: perRow * partRows,
    attentionPairs: counts.attentionPairs * prompts,
    prefillRows: prefillRows * prompts,
    prefillTokens: prefillTokens * prompts,
  };
}
