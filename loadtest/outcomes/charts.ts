// The charts of the report about tasks, as static SVG. Each function takes report data and returns markup; text next to
// the charts is page.ts's.
import * as Plot from '@observablehq/plot';
import { PHASES, type TaskPhase } from '../../server/outcomes/task-record.ts';
import { draw, nothing } from '../show/plot.ts';
import { formatDuration, formatMoney } from './table.ts';
import { ALL, fasterBy, type ReportRow, type TaskReport } from './task-report.ts';

const PHASE_COLOURS: Readonly<Record<TaskPhase, string>> = {
  plan: '#8e4ec6',
  model: '#3e63dd',
  tools: '#f76b15',
  verify: '#12a594',
  review: '#e2a336',
  rework: '#e5484d',
};
const LANE_COLOURS = ['#3e63dd', '#f76b15', '#30a46c', '#8e4ec6', '#e5484d', '#12a594', '#e2a336', '#60646c'];
const OUTCOMES = ['first pass', 'accepted after rework', 'reverted', 'open'];
const OUTCOME_COLOURS = ['#30a46c', '#a9dcb6', '#e5484d', '#b9bbc6'];
const LABEL_SHARE_MIN = 0.07; // narrower parts of a bar have no room for their number
const SPEEDS = Array.from({ length: 41 }, (_, index) => 10 ** (index / 20)); // 1 to 100, 20 per decade
const AXIS_MARGIN = 44; // pixels below a chart: ticks and the axis's name
const TASKS_SHOWN_MAX = 3000; // dots of a chart; the numbers are of all

/** Mean time of each phase, one bar per lane and class. */
export function phaseBars({ rows }: TaskReport): string {
  const timed = rows.filter(({ phaseShare }) => phaseShare !== null);
  if (timed.length === 0) return nothing('no task has a time');
  const longest = Math.max(...timed.map(({ totalMeanMs }) => totalMeanMs!));
  const bars = timed.flatMap((row) => {
    let reached = 0;
    return PHASES.map((phase) => {
      const seconds = row.phaseMeanMs[phase] / 1000;
      const share = row.phaseShare![phase];
      const label = row.phaseMeanMs[phase] / longest < LABEL_SHARE_MIN ? '' : `${Math.round(share * 100)} %`;
      const title = `${nameOf(row)}, ${phase}: ${formatDuration(row.phaseMeanMs[phase])}`;
      const bar = { y: nameOf(row), phase, x1: reached, x2: reached + seconds, label, title };
      reached += seconds;
      return bar;
    });
  });
  const names = timed.map(nameOf);
  return draw({
    height: 80 + names.length * 44,
    ...{ marginLeft: marginFor(names), marginRight: 70 },
    marginBottom: AXIS_MARGIN,
    x: { label: 'seconds, mean of the tasks', labelAnchor: 'center', domain: [0, longest / 1000] },
    y: { label: null, domain: names, padding: 0.28 },
    color: { legend: true, domain: [...PHASES], range: PHASES.map((phase) => PHASE_COLOURS[phase]) },
    marks: [
      Plot.gridX({ strokeOpacity: 0.12 }),
      Plot.barX(bars, { x1: 'x1', x2: 'x2', y: 'y', fill: 'phase', title: 'title', insetRight: 0.5 }),
      Plot.text(bars, {
        x: (bar) => (bar.x1 + bar.x2) / 2,
        y: 'y',
        text: 'label',
        fill: '#fff',
        fontWeight: 600,
      }),
      Plot.text(timed, {
        x: (row: ReportRow) => row.totalMeanMs! / 1000,
        y: nameOf,
        text: (row: ReportRow) => formatDuration(row.totalMeanMs),
        ...{ dx: 6, textAnchor: 'start', fill: 'currentColor' },
      }),
    ],
  });
}

/** T_total against the speed of the model: what is not the model's share stays. */
export function speedCurves({ rows }: TaskReport): string {
  const timed = lanesOnly(rows).filter(
    ({ totalMeanMs, phaseMeanMs }) => totalMeanMs !== null && phaseMeanMs.model > 0,
  );
  if (timed.length === 0) return nothing('no task has a model’s time');
  const points = timed.flatMap((row) =>
    SPEEDS.map((factor) => ({
      lane: nameOf(row),
      factor,
      seconds: fasterBy(factor, row.phaseMeanMs.model, row.totalMeanMs!).totalMs / 1000,
    })),
  );
  const floors = timed.map((row) => (row.totalMeanMs! - row.phaseMeanMs.model) / 1000);
  return draw({
    height: 300,
    ...{ marginLeft: 60, marginBottom: AXIS_MARGIN },
    x: {
      ...{ type: 'log', label: 'times as fast as the model was', labelAnchor: 'center', domain: [1, 100] },
      ticks: [1, 2, 5, 10, 20, 50, 100],
      tickFormat: (factor: number) => `${factor}×`,
    },
    y: { label: 'T_total, seconds', domain: [0, Math.max(...points.map(({ seconds }) => seconds)) * 1.05] },
    color: { legend: true, domain: timed.map(nameOf), range: LANE_COLOURS },
    marks: [
      Plot.gridY({ strokeOpacity: 0.12 }),
      Plot.ruleY(floors, { strokeDasharray: '3,4', strokeOpacity: 0.4 }),
      Plot.line(points, { x: 'factor', y: 'seconds', stroke: 'lane', strokeWidth: 2 }),
    ],
  });
}

/** Every task as a dot, time to the first useful diff and end to end, with the median of each lane. */
export function taskTimes({ tasks, rows }: TaskReport): string {
  const dots = tasks.slice(-TASKS_SHOWN_MAX).flatMap(({ id, lane, firstDiffMs, endToEndMs }) =>
    [
      { what: FIRST_DIFF, ms: firstDiffMs },
      { what: END_TO_END, ms: endToEndMs },
    ].flatMap(({ what, ms }) =>
      ms === null || ms <= 0
        ? []
        : [{ what, y: lane ?? 'unknown', seconds: ms / 1000, title: `${id}: ${formatDuration(ms)}` }],
    ),
  );
  if (dots.length === 0) return nothing('no task has a useful diff or an acceptance');
  const lanes = [...new Set(dots.map(({ y }) => y))].sort();
  const medians = lanesOnly(rows).flatMap(({ lane, firstDiff, endToEnd }) =>
    [
      { what: FIRST_DIFF, ms: firstDiff.medianMs },
      { what: END_TO_END, ms: endToEnd.medianMs },
    ].flatMap(({ what, ms }) => (ms === null ? [] : [{ what, y: lane, seconds: ms / 1000 }])),
  );
  const all = dots.map(({ seconds }) => seconds);
  return draw({
    height: 110 + lanes.length * 76,
    marginLeft: marginFor(lanes),
    ...{ marginRight: 130, marginBottom: AXIS_MARGIN },
    x: {
      ...{ type: 'log', label: null, ticks: 6 },
      domain: [Math.min(...all) * 0.8, Math.max(...all) * 1.25],
      tickFormat: (seconds: number) => formatDuration(seconds * 1000),
    },
    y: { label: null, domain: lanes, padding: 0.3 },
    fy: { label: null, domain: [FIRST_DIFF, END_TO_END] },
    color: { domain: lanes, range: LANE_COLOURS },
    marks: [
      Plot.frame({ strokeOpacity: 0.1 }),
      Plot.tickX(medians, { fy: 'what', x: 'seconds', y: 'y', strokeWidth: 2 }),
      Plot.dot(dots, {
        fy: 'what',
        x: 'seconds',
        y: 'y',
        stroke: 'y',
        strokeOpacity: 0.6,
        r: 3,
        title: 'title',
      }),
    ],
  });
}

const FIRST_DIFF = 'first useful diff';
const END_TO_END = 'end to end';

/** How many tasks of each lane and class were accepted at once, after rework, reverted, or are open. */
export function outcomeBars({ rows }: TaskReport): string {
  const parts = rows.flatMap((row) => [
    { y: nameOf(row), outcome: OUTCOMES[0]!, count: row.firstPassCount },
    { y: nameOf(row), outcome: OUTCOMES[1]!, count: row.acceptedCount - row.firstPassCount },
    { y: nameOf(row), outcome: OUTCOMES[2]!, count: row.revertedCount },
    { y: nameOf(row), outcome: OUTCOMES[3]!, count: row.openCount },
  ]);
  if (rows.length === 0) return nothing('no task is recorded');
  const names = rows.map(nameOf);
  return draw({
    height: 80 + names.length * 34,
    ...{ marginLeft: marginFor(names), marginRight: 170 },
    marginBottom: AXIS_MARGIN,
    x: {
      label: 'tasks',
      labelAnchor: 'center',
      tickFormat: (count: number) => (Number.isInteger(count) ? String(count) : ''),
    },
    y: { label: null, domain: names, padding: 0.28 },
    color: { legend: true, domain: OUTCOMES, range: OUTCOME_COLOURS },
    marks: [
      Plot.barX(
        parts.filter(({ count }) => count > 0),
        {
          ...{ x: 'count', y: 'y', fill: 'outcome', insetRight: 0.5, order: OUTCOMES },
          title: (part) => `${part.y}: ${part.count} ${part.outcome}`,
        },
      ),
      Plot.text(rows, {
        x: 'taskCount',
        y: nameOf,
        text: ({ costPerAccepted }: ReportRow) =>
          costPerAccepted.value === null
            ? 'none accepted'
            : `${formatMoney(costPerAccepted.value)} per accepted`,
        ...{ dx: 6, textAnchor: 'start' },
      }),
    ],
  });
}

/** What a row is called where lane and class have one place. */
export function nameOf({ lane, taskClass }: ReportRow): string {
  if (lane === ALL) return 'all lanes';
  return taskClass === ALL ? lane : `${lane}, ${taskClass}`;
}

/** One row per lane: its total, or its only class. */
function lanesOnly(rows: readonly ReportRow[]): ReportRow[] {
  const lanes = rows.filter(({ lane }) => lane !== ALL);
  return lanes.filter(
    (row) =>
      row.taskClass === ALL || !lanes.some(({ lane, taskClass }) => lane === row.lane && taskClass === ALL),
  );
}

function marginFor(names: readonly string[]): number {
  const pixelsPerCharacter = 6.6; // of 12 px system fonts, about
  return Math.min(300, 24 + Math.max(...names.map(({ length }) => length)) * pixelsPerCharacter);
}
