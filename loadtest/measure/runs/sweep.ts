// Several runs at different loads: a sweep with its knee, and the search for the capacity. Each run starts after the
// last one has drained, with content of its own, on the same seeded workload.

import { type SearchPlan, searchCapacity } from '../../statistics/bisection.ts';
import { kneeIndex } from '../../statistics/knee.ts';
import type { RunReport, SweepPoint, SweepReport } from './report-schema.ts';
import { latencyOf } from './run-report.ts';

/** One run at one load. All loads and repeats draw the same arrivals, stretched in time. */
export type RunAt = (load: number) => Promise<RunReport>;

const KNEE_METHOD =
  'of TTFT over load: largest distance below the chord, axes scaled to the unit square (Kneedle); none below 0.1';

/** Runs every load once. Stops early, and says so, once `isStopped` is true. */
export async function sweep(
  loads: readonly number[],
  loadName: string,
  runAt: RunAt,
  isStopped: () => boolean,
): Promise<SweepReport> {
  const points: SweepPoint[] = [];
  for (const load of [...loads].sort((a, b) => a - b)) {
    if (isStopped()) break;
    points.push({ load, phase: 'sweep', passed: null, report: await runAt(load) });
  }
  return sweepReport(points, loadName, null, isStopped());
}

export interface CapacityGoal {
  readonly goodShareMin: number; // of the turns
  readonly search: SearchPlan;
}

/** Bisects for the highest load whose good share reaches the goal. A void run cannot pass. */
export async function capacitySearch(
  goal: CapacityGoal,
  loadName: string,
  runAt: RunAt,
  isStopped: () => boolean,
): Promise<SweepReport> {
  const points: SweepPoint[] = [];
  const result = await searchCapacity(goal.search, async (load, _round, phase) => {
    if (isStopped()) return false;
    const report = await runAt(load);
    const share = report.rates.goodShare.value;
    const passed = share !== null && share >= goal.goodShareMin && !report.validity.isVoid && !report.partial;
    points.push({ load, phase, passed, report });
    return passed;
  });
  const capacity = {
    goal: `good share ≥ ${goal.goodShareMin * 100} %`,
    result: result.kind,
    load: result.kind === 'below' ? null : result.capacity,
    failsAt: result.kind === 'above' ? null : result.failsAt,
    tolerance: goal.search.tolerance,
    repeats: goal.search.repeats,
  };
  return sweepReport(points, loadName, capacity, isStopped());
}

function sweepReport(
  points: readonly SweepPoint[],
  loadName: string,
  capacity: SweepReport['capacity'],
  partial: boolean,
): SweepReport {
  // p90 where every run had the samples for it, the median otherwise.
  const q = points.every(({ report }) => ttftQuantile(report, 0.9) !== null) ? 0.9 : 0.5;
  const curve = points
    .map(({ load, report }) => ({ load, value: ttftQuantile(report, q) }))
    .filter((point): point is { load: number; value: number } => point.value !== null)
    .sort((a, b) => a.load - b.load);
  const knee = kneeIndex(curve);
  return {
    format: 'sparklane loadtest sweep',
    formatVersion: 1,
    loadName,
    points,
    kneeLoad: knee === null ? null : curve[knee]!.load,
    kneeMethod: `p${q * 100} ${KNEE_METHOD}`,
    capacity,
    partial,
  };
}

function ttftQuantile(report: RunReport, wanted: number): number | null {
  return latencyOf(report, 'ttft').quantiles.find(({ q }) => q === wanted)!.ms;
}
