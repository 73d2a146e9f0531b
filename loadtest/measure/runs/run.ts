// One run: driver, statistics, lag probe and recorders put together, on any clock. Calls back with the report; virtual
// time is pumped by the caller. The other experiments are made of runs.
import type { Clock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import { steadyIndex } from '../../statistics/steady.ts';
import { describeLoad } from '../../workload/arrival.ts';
import { joinSeeds, labelOf, type Workload } from '../../workload/turn.ts';
import { Driver } from '../play/driver.ts';
import type { DriverPlan } from '../play/driver-plan.ts';
import { LagProbe } from '../play/lag-probe.ts';
import type { DriverRecorder, FinishedSession, FinishedTurn } from '../play/recorder.ts';
import type { Slo } from '../play/slo.ts';
import type { Target } from '../wires/target.ts';
import type { Provenance, RunReport, Surroundings } from './report-schema.ts';
import { type ReportInput, runReport } from './run-report.ts';
import { RunStatistics } from './run-statistics.ts';

export interface RunPlan extends DriverPlan {
  readonly seed: number;
  readonly warmupMs: number;
  readonly slo: Slo;
  readonly voidShare: number; // of the objective that the generator's own lag may take
  readonly abortShare: number | null; // of the latest turns that failed: then the run ends
  readonly autoWarmup: boolean; // warmupMs is found when the run is over
}

export interface RunParts {
  readonly clock: Clock;
  readonly target: Target;
  readonly workload: Workload;
  readonly countTokens: ((text: string) => number) | null;
  readonly surroundings: Surroundings;
  /** Sees every finished turn, warm-up too; for the CSV file. */
  readonly onTurn:
    | ((turn: FinishedTurn, judged: { readonly good: boolean; readonly counted: boolean | null }) => void)
    | null; // counted: null where the warm-up is found later
}

/** A run under way. */
export interface ActiveRun {
  readonly statistics: RunStatistics;
  readonly driver: Pick<Driver, 'elapsedMs' | 'turnsInFlight'>;
  /** Ctrl-C: what has been measured is reported as partial. */
  stop(): void;
}

export function startRun(
  plan: RunPlan,
  parts: RunParts,
  onReport: (report: RunReport) => void,
): ActiveRun & { readonly driver: Driver } {
  const statistics = new RunStatistics(plan.slo, plan.warmupMs);
  const probe = new LagProbe(parts.clock);
  let stopReason: string | null = null;
  const recorder = new RunRecorder(statistics, plan, parts.onTurn, (reason) => stop(reason));
  const driver = new Driver(plan, {
    clock: parts.clock,
    random: new Random(joinSeeds(plan.seed, 1)),
    target: parts.target,
    sessions: parts.workload.sessions(),
    recorder,
    countTokens: parts.countTokens,
  });
  probe.start();
  driver.start(() => {
    probe.stop();
    const { elapsedMs, ranOut } = driver;
    const over = { loopDelay: probe.histogram, stopReason, elapsedMs, ranOut };
    onReport(settledReport(plan, parts, recorder, over));
  });
  const stop = (reason: string) => {
    stopReason ??= reason;
    driver.stop();
  };
  return { statistics, driver, stop: () => stop('stopped by hand') };
}

/** The report of a run that is over. */
export function settledReport(
  plan: RunPlan,
  parts: RunParts,
  recorder: RunRecorder,
  over: Pick<ReportInput, 'loopDelay' | 'stopReason' | 'elapsedMs' | 'ranOut'>,
): RunReport {
  const counted = recorder.settled();
  const provenance = { ...provenanceOf(plan, parts), warmupMs: counted.warmupMs };
  return runReport({ provenance, ...counted, ...over, slo: plan.slo, voidShare: plan.voidShare });
}

function provenanceOf(plan: RunPlan, { workload, target, surroundings }: RunParts): Provenance {
  return {
    ...surroundings,
    target: target.name,
    workload: labelOf(workload),
    workloadSource: `${workload.source.kind} ${workload.source.name}, sha256 ${workload.source.sha256}`,
    workloadNotes: workload.notes,
    scale: workload.scale,
    load: describeLoad(plan.load),
    seed: plan.seed,
    plannedMs: Number.isFinite(plan.durationMs) ? plan.durationMs : 0,
    warmupMs: plan.warmupMs,
  };
}

const LATEST_TURNS = 50; // that decide whether to go on
const LATEST_TURNS_MIN = 20;
const HELD_MAX = 100_000; // turns and sessions that an automatic warm-up keeps until the end

export class RunRecorder implements DriverRecorder {
  readonly #statistics: RunStatistics;
  readonly #plan: RunPlan;
  readonly #onTurn: RunParts['onTurn'];
  readonly #abort: (reason: string) => void;
  readonly #latest: boolean[] = []; // failed
  readonly #turns: FinishedTurn[] = []; // of an automatic warm-up
  readonly #sessions: FinishedSession[] = [];
  #heldAll = true;

  constructor(
    statistics: RunStatistics,
    plan: RunPlan,
    onTurn: RunParts['onTurn'],
    abort: (reason: string) => void,
  ) {
    this.#statistics = statistics;
    this.#plan = plan;
    this.#onTurn = onTurn;
    this.#abort = abort;
  }

  onTurn(turn: FinishedTurn): boolean {
    const good = this.#statistics.onTurn(turn);
    const { autoWarmup, warmupMs } = this.#plan;
    const counted = turn.outcome !== 'unfinished' && turn.timeline.intendedMs >= warmupMs;
    this.#onTurn?.(turn, { good, counted: autoWarmup ? null : counted });
    if (autoWarmup) {
      if (this.#turns.length < HELD_MAX) this.#turns.push(turn);
      else this.#heldAll = false;
    }
    this.#look(turn);
    return good;
  }

  onSession(session: FinishedSession): void {
    this.#statistics.onSession(session);
    if (this.#plan.autoWarmup && this.#sessions.length < HELD_MAX) this.#sessions.push(session);
  }

  onShed(): void {
    this.#statistics.onShed();
  }

  /** What counts, once the run is over: where the warm-up had to be found, all of it is counted anew. */
  settled(): { readonly statistics: RunStatistics; readonly warmupMs: number } {
    const { autoWarmup, slo, warmupMs } = this.#plan;
    if (!autoWarmup || !this.#heldAll) return { statistics: this.#statistics, warmupMs };
    const timed = this.#turns
      .filter(({ measures, kind }) => measures.ttftMs !== null && kind === 'turn')
      .sort((a, b) => a.timeline.intendedMs - b.timeline.intendedMs);
    const at = steadyIndex(timed.map(({ measures }) => measures.ttftMs!));
    if (at === null || at === 0) return { statistics: this.#statistics, warmupMs: 0 };
    const foundMs = timed[at]!.timeline.intendedMs;
    const statistics = new RunStatistics(slo, foundMs);
    for (const turn of this.#turns) statistics.onTurn(turn);
    for (const session of this.#sessions) statistics.onSession(session);
    for (let shed = this.#statistics.counters.shedSessions; shed > 0; shed--) statistics.onShed();
    return { statistics, warmupMs: foundMs };
  }

  #look({ outcome }: FinishedTurn): void {
    const { abortShare } = this.#plan;
    if (abortShare === null || outcome === 'unfinished') return;
    if (this.#latest.push(outcome !== 'ok' && outcome !== 'interrupted') > LATEST_TURNS) this.#latest.shift();
    const failed = this.#latest.filter(Boolean).length;
    if (this.#latest.length < LATEST_TURNS_MIN || failed <= abortShare * this.#latest.length) return;
    this.#abort(`aborted: ${failed} of the latest ${this.#latest.length} turns failed`);
  }
}
