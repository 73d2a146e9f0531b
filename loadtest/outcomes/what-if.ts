// What another routing policy would have meant for time and cost: requests that it moves are given the pace and the
// price that their new lane has in the record, all others stay as they were. Owns the estimate, its bootstrap by whole
// tasks, and what it cannot know. Deterministic by seed.
import { Random } from '../../kernels/random.ts';
import type { Price } from '../../server/lanes/lanes-file.ts';
import type { Policy } from '../../server/lanes/policy.ts';
import type { TaskRecord } from '../../server/outcomes/task-record.ts';
import { summariseTask } from '../../server/outcomes/task-summary.ts';
import { type Interval, percentileInterval, RESAMPLES } from '../statistics/bootstrap.ts';
import {
  addMove,
  addRequest,
  addTimes,
  type LaneRate,
  type LaneSums,
  type MovedSums,
  movedCost,
  movedMs,
  msOf,
  noMoves,
  noSums,
  rateOf,
} from './lane-rates.ts';
import { type ReplayedRequest, replay } from './replay.ts';

export interface WhatIfOptions {
  readonly policy: Policy;
  readonly prices: Readonly<Record<string, Price>> | null; // by lane; null: as the record shows
  readonly seed: number;
}

/** A sum as recorded and as estimated; the interval is of the relative change, null below two tasks. */
export interface Change {
  readonly recorded: number;
  readonly estimated: number;
  readonly change: number | null; // (estimated − recorded) / recorded
  readonly interval: Interval | null;
}

export interface Move {
  readonly from: string;
  readonly to: string;
  readonly rule: string; // that moves
  readonly requestCount: number;
  readonly taskCount: number;
  readonly extrapolatedCount: number; // requests of a class that the new lane never had
  readonly known: boolean; // false: the new lane has no records, nothing can be said
}

export type WhatIfReport = Readonly<ReturnType<typeof whatIf>>;

/** What one task brings to the sums. */
interface TaskSums {
  readonly lanes: ReadonlyMap<string, LaneSums>;
  readonly moved: ReadonlyMap<string, MovedSums>; // in front of somebody
  readonly movedBehind: ReadonlyMap<string, MovedSums>; // in the background: money only
  readonly recordedMs: number;
  readonly keptMs: number;
  readonly recordedCost: number;
  readonly keptCost: number;
  readonly totalMs: number;
}

export function whatIf(records: readonly TaskRecord[], options: WhatIfOptions) {
  const { policy, prices, seed } = options;
  const replayed = replay(records, policy);
  const ended = replayed.filter(({ request }) => request.end !== null);
  const isKnown = knownLanes(ended);
  const byTask = records.map((): ReplayedRequest[] => []);
  for (const each of ended) byTask[each.task]!.push(each);
  const tasks = records.map((record, index) =>
    sumsOf(byTask[index]!, summariseTask(record).totalMs, { isKnown, prices }),
  );
  const whole = estimate(tasks, null, prices, new Map());
  const spread = resampled(tasks, whole.rates, options);
  const moved = replayed.filter(isMoved);
  return {
    format: 'sparklane what-if' as const,
    formatVersion: 1 as const,
    policy: policy.name,
    recordedPolicies: [...new Set(replayed.map(({ request }) => request.policy))].sort(),
    ...{ seed, resamples: RESAMPLES },
    taskCount: records.length,
    requestCount: replayed.length,
    pinnedCount: replayed.filter(({ pinned }) => pinned).length, // requests that named their lane
    unendedCount: replayed.length - ended.length, // without an end: routed, but neither timed nor priced
    movedCount: moved.length,
    moves: movesOf(moved, ended, isKnown),
    modelMs: changeOf(whole.recordedMs, whole.estimatedMs, spread.modelMs), // waiting for models, of requests that somebody waited for
    totalMs: changeOf(whole.totalMs, whole.totalMs + whole.estimatedMs - whole.recordedMs, spread.totalMs), // T_total of all tasks
    cost: changeOf(whole.recordedCost, whole.estimatedCost, spread.cost),
    lanes: [...whole.rates].map(([lane, rate]) => ({ lane, count: whole.counts.get(lane)!, rate })),
    unknownWords: unknownWords(policy, replayed), // categories of the policy that the record does not have
    assumptions: ASSUMPTIONS,
  };
}

const ASSUMPTIONS = [
  'a request that moves has as many tokens as before, as many of them cached, and is as good: tools, reviews, rework and acceptance stay as they were',
  'words are counted as the recording policy counted them',
  'the interval is of 95 %, by drawing whole tasks again; it covers which tasks happened to be recorded and how well they show a lane’s pace, not the assumptions',
] as const;

function isMoved({ request, lane }: ReplayedRequest): boolean {
  return lane !== request.lane;
}

/** A lane is known by requests that ended well there, not by its price alone. */
function knownLanes(ended: readonly ReplayedRequest[]): (lane: string) => boolean {
  const lanes = new Set(
    ended.filter(({ request }) => !request.end!.failed).map(({ request }) => request.lane),
  );
  return (lane) => lanes.has(lane);
}

function sumsOf(
  requests: readonly ReplayedRequest[],
  totalMs: number,
  { isKnown, prices }: { isKnown: (lane: string) => boolean; prices: WhatIfOptions['prices'] },
): TaskSums {
  const sums = { recordedMs: 0, keptMs: 0, recordedCost: 0, keptCost: 0 };
  const lanes = new Map<string, LaneSums>();
  const moved = new Map<string, MovedSums>();
  const movedBehind = new Map<string, MovedSums>();
  for (const replayed of requests) {
    const { request, lane } = replayed;
    const end = request.end!;
    const ms = request.background ? 0 : msOf(request, end);
    sums.recordedMs += ms;
    sums.recordedCost += end.cost;
    if (!end.failed) addRequest(entryOf(lanes, request.lane, noSums), request, end);
    if (isMoved(replayed) && isKnown(lane)) {
      const into = request.background ? movedBehind : moved;
      addMove(entryOf(into, lane, noMoves), end, prices?.[lane] ?? null);
    } else {
      sums.keptMs += ms;
      sums.keptCost += end.cost;
    }
  }
  return { ...sums, lanes, moved, movedBehind, totalMs };
}

interface Estimate {
  readonly recordedMs: number;
  readonly estimatedMs: number;
  readonly recordedCost: number;
  readonly estimatedCost: number;
  readonly totalMs: number;
  readonly rates: ReadonlyMap<string, LaneRate>;
  readonly counts: ReadonlyMap<string, number>;
}

/** `times`: how often each task counts; null: once. A lane that no drawn task was in keeps its rate of `otherwise`. */
function estimate(
  tasks: readonly TaskSums[],
  times: Int32Array | null,
  prices: WhatIfOptions['prices'],
  otherwise: ReadonlyMap<string, LaneRate>,
): Estimate {
  const lanes = new Map<string, LaneSums>();
  for (const [index, task] of tasks.entries()) {
    const count = times?.[index] ?? 1;
    if (count === 0) continue;
    for (const [lane, sums] of task.lanes) addTimes(entryOf(lanes, lane, noSums), sums, count);
  }
  const rates = new Map(otherwise);
  for (const [lane, sums] of [...lanes].sort(([a], [b]) => (a < b ? -1 : 1))) rates.set(lane, rateOf(sums)!);
  const result = { recordedMs: 0, estimatedMs: 0, recordedCost: 0, estimatedCost: 0, totalMs: 0 };
  for (const [index, task] of tasks.entries()) {
    const count = times?.[index] ?? 1;
    if (count === 0) continue;
    result.recordedMs += count * task.recordedMs;
    result.estimatedMs += count * task.keptMs;
    result.recordedCost += count * task.recordedCost;
    result.estimatedCost += count * task.keptCost;
    result.totalMs += count * task.totalMs;
    for (const [lane, sums] of task.moved) result.estimatedMs += count * movedMs(sums, rates.get(lane)!);
    for (const part of [task.moved, task.movedBehind]) {
      for (const [lane, sums] of part) {
        const isPriced = prices?.[lane] !== undefined;
        result.estimatedCost += count * movedCost(sums, rates.get(lane)!, isPriced);
      }
    }
  }
  return { ...result, rates, counts: new Map([...lanes].map(([lane, { count }]) => [lane, count])) };
}

type Spread = Readonly<Record<'modelMs' | 'totalMs' | 'cost', Interval | null>>;

function resampled(
  tasks: readonly TaskSums[],
  rates: ReadonlyMap<string, LaneRate>,
  { prices, seed }: WhatIfOptions,
): Spread {
  if (tasks.length < 2) return { modelMs: null, totalMs: null, cost: null };
  const random = new Random(seed);
  const times = new Int32Array(tasks.length);
  const [modelMs, totalMs, cost] = [0, 1, 2].map(() => new Float64Array(RESAMPLES)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let round = 0; round < RESAMPLES; round++) {
    times.fill(0);
    for (let draw = 0; draw < tasks.length; draw++) times[random.integer(0, tasks.length - 1)]!++;
    const made = estimate(tasks, times, prices, rates);
    const gainedMs = made.estimatedMs - made.recordedMs;
    modelMs[round] = gainedMs / made.recordedMs;
    totalMs[round] = gainedMs / made.totalMs;
    cost[round] = (made.estimatedCost - made.recordedCost) / made.recordedCost;
  }
  return {
    modelMs: percentileInterval(modelMs),
    totalMs: percentileInterval(totalMs),
    cost: percentileInterval(cost),
  };
}

function changeOf(recorded: number, estimated: number, interval: Interval | null): Change {
  return { recorded, estimated, change: recorded === 0 ? null : (estimated - recorded) / recorded, interval };
}

function movesOf(
  moved: readonly ReplayedRequest[],
  ended: readonly ReplayedRequest[],
  isKnown: (lane: string) => boolean,
): Move[] {
  const seen = new Set(ended.map(({ request }) => `${request.lane}\0${request.taskClass}`));
  const groups = new Map<string, ReplayedRequest[]>();
  for (const each of moved)
    entryOf(groups, `${each.request.lane}\0${each.lane}\0${each.rule}`, () => []).push(each);
  const moves = [...groups.values()].map((group) => {
    const [{ request, lane: to, rule }] = group as [ReplayedRequest];
    const strange = group.filter((each) => !seen.has(`${to}\0${each.request.taskClass}`));
    return {
      ...{ from: request.lane, to, rule, known: isKnown(to) },
      requestCount: group.length,
      taskCount: new Set(group.map(({ task }) => task)).size,
      extrapolatedCount: strange.length,
    };
  });
  return moves.sort(
    (a, b) => b.requestCount - a.requestCount || (`${a.from}${a.rule}` < `${b.from}${b.rule}` ? -1 : 1),
  );
}

function unknownWords({ words }: Policy, replayed: readonly ReplayedRequest[]): string[] {
  const recorded = new Set(replayed.flatMap(({ request }) => Object.keys(request.signals.words)));
  return Object.keys(words).filter((category) => !recorded.has(category));
}

function entryOf<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
