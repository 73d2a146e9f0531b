// Summary: a simulation's tally as the numbers people compare, in one plain object that is also the JSON. Formulas are
// in the field comments.
import type { SimDevice } from '../../kernels/sim/device.ts';
import type { Histogram } from '../statistics/histogram.ts';
import { throughputBound } from './bounds.ts';
import type { SimulationResult } from './simulation.ts';

export interface Quantiles {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** Stated inputs for money. */
export interface Prices {
  readonly usdPerChipHour: ReadonlyMap<string, number>; // by chip: "h100"
  readonly usdPerKWh: number | null;
}

export interface Summary {
  readonly device: string;
  readonly model: string;
  readonly precision: string;
  readonly simulated: true;
  readonly load: string;
  readonly requestCount: number; // ended while counting
  readonly refusedCount: number;
  readonly failedCount: number;
  readonly elapsedSeconds: number; // virtual
  readonly ttftMs: Quantiles | null; // first token − intended send
  readonly itlMs: Quantiles | null; // each gap between tokens
  readonly tpotMs: Quantiles | null; // (last − first) / (tokens − 1), per answer
  readonly e2eMs: Quantiles | null;
  readonly queueMs: Quantiles | null; // submitted → first seat
  readonly userTokensPerSecond: number | null; // 1000 / mean TPOT
  readonly tokensPerSecond: number; // output, all users
  readonly requestsPerSecond: number;
  readonly goodputPerSecond: number; // requests inside both objectives
  readonly goodShare: number;
  readonly cachedShare: number; // prompt tokens found in the prefix cache / prompt tokens
  readonly kvShareMean: number; // blocks in use / blocks, over time
  readonly kvShareMax: number;
  readonly kvTokens: number; // room
  readonly runningMax: number;
  readonly rowsPerStep: number;
  readonly preemptionCount: number;
  readonly evictedBlockCount: number;
  readonly busyShare: number; // GPU: time in steps; wafer: time its busiest stage works
  readonly joulesPerToken: number | null; // stated power × elapsed / output tokens
  readonly usdPerMillionTokens: number | null; // null: no price stated
  readonly bound: string; // of throughput
}

export function summarise(
  result: SimulationResult,
  { device, load, prices }: { readonly device: SimDevice; readonly load: string; readonly prices: Prices },
): Summary {
  const { tally, elapsedMs } = result;
  const seconds = elapsedMs / 1000;
  let refusedCount = 0;
  for (const count of tally.refusals.values()) refusedCount += count;
  const tpotMean = tally.tpot.meanMs;
  const busyShare = busyShareOf(result);
  const waited = (tally.queue.quantileMs(0.9) ?? 0) > 1;
  const { kvShareMax, runningMax } = tally;
  return {
    device: device.name,
    model: device.shape.name,
    precision: device.precision,
    simulated: true,
    load,
    requestCount: tally.requestCount,
    refusedCount,
    failedCount: tally.failedCount,
    elapsedSeconds: seconds,
    ttftMs: quantiles(tally.ttft),
    itlMs: quantiles(tally.itl),
    tpotMs: quantiles(tally.tpot),
    e2eMs: quantiles(tally.e2e),
    queueMs: quantiles(tally.queue),
    userTokensPerSecond: tpotMean === null || tpotMean === 0 ? null : 1000 / tpotMean,
    tokensPerSecond: tally.outputTokens / seconds,
    requestsPerSecond: tally.requestCount / seconds,
    goodputPerSecond: tally.goodCount / seconds,
    goodShare: tally.requestCount === 0 ? 0 : tally.goodCount / tally.requestCount,
    cachedShare: tally.promptTokens === 0 ? 0 : tally.cachedTokens / tally.promptTokens,
    kvShareMean: tally.kvShareMean,
    kvShareMax,
    kvTokens: device.limits.blockCount * device.limits.blockSize,
    runningMax,
    rowsPerStep: tally.stepCount === 0 ? 0 : tally.rowCount / tally.stepCount,
    preemptionCount: tally.preemptionCount,
    evictedBlockCount: tally.evictionCount,
    busyShare,
    ...costs(device, tally.outputTokens, seconds, prices),
    bound: throughputBound(device, {
      ...{ kvShareMax, runningMax, busyShare, waited },
      rowsPerStep: tally.stepCount === 0 ? 0 : tally.rowCount / tally.stepCount,
      contextTokens: (tally.promptTokens + tally.outputTokens / 2) / Math.max(1, tally.requestCount),
    }),
  };
}

function quantiles(histogram: Histogram): Quantiles | null {
  const mean = histogram.meanMs;
  if (mean === null) return null;
  const at = (q: number): number => histogram.quantileMs(q)!;
  return { mean, p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}

// A pipeline's steps overlap, so their sum says nothing: its busiest stage does.
function busyShareOf({ tally, elapsedMs, pace }: SimulationResult): number {
  if (elapsedMs === 0) return 0;
  if (pace === null) return Math.min(1, tally.deviceMs / elapsedMs);
  const shares = tally.samples.map(({ stageBusyShare }) => Math.max(0, ...(stageBusyShare ?? [])));
  return shares.length === 0 ? 0 : shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

function costs(
  device: SimDevice,
  outputTokens: number,
  seconds: number,
  { usdPerChipHour, usdPerKWh }: Prices,
): Pick<Summary, 'joulesPerToken' | 'usdPerMillionTokens'> {
  if (outputTokens === 0) return { joulesPerToken: null, usdPerMillionTokens: null };
  const joulesPerToken = device.powerW === 0 ? null : (device.powerW * seconds) / outputTokens;
  const chipPrice = usdPerChipHour.get(device.setup.chip.name);
  if (chipPrice === undefined) return { joulesPerToken, usdPerMillionTokens: null };
  const hours = seconds / 3600;
  // Of a machine whose power nobody stated, energy costs nothing here.
  const energyUsd = ((device.powerW * hours) / 1000) * (usdPerKWh ?? 0);
  return {
    joulesPerToken,
    usdPerMillionTokens: ((chipPrice * device.count * hours + energyUsd) / outputTokens) * 1e6,
  };
}
