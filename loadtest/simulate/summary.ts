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

export type Summary = Readonly<ReturnType<typeof summarise>>;

export function summarise(
  result: SimulationResult,
  { device, load, prices }: { readonly device: SimDevice; readonly load: string; readonly prices: Prices },
) {
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
    simulated: true as const,
    load,
    requestCount: tally.requestCount, // ended while counting
    refusedCount,
    failedCount: tally.failedCount,
    elapsedSeconds: seconds, // virtual
    ttftMs: quantiles(tally.ttft), // first token − intended send
    itlMs: quantiles(tally.itl), // each gap between tokens
    tpotMs: quantiles(tally.tpot), // (last − first) / (tokens − 1), per answer
    e2eMs: quantiles(tally.e2e),
    queueMs: quantiles(tally.queue), // submitted → first seat
    userTokensPerSecond: tpotMean === null || tpotMean === 0 ? null : 1000 / tpotMean,
    tokensPerSecond: tally.outputTokens / seconds, // output, all users
    requestsPerSecond: tally.requestCount / seconds,
    goodputPerSecond: tally.goodCount / seconds, // requests inside both objectives
    goodShare: tally.requestCount === 0 ? 0 : tally.goodCount / tally.requestCount,
    cachedShare: tally.promptTokens === 0 ? 0 : tally.cachedTokens / tally.promptTokens, // found in the prefix cache
    kvShareMean: tally.kvShareMean, // blocks in use / blocks, over time
    kvShareMax,
    kvTokens: device.limits.blockCount * device.limits.blockSize, // room
    runningMax,
    rowsPerStep: tally.stepCount === 0 ? 0 : tally.rowCount / tally.stepCount,
    preemptionCount: tally.preemptionCount,
    evictedBlockCount: tally.evictionCount,
    busyShare, // GPU: time in steps; wafer: time its busiest stage works
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
): { readonly joulesPerToken: number | null; readonly usdPerMillionTokens: number | null } {
  if (outputTokens === 0) return { joulesPerToken: null, usdPerMillionTokens: null };
  const joulesPerToken = device.powerW === 0 ? null : (device.powerW * seconds) / outputTokens; // at stated power
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
