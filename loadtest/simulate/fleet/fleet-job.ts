// FleetJob: one run of a fleet as plain data, and what came of it as plain data: so that runs go to threads and come back. Before
// it: fleet-study.ts; after it: fleet.ts.
import type { Histogram } from '../../statistics/histogram.ts';
import { type DeviceFlags, deviceOf } from '../device-flags.ts';
import { replayLoad } from '../replay.ts';
import type { SloBounds } from '../tally.ts';
import { type FailureWave, simulateFleet } from './fleet.ts';
import { fleetSessions } from './fleet-load.ts';
import type { PolicyName } from './router.ts';

export interface FleetPlan {
  readonly device: string;
  readonly flags: DeviceFlags;
  readonly trace: string;
  readonly sessionsPerNode: number;
  readonly minutes: number; // virtual; the first fifth is not counted
  readonly gapMaxSeconds: number;
  readonly waves: readonly FailureWave[];
  readonly pools: PoolPlan | null;
  readonly eventDelayMs: number;
  readonly slo: SloBounds;
  readonly seed: number;
}

export interface PoolPlan {
  readonly prefillShare: number; // of the nodes; the others answer
  readonly gbPerSecond: number;
  readonly latencyUs: number;
}

export interface FleetJob {
  readonly plan: FleetPlan;
  readonly policy: PolicyName;
  readonly nodeCount: number;
}

export type FleetRow = Readonly<ReturnType<typeof runFleetJob>>;

const warmupShare = 0.2;
const blockTokens = 64; // the traces' own

/** Throws what its device and trace throw. */
export function runFleetJob({ plan, policy, nodeCount }: FleetJob) {
  const { flags, slo, seed, waves, eventDelayMs } = plan;
  const device = deviceOf(plan.device, flags, { blockSize: blockTokens });
  const contextTokensMax = Math.min(device.limits.slotTokensMax, device.limits.blockCount * blockTokens);
  const load = replayLoad({
    ...{ path: plan.trace, timeScale: 1, requestsMax: 1_000_000, sessionsPerHour: 60, contextTokensMax },
  });
  const durationMs = plan.minutes * 60_000;
  const pools = plan.pools === null ? null : poolsOf(plan, plan.pools, nodeCount);
  const found = simulateFleet({
    ...{ device, nodeCount, pools, policy, waves, eventDelayMs, slo, seed, durationMs },
    sessions: fleetSessions(load, seed, plan.gapMaxSeconds * 1000),
    sessionCount: Math.round(plan.sessionsPerNode * nodeCount),
    warmupMs: durationMs * warmupShare,
  });
  const { total, ttft, tpot, outputTokens, retryCount, windows } = found.tally;
  const seconds = found.countedMs / 1000;
  return {
    ...{ policy, nodeCount, retryCount, windows },
    turnCount: total.turns, // answered while counting
    pools: pools === null ? null : `${pools.prefillCount} + ${pools.decodeCount}`, // "8 + 24"
    cachedShare: total.prompt === 0 ? 0 : total.cached / total.prompt,
    ...{ ttftP50Ms: at(ttft, 0.5), ttftP99Ms: at(ttft, 0.99), tpotMeanMs: tpot.meanMs },
    goodShare: total.turns === 0 ? 0 : total.good / total.turns,
    goodputPerSecond: total.good / seconds,
    goodputPerNode: total.good / seconds / nodeCount,
    tokensPerSecond: outputTokens / seconds,
    imbalance: found.imbalance, // prompt tokens of the busiest node over the mean
    lostCount: found.lostCount,
    transferredGb: found.links === null ? null : found.links.bytes / 1e9, // of KV between pools
  };
}

function at(histogram: Histogram, quantile: number): number | null {
  return histogram.quantileMs(quantile);
}

// The answering nodes take a whole prompt into one step: it costs them nothing.
function poolsOf(plan: FleetPlan, { prefillShare, ...link }: PoolPlan, nodeCount: number) {
  const prefillCount = Math.min(nodeCount - 1, Math.max(1, Math.round(prefillShare * nodeCount)));
  const base = deviceOf(plan.device, plan.flags, { blockSize: blockTokens });
  const chunkTokens = base.limits.slotTokensMax;
  const decodeDevice = deviceOf(plan.device, plan.flags, { blockSize: blockTokens, chunkTokens });
  return { prefillCount, decodeCount: nodeCount - prefillCount, decodeDevice, ...link };
}
