// One run: driver, statistics, lag probe and recorders put together, on any clock. Calls back with the report; virtual
// time is pumped by the caller. The other experiments are made of runs.
import type { Clock } from '../../../kernels/clock.ts';
import { Random } from '../../../kernels/random.ts';
import { describeLoad } from '../../workload/arrival.ts';
import { joinSeeds, labelOf, type Workload } from '../../workload/turn.ts';
import { Driver } from '../play/driver.ts';
import type { DriverPlan } from '../play/driver-plan.ts';
import { LagProbe } from '../play/lag-probe.ts';
import type { DriverRecorder, FinishedSession, FinishedTurn } from '../play/recorder.ts';
import type { Slo } from '../play/slo.ts';
import type { Target } from '../wires/target.ts';
import { type Provenance, type RunReport, runReport } from './run-report.ts';
import { RunStatistics } from './run-statistics.ts';

export interface RunPlan extends DriverPlan {
  readonly seed: number;
  readonly warmupMs: number;
  readonly slo: Slo;
  readonly voidShare: number; // of the objective that the generator's own lag may take
}

/** What of the provenance does not follow from the plan. */
export type Surroundings = Pick<
  Provenance,
  'command' | 'startedAt' | 'device' | 'model' | 'clock' | 'machine' | 'node' | 'version'
>;

export interface RunWorld {
  readonly clock: Clock;
  readonly target: Target;
  readonly workload: Workload;
  readonly countTokens: ((text: string) => number) | null;
  readonly surroundings: Surroundings;
  /** Sees every finished turn, warm-up too; for the CSV file. */
  readonly onTurn: ((turn: FinishedTurn, judged: { good: boolean; counted: boolean }) => void) | null;
}

/** A run under way. */
export interface ActiveRun {
  readonly statistics: RunStatistics;
  readonly driver: Driver;
  /** Ctrl-C: what has been measured is reported as partial. */
  stop(): void;
}

export function startRun(plan: RunPlan, world: RunWorld, onReport: (report: RunReport) => void): ActiveRun {
  const statistics = new RunStatistics(plan.slo, plan.warmupMs);
  const probe = new LagProbe(world.clock);
  let partial = false;
  const driver = new Driver(plan, {
    clock: world.clock,
    random: new Random(joinSeeds(plan.seed, 1)),
    target: world.target,
    sessions: world.workload.sessions(),
    recorder: new RunRecorder(statistics, plan.warmupMs, world.onTurn),
    countTokens: world.countTokens,
  });
  probe.start();
  driver.start(() => {
    probe.stop();
    onReport(
      runReport({
        provenance: provenanceOf(plan, world),
        statistics,
        loopDelay: probe.histogram,
        slo: plan.slo,
        voidShare: plan.voidShare,
        partial,
        elapsedMs: driver.elapsedMs,
      }),
    );
  });
  const stop = () => {
    partial = true;
    driver.stop();
  };
  return { statistics, driver, stop };
}

function provenanceOf(plan: RunPlan, { workload, target, surroundings }: RunWorld): Provenance {
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

class RunRecorder implements DriverRecorder {
  readonly #statistics: RunStatistics;
  readonly #warmupMs: number;
  readonly #onTurn: RunWorld['onTurn'];

  constructor(statistics: RunStatistics, warmupMs: number, onTurn: RunWorld['onTurn']) {
    this.#statistics = statistics;
    this.#warmupMs = warmupMs;
    this.#onTurn = onTurn;
  }

  onTurn(turn: FinishedTurn): boolean {
    const good = this.#statistics.onTurn(turn);
    const counted = turn.outcome !== 'unfinished' && turn.timeline.intendedMs >= this.#warmupMs;
    this.#onTurn?.(turn, { good, counted });
    return good;
  }

  onSession(session: FinishedSession): void {
    this.#statistics.onSession(session);
  }

  onShed(): void {
    this.#statistics.onShed();
  }
}
