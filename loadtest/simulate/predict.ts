// Predict: one device, one model, one pair of lengths, one load: the numbers and what bounds each. The way to check
// a published figure by hand. Through the engine, except for `--region`, which is the latency model alone.
import type { SimDevice } from '../../kernels/sim/device.ts';
import { DoesNotFitError } from '../../kernels/sim/fit-error.ts';
import { layerWeights, type ModelShape } from '../../kernels/sim/shapes.ts';
import type { WaferChip } from '../../kernels/sim/wafer/chips.ts';
import { decodeLayerCycles, productLayerCycles } from '../../kernels/sim/wafer/latency.ts';
import { decodeParts, largestPart, prefillBound } from './bounds.ts';
import { burstLoad, type FixedLengths, poissonLoad, type SimLoad } from './load.ts';
import { type ChipSchedule, chipSchedule } from './schedule.ts';
import { type SimulationOptions, simulate } from './simulation.ts';
import { type StreamedSchedule, streamedSchedule } from './streamed-schedule.ts';
import { type Prices, type Summary, summarise } from './summary.ts';
import { simulateUsers } from './sweep.ts';
import { planOf, type Regime, regionTrust, trustOf } from './trust.ts';

export type PredictLoad =
  | { readonly kind: 'concurrency'; readonly userCount: number }
  | { readonly kind: 'rate'; readonly perSecond: number }
  | { readonly kind: 'max-load'; readonly requestCount: number }; // all at once, as published benchmarks send them

export interface Prediction {
  readonly summary: Summary;
  readonly ttftBound: string;
  readonly itlBound: string;
  readonly throughputBound: string;
  readonly objectives: string; // what a good request is
  readonly plan: string; // what the figures rest on
  readonly trust: string; // how far figures like these were held against published ones
  readonly schedule: ChipSchedule | StreamedSchedule | null; // of a wafer: what lies where, and when
}

export interface PredictOptions extends Pick<SimulationOptions, 'device' | 'slo' | 'hostMs' | 'scheduler'> {
  readonly lengths: FixedLengths;
  readonly load: PredictLoad;
  readonly prices: Prices;
  readonly seed: number;
  readonly unlike: readonly string[]; // what sets it apart from published rows, beside device, lengths and load
}

const requestsAtRate = 1000; // enough for a p99
const queueLengthMax = 100_000;

export function predict(options: PredictOptions): Prediction {
  const { device, lengths, load } = options;
  const summary = summaryOf(options, load);
  const rowCount = Math.max(1, Math.round(summary.rowsPerStep));
  const contextTokens = lengths.isl + lengths.osl / 2;
  return {
    summary,
    ttftBound: waitsInQueue(summary)
      ? `the queue: ${summary.bound}`
      : prefillBound(device, lengths.isl, summary.ttftMs?.mean ?? 0),
    itlBound: largestPart(decodeParts(device, rowCount, contextTokens)),
    throughputBound: summary.bound,
    objectives: `within ${options.slo.ttftMsMax} ms to the first token and ${options.slo.tpotMsMax} ms a token`,
    schedule: scheduleOf(device, Math.round(contextTokens)),
    plan: planOf(device),
    trust: trustOf(device, regimeOf(device, load), {
      ...{ promptTokens: lengths.isl, answerTokens: lengths.osl, hostMs: options.hostMs },
      userCount: load.kind === 'concurrency' ? load.userCount : summary.runningMax,
      unlike: options.unlike,
    }),
  };
}

function scheduleOf(device: SimDevice, contextTokens: number): Prediction['schedule'] {
  if (device.kind === 'gpu') return null;
  return device.kind === 'wafer'
    ? chipSchedule(device, contextTokens)
    : streamedSchedule(device, contextTokens);
}

function regimeOf(device: SimDevice, load: PredictLoad): Regime {
  if (load.kind === 'max-load') return 'load';
  const alone = load.kind === 'concurrency' && load.userCount === 1;
  // What is published of services on these is how quick they are for one user.
  const isService = device.kind === 'wafer' || (device.kind === 'gpu' && device.setup.chip.own !== undefined);
  return isService && alone ? 'one user' : 'users';
}

function summaryOf(options: PredictOptions, load: PredictLoad): Summary {
  const { lengths, seed } = options;
  if (load.kind === 'concurrency') return simulateUsers({ ...options, queueLengthMax }, load.userCount, true);
  if (load.kind === 'max-load') return predictAll(options, burstLoad(lengths, load.requestCount));
  const { perSecond } = load;
  return predictAll(options, poissonLoad(lengths, { perSecond, requestCount: requestsAtRate, seed }));
}

function predictAll(options: PredictOptions, load: SimLoad): Summary {
  const { device, prices, slo, hostMs, scheduler } = options;
  const result = simulate({
    ...{ device, load, slo, hostMs, queueLengthMax, scheduler },
    ...{ warmupRequests: 0, countedRequests: Number.POSITIVE_INFINITY },
  });
  return summarise(result, { device, load: load.label, prices });
}

/** Users whose whole context fits at once: none is ever sent away for want of memory. */
export function usersThatFit(device: SimDevice, { isl, osl }: FixedLengths): number {
  const { blockCount, blockSize, replicaCount, slotCount } = device.limits;
  const blocksPerUser = Math.ceil((isl + osl) / blockSize);
  return Math.max(1, Math.min(replicaCount * slotCount, Math.floor(blockCount / blocksPerUser)));
}

function waitsInQueue({ queueMs, ttftMs }: Summary): boolean {
  return queueMs !== null && ttftMs !== null && queueMs.mean > ttftMs.mean / 2;
}

export interface RegionPrediction {
  readonly columns: number;
  readonly rows: number;
  readonly decodeTokensPerSecond: number;
  readonly prefillTokensPerSecond: number;
  readonly trust: string;
}

// The region must lie on the wafer and hold the layer it works on, in 16 bits.
function refuseRegion(
  { chip, shape }: { readonly chip: WaferChip; readonly shape: ModelShape },
  { columns, rows }: { readonly columns: number; readonly rows: number },
): void {
  if (columns > chip.columns || rows > chip.rows) {
    throw new DoesNotFitError(
      `region ${columns}x${rows}: ${chip.name} has ${chip.columns} × ${chip.rows} cores`,
    );
  }
  const needed = 2 * layerWeights(shape);
  const has = columns * rows * chip.coreBytes;
  if (needed > has) {
    throw new DoesNotFitError(
      `region ${columns}x${rows} has ${(has / 1e6).toFixed(1)} MB, one layer of ${shape.name} needs ${(needed / 1e6).toFixed(1)} MB`,
    );
  }
}

/** All layers in turn on one region, without output projection, links and capacity: what WaferLLM reports. */
export function predictRegion(
  { chip, shape }: { readonly chip: WaferChip; readonly shape: ModelShape },
  area: { readonly columns: number; readonly rows: number },
  isl: number,
): RegionPrediction {
  refuseRegion({ chip, shape }, area);
  const context = 0; // WaferLLM does not state it; its decode rows agree with a short one
  const decodeCycles = shape.layerCount * decodeLayerCycles(shape, area, context);
  const prefillCycles = shape.layerCount * productLayerCycles(shape, area, { tokenCount: isl, position: 0 });
  return {
    columns: area.columns,
    rows: area.rows,
    decodeTokensPerSecond: chip.clockHz / decodeCycles,
    prefillTokensPerSecond: (isl * chip.clockHz) / prefillCycles,
    trust: regionTrust(chip.name, shape),
  };
}
