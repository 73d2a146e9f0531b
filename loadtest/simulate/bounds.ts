// Bounds: which term of a device's time makes a number what it is, in words and shares. Reads the device's own cost
// model; measures nothing. For predict.ts and the page.
import type { GpuSimDevice, SimDevice, StreamedSimDevice, WaferSimDevice } from '../../kernels/sim/device.ts';
import { boundOf, type StepCounts, type StepTerms } from '../../kernels/sim/gpu/roofline.ts';
import { stagedTerms } from '../../kernels/sim/gpu/stage-steps.ts';
import {
  activeLayerWeights,
  attentionMacs,
  decodeAttentionMacs,
  headWeights,
} from '../../kernels/sim/shapes.ts';
import { waferFitted } from '../../kernels/sim/wafer/fitted.ts';
import { edge, fullAttentionShare } from '../../kernels/sim/wafer/latency.ts';
import { decodeCounts, type StreamedCounts, streamedStep } from '../../kernels/sim/wafer/streamed-steps.ts';

/** One part of a time, milliseconds. */
export interface TimePart {
  readonly name: string;
  readonly ms: number;
}

/** One decode step: `rowCount` users with `contextTokens` each (GPU), or one token through all stages (wafer). */
export function decodeParts(device: SimDevice, rowCount: number, contextTokens: number): TimePart[] {
  if (device.kind === 'streamed')
    return streamedParts(device, decodeCounts(device.shape, rowCount, contextTokens));
  return device.kind === 'gpu'
    ? gpuParts(device, gpuDecodeTerms(device, rowCount, contextTokens))
    : waferDecodeParts(device, contextTokens);
}

/** The largest part. */
export function largestPart(parts: readonly TimePart[]): string {
  const total = parts.reduce((sum, part) => sum + part.ms, 0);
  const largest = parts.reduce((best, part) => (part.ms > best.ms ? part : best));
  return `${largest.name} (${((100 * largest.ms) / total).toFixed(0)} %)`;
}

/** What the first token of a prompt waits for, `ttftMs` in the mean: its own prompt, or others that were computed before it. */
export function prefillBound(device: SimDevice, promptTokens: number, ttftMs: number): string {
  if (device.kind === 'streamed') {
    const tokenCount = Math.min(promptTokens, device.prefillChunkTokens);
    const macs = attentionMacs(device.shape, (tokenCount * promptTokens) / 2);
    return largestPart(streamedParts(device, { tokenCount, sampledCount: 1, attentionMacs: macs }));
  }
  if (device.kind === 'wafer') {
    const times = device.stageTimes();
    const totalMs = times.prefillMs(promptTokens, device.setup.chunkTokens);
    const fillMs = times.prefillMs(
      Math.min(promptTokens, device.setup.chunkTokens),
      device.setup.chunkTokens,
    );
    return fillMs > totalMs / 2
      ? 'filling the pipeline with the first chunk'
      : 'the slowest stage, chunk after chunk';
  }
  const alone = stagedTerms(device.setup, promptCounts(1, promptTokens));
  if (ttftMs < crowdedShare * alone.totalMs) return boundOf(alone);
  const promptCount = Math.max(1, Math.floor(device.prefillTokensPerStep / promptTokens));
  const full = stagedTerms(device.setup, promptCounts(promptCount, promptTokens));
  return `prompts of others before it: ${boundOf(full)}`;
}

const crowdedShare = 2; // of what a prompt takes alone

// A step of whole prompts.
function promptCounts(promptCount: number, promptTokens: number): StepCounts {
  const tokenCount = promptCount * promptTokens;
  return {
    ...{ rowCount: promptCount, tokenCount, sampledCount: promptCount, contextRead: tokenCount },
    attentionPairs: (tokenCount * (promptTokens + 1)) / 2,
    ...{ prefillRows: promptCount, prefillTokens: tokenCount },
  };
}

/** What keeps throughput where it is, from how full things were. */
export function throughputBound(
  device: SimDevice,
  use: {
    readonly kvShareMax: number;
    readonly runningMax: number;
    readonly busyShare: number;
    readonly waited: boolean;
    readonly rowsPerStep: number;
    readonly contextTokens: number; // of a sequence, about
  },
): string {
  const seats = device.limits.replicaCount * device.limits.slotCount;
  if (use.waited && use.kvShareMax > fullShare) {
    return device.kind === 'gpu' ? 'memory: no room for more KV' : 'on-chip memory: no room for more KV';
  }
  if (use.waited && use.runningMax >= seats) return `seats: ${seats} sequences at once`;
  if (use.busyShare > fullShare) {
    if (device.kind === 'wafer') return 'the slowest pipeline stage is always busy';
    // A step takes its time with few sequences in it, too: busy does not mean full.
    const rows = Math.max(1, Math.round(use.rowsPerStep));
    const largest = largestPart(decodeParts(device, rows, use.contextTokens));
    const who = `${use.rowsPerStep.toFixed(1)} sequence${use.rowsPerStep < 1.05 ? '' : 's'} a step`;
    const isShared = /weights|experts from|kernels|fixed steps|links/.test(largest);
    return use.kvShareMax < fullShare && isShared
      ? `the load: always busy, but with ${who} and ${(100 * use.kvShareMax).toFixed(0)} % of KV; most of a step is ${largest}, which more sequences would share`
      : `the device is always busy: ${who}, most of it ${largest}`;
  }
  return 'the load: the device has time to spare';
}

const fullShare = 0.85;

function gpuDecodeTerms(device: GpuSimDevice, rowCount: number, contextTokens: number): StepTerms {
  const counts = { rowCount, tokenCount: rowCount, sampledCount: rowCount, attentionPairs: 0 };
  return stagedTerms(device.setup, { ...counts, contextRead: rowCount * contextTokens });
}

function gpuParts({ setup }: GpuSimDevice, terms: StepTerms): TimePart[] {
  const { own, measured } = setup.chip;
  const launches = own === measured ? 'launching kernels' : 'fixed steps of each layer'; // neither is there
  const compute = terms.linearMs > terms.weightsMs;
  return [
    compute
      ? { name: 'computing linear layers', ms: terms.linearMs }
      : { name: 'reading weights from memory', ms: terms.weightsMs },
    { name: 'activations through memory', ms: terms.activationsMs },
    terms.expertLinearMs > terms.expertWeightsMs
      ? { name: 'computing experts', ms: terms.expertLinearMs }
      : { name: 'reading experts from memory', ms: terms.expertWeightsMs },
    { name: 'routing to experts', ms: terms.routingMs },
    { name: 'reading KV from memory', ms: terms.kvMs },
    { name: launches, ms: terms.launchMs },
    { name: 'work per sequence', ms: terms.rowsMs },
    { name: 'links between GPUs', ms: terms.linkMs },
  ].filter(({ ms }) => ms > 0);
}

// What computing does not hide of the weights' way in is waited for.
function streamedParts({ setup, floor, shape }: StreamedSimDevice, counts: StreamedCounts): TimePart[] {
  const step = streamedStep(setup, floor, counts);
  const headMs = step.periods.at(-1)!.headMs;
  const workMs = shape.layerCount * step.layerMs + headMs;
  const linkMs = shape.layerCount * step.exchangeMs;
  return [
    { name: 'streaming weights from external memory', ms: step.totalMs - workMs - linkMs },
    { name: 'computing on the wafers', ms: workMs },
    { name: 'links between wafers', ms: linkMs },
  ].filter(({ ms }) => ms > 0);
}

function waferDecodeParts(device: WaferSimDevice, contextTokens: number): TimePart[] {
  const { shape, chip } = device.setup;
  const cyclesPerMs = chip.clockHz / 1e3;
  let localCycles = 0;
  let attentionCycles = 0;
  let meshCycles = 0;
  let fixedCycles = 0;
  let linkMs = 0;
  const times = device.stageTimes();
  for (const [index, stage] of device.placement.stages.entries()) {
    const passes = Math.max(1, stage.layerCount);
    const cores = stage.columns * stage.rows;
    const macs = stage.layerCount === 0 ? headWeights(shape) : passes * activeLayerWeights(shape);
    localCycles += (waferFitted.decodeCyclesPerMac * macs) / cores;
    attentionCycles +=
      (waferFitted.decodeCyclesPerMac *
        stage.layerCount *
        fullAttentionShare(shape) *
        decodeAttentionMacs(shape, contextTokens)) /
      cores;
    meshCycles += passes * waferFitted.decodeCyclesPerEdgeCore * edge(stage);
    fixedCycles += passes * waferFitted.decodeCyclesPerLayer;
    linkMs += times.linkMs(index, 1);
  }
  return [
    { name: 'multiplying weights in place', ms: localCycles / cyclesPerMs },
    { name: 'attention over KV in place', ms: attentionCycles / cyclesPerMs },
    { name: 'crossing the mesh', ms: meshCycles / cyclesPerMs },
    { name: 'fixed steps of each layer', ms: fixedCycles / cyclesPerMs },
    { name: 'links between wafers', ms: linkMs },
  ].filter(({ ms }) => ms > 0);
}
