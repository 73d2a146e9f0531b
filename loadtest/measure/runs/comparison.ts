// A/B: two targets alive at the same time, the same seeded sessions on both in blocks A B B A, one after the other, so
// that drift of the machine hits both alike. Per-turn log ratios give the difference, A against A of the same block the
// noise floor.
import type { Clock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import { type PairedSession, pairedRatio } from '../../statistics/paired-ratio.ts';
import { joinSeeds, labelOf, type PlannedSession, type Workload } from '../../workload/turn.ts';
import { Driver } from '../play/driver.ts';
import type { DriverPlan } from '../play/driver-plan.ts';
import type { FinishedTurn } from '../play/recorder.ts';
import { formatSlo, latencyMsOf, SLO_METRICS, type Slo, type SloMetric } from '../play/slo.ts';
import type { Target } from '../wires/target.ts';
import type { ComparisonReport, Surroundings } from './report-schema.ts';

export interface ComparisonPlan {
  readonly blocks: number; // ABBA blocks, one workload session each
  readonly warmupBlocks: number; // played first, not counted
  readonly seed: number;
  readonly slo: Slo;
  readonly turnTimeoutMs: number;
  readonly gapMsMax: number; // gaps inside a session are cut to this: they say nothing about either target
}

export interface ComparisonParts {
  readonly clock: Clock;
  readonly a: Target;
  readonly b: Target;
  readonly workload: Workload;
  readonly countTokens: ((text: string) => number) | null;
  readonly surroundings: Surroundings;
  readonly onBlock: (done: number, all: number) => void;
}

export interface ActiveComparison {
  stop(): void;
}

/** The turns of one play of a session, by turn and kind. */
type Play = Map<string, FinishedTurn>;

interface Block {
  readonly plays: readonly Play[]; // A B B A
}

const ARMS = ['a', 'b', 'b', 'a'] as const;
// Before them each session is rehearsed once, uncounted: whoever is first with a session's lengths pays for shapes and
// memory that nobody has used yet, and it would always be A.
const REHEARSALS = ['a', 'b'] as const; // in turn

export function startComparison(
  plan: ComparisonPlan,
  parts: ComparisonParts,
  onReport: (report: ComparisonReport) => void,
): ActiveComparison {
  const sessions = parts.workload.sessions();
  const blocks: Block[] = []; // bounded: plan.blocks
  const all = plan.warmupBlocks + plan.blocks;
  let done = 0;
  let driver: Driver | null = null;
  let partial = false;

  const finish = () => onReport(reportOf(blocks, plan, parts, partial));

  const playBlock = () => {
    const drawn = sessions.next();
    if (partial || done === all || drawn.done) {
      finish();
      return;
    }
    const session = withShortGaps(drawn.value, plan.gapMsMax);
    const plays: Play[] = []; // the rehearsal, then A B B A
    const playNext = () => {
      const arm = plays.length === 0 ? REHEARSALS[done % 2]! : ARMS[plays.length - 1];
      if (arm === undefined || partial) {
        if (!partial && done >= plan.warmupBlocks) blocks.push({ plays: plays.slice(1) });
        done++;
        parts.onBlock(done, all);
        playBlock();
        return;
      }
      const play: Play = new Map();
      const once = { session, arm, salt: joinSeeds(plan.seed, done * (ARMS.length + 1) + plays.length + 1) };
      driver = playOnce(once, plan, parts, play);
      driver.start(() => {
        plays.push(play);
        playNext();
      });
    };
    playNext();
  };
  playBlock();
  return {
    stop: () => {
      partial = true;
      driver?.stop();
    },
  };
}

function playOnce(
  once: { readonly session: PlannedSession; readonly arm: 'a' | 'b'; readonly salt: number },
  plan: ComparisonPlan,
  parts: ComparisonParts,
  play: Play,
): Driver {
  const driverPlan: DriverPlan = {
    load: { kind: 'closed', users: 1 },
    durationMs: Number.POSITIVE_INFINITY,
    sessionsMax: 1,
    sessionsInFlightMax: 1,
    turnTimeoutMs: plan.turnTimeoutMs,
    leadMs: 0,
    // Both arms may be one server: other content of the same shape keeps one play from warming the next one's cache.
    salt: once.salt,
  };
  return new Driver(driverPlan, {
    clock: parts.clock,
    random: new Random(plan.seed),
    target: once.arm === 'a' ? parts.a : parts.b,
    sessions: [once.session][Symbol.iterator](),
    countTokens: parts.countTokens,
    recorder: {
      onTurn: (turn) => {
        play.set(`${turn.turnIndex} ${turn.kind}`, turn);
        return true;
      },
      onSession: () => {},
      onShed: () => {},
    },
  });
}

function withShortGaps(session: PlannedSession, gapMsMax: number): PlannedSession {
  return {
    ...session,
    turns: session.turns.map((turn) => ({ ...turn, gapMs: Math.min(turn.gapMs, gapMsMax) })),
  };
}

function reportOf(
  blocks: readonly Block[],
  plan: ComparisonPlan,
  parts: ComparisonParts,
  partial: boolean,
): ComparisonReport {
  const random = new Random(joinSeeds(plan.seed, 2));
  const failed = (arm: 'a' | 'b') =>
    blocks
      .flatMap(({ plays }) => plays.filter((_, at) => ARMS[at] === arm))
      .flatMap((play) => [...play.values()])
      .filter(({ outcome }) => outcome !== 'ok' && outcome !== 'interrupted').length;
  return {
    format: 'sparklane loadtest comparison',
    formatVersion: 1,
    a: parts.a.name,
    b: parts.b.name,
    workload: labelOf(parts.workload),
    seed: plan.seed,
    blockCount: blocks.length,
    failedTurns: { a: failed('a'), b: failed('b') },
    method:
      'ABBA blocks, one session each, one at a time, after an uncounted rehearsal of it; ratio = exp(mean over turns of ln A/B), turns paired within a block ' +
      '(first A with first B, second A with second B); noise floor = second A over first A; 95 % percentile bootstrap over sessions',
    slo: formatSlo(plan.slo),
    surroundings: parts.surroundings,
    rows: SLO_METRICS.map((metric) => rowOf(metric, blocks, random)),
    partial,
  };
}

function rowOf(
  metric: SloMetric,
  blocks: readonly Block[],
  random: Random,
): ComparisonReport['rows'][number] {
  const value = (turn: FinishedTurn | undefined): number | null =>
    turn === undefined || (turn.outcome !== 'ok' && turn.outcome !== 'interrupted')
      ? null
      : latencyMsOf(turn.measures, metric);
  const pair = (a: Play, b: Play): PairedSession =>
    [...a.keys()].map((key) => ({ a: value(a.get(key)), b: value(b.get(key)) }));
  const plays = blocks.map(({ plays }) => plays as readonly [Play, Play, Play, Play]);
  const mean = (arms: readonly number[]): number | null => {
    const values = plays.flatMap((four) => arms.flatMap((at) => [...four[at]!.values()].map(value)));
    const valid = values.filter((ms) => ms !== null);
    return valid.length === 0 ? null : valid.reduce((sum, ms) => sum + ms, 0) / valid.length;
  };
  return {
    metric,
    aOverB: pairedRatio(
      plays.map(([a1, b1, b2, a2]) => [...pair(a1, b1), ...pair(a2, b2)]),
      random,
    ),
    aOverA: pairedRatio(
      plays.map(([a1, , , a2]) => pair(a2, a1)),
      random,
    ),
    bOverB: pairedRatio(
      plays.map(([, b1, b2]) => pair(b2, b1)),
      random,
    ),
    meanMs: { a: mean([0, 3]), b: mean([1, 2]) },
  };
}
