// Sweep: the same requests from more and more users in a closed loop, until a device stops gaining. Says where that
// is and why. Uses simulation.ts; feeds the curves of the comparison.
import type { SimDevice } from '../../kernels/sim/device.ts';
import { closedLoad, type FixedLengths } from './load.ts';
import { type SimulationOptions, simulate } from './simulation.ts';
import { type Prices, type Summary, summarise } from './summary.ts';

interface SweepPoint {
  readonly userCount: number;
  readonly summary: Summary;
}

export interface Sweep {
  readonly points: readonly SweepPoint[];
  readonly kneeUsers: number | null; // doubling the users from here brings less than `gainMin`; null: not reached
  readonly kneeReason: string;
}

export interface SweepOptions
  extends Pick<SimulationOptions, 'slo' | 'hostMs' | 'queueLengthMax' | 'scheduler'> {
  readonly device: SimDevice;
  readonly lengths: FixedLengths;
  readonly usersMax: number;
  readonly prices: Prices;
  readonly seed: number;
}

const gainMin = 1.15; // of aggregate tokens per second, for twice the users

export function sweepUsers(options: SweepOptions): Sweep {
  const points: SweepPoint[] = [];
  for (let userCount = 1; userCount <= options.usersMax; userCount *= 2) {
    points.push({ userCount, summary: simulateUsers(options, userCount) });
    if (points.length >= 3 && stopped(points)) break;
  }
  const kneeIndex = points.findIndex(
    (_, index) => index + 1 < points.length && gain(points, index + 1) < gainMin,
  );
  if (kneeIndex === -1)
    return { points, kneeUsers: null, kneeReason: `not up to ${points.at(-1)!.userCount} users` };
  return {
    points,
    kneeUsers: points[kneeIndex]!.userCount,
    kneeReason: points[kneeIndex + 1]!.summary.bound,
  };
}

/**
 * A closed loop: one round of answers to warm up, then enough to count. Users begin as if they had run forever, or all at once
 * (`inStep`), as benchmark tools do: equal answers then end together, and prompts meet.
 */
export function simulateUsers(
  options: Omit<SweepOptions, 'usersMax'>,
  userCount: number,
  inStep = false,
): Summary {
  const { device, lengths, seed, prices } = options;
  const load = closedLoad(lengths, { userCount, turnCount: Number.POSITIVE_INFINITY, seed, inStep });
  const result = simulate({
    ...{ device, load, slo: options.slo, hostMs: options.hostMs, queueLengthMax: options.queueLengthMax },
    scheduler: options.scheduler,
    ...{ warmupRequests: userCount, countedRequests: Math.max(requestsMin, userCount) },
  });
  return summarise(result, { device, load: load.label, prices });
}

const requestsMin = 24;

function gain(points: readonly SweepPoint[], index: number): number {
  return points[index]!.summary.tokensPerSecond / points[index - 1]!.summary.tokensPerSecond;
}

// Two doublings without a gain: more would only lengthen the queue.
function stopped(points: readonly SweepPoint[]): boolean {
  return gain(points, points.length - 1) < gainMin && gain(points, points.length - 2) < gainMin;
}
