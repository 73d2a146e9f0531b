// The report about tasks as text for a terminal. Pure: a string out; page.ts shows the same numbers with charts.
import { PHASES } from '../../server/outcomes/task-record.ts';
import { formatShare, MISSING } from '../show/format.ts';
import { columns } from '../show/text-table.ts';
import { ALL, type Rate, type ReportRow, type Spread, type TaskReport } from './task-report.ts';

export function reportTable(report: TaskReport): string {
  const { taskCount, fromMs, toMs, rows } = report;
  if (taskCount === 0) return 'no task is recorded\n';
  const span = `from ${dayText(fromMs)} to ${dayText(toMs)}`;
  const parts = [
    `${taskCount} tasks ${span}; (n) is the number of tasks beside each figure`,
    '',
    'TIME TO A CHANGE',
    ...columns([SPREAD_HEAD, ...rows.map(spreadCells)], 2),
    '',
    'WHERE THE TIME GOES: T_total = T_plan + T_model + T_tools + T_verify + T_review + T_rework, mean of the tasks',
    ...columns([PHASE_HEAD, ...rows.filter(({ phaseShare }) => phaseShare !== null).flatMap(phaseCells)], 2),
    '',
    'WHAT BECAME OF IT (derived: tasks of which their traffic alone tells)',
    ...columns([OUTCOME_HEAD, ...rows.map(outcomeCells)], 2),
    ...fasterLines(rows),
  ];
  if (rows.some(({ firstDiff, endToEnd }) => firstDiff.refusal !== null || endToEnd.refusal !== null)) {
    parts.push('', `refused: ${report.sampleRule}`);
  }
  return `${parts.join('\n')}\n`;
}

export function taskFormulaLines({ formulas }: TaskReport): string {
  const lines = Object.entries(formulas).map(([name, formula]) => `  ${name} = ${formula}`);
  return `Formulas\n${lines.join('\n')}\n`;
}

/** Three digits, in seconds up to a quarter of an hour: 520 s says more than 8.67 min beside 40.0 s. */
export function formatDuration(ms: number | null): string {
  if (ms === null) return MISSING;
  if (ms === 0) return '0 s';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 999_500) return `${(ms / 1000).toPrecision(3)} s`;
  if (ms < 6_000_000) return `${(ms / 60_000).toPrecision(3)} min`;
  return `${(ms / 3_600_000).toPrecision(3)} h`;
}

export function formatMoney(value: number | null): string {
  if (value === null) return MISSING;
  return value !== 0 && value < 0.1 ? value.toPrecision(2) : value.toFixed(2);
}

const SPREAD_HEAD = ['lane', 'class', 'tasks', 'first useful diff p50', 'p95', 'end to end p50', 'p95'];

function spreadCells(row: ReportRow): string[] {
  return [...nameCells(row), ...spread(row.firstDiff), ...spread(row.endToEnd)];
}

export function spread({ medianMs, p95Ms, count }: Spread): [string, string] {
  const p95 = count === 0 ? MISSING : p95Ms === null ? 'refused' : formatDuration(p95Ms);
  return [count === 0 ? MISSING : `${formatDuration(medianMs)} (${count})`, p95];
}

const PHASE_HEAD = ['lane', 'class', 'tasks', ...PHASES.map((phase) => `T_${phase}`), 'T_total'];

function phaseCells(row: ReportRow): string[][] {
  const { phaseMeanMs, phaseShare, totalMeanMs, timedCount } = row;
  return [
    [
      ...nameCells(row).slice(0, 2),
      String(timedCount),
      ...PHASES.map((phase) => formatDuration(phaseMeanMs[phase])),
      formatDuration(totalMeanMs),
    ],
    ['', '', '', ...PHASES.map((phase) => formatShare(phaseShare![phase])), formatShare(1)],
  ];
}

const OUTCOME_HEAD = [
  ...['lane', 'class', 'tasks', 'accepted', 'reverted', 'open'],
  ...['first pass', 'rollback', 'rework cycles', 'cost per accepted', 'derived'],
];

function outcomeCells(row: ReportRow): string[] {
  const { acceptedCount, revertedCount, openCount, firstPass, rollback, reworkCycles, costPerAccepted } = row;
  return [
    ...nameCells(row),
    ...[acceptedCount, revertedCount, openCount].map(String),
    rate(firstPass, formatShare),
    rate(rollback, formatShare),
    rate(reworkCycles, (value) => value.toFixed(2)),
    rate(costPerAccepted, formatMoney),
    `${row.derivedCount} of ${row.taskCount}`,
  ];
}

export function rate({ value, count }: Rate, format: (value: number) => string): string {
  return value === null ? MISSING : `${format(value)} (${count})`;
}

function fasterLines(rows: readonly ReportRow[]): string[] {
  const lines = rows.flatMap((row) => (row.faster === null ? [] : [fasterText(row)]));
  return lines.length === 0 ? [] : ['', 'A FASTER MODEL, ALL ELSE AS IT WAS', ...lines];
}

export function fasterText({ lane, taskClass, faster, phaseMeanMs, totalMeanMs }: ReportRow): string {
  const { factor, modelMs, totalMs, shorterShare } = faster!;
  const times = String(+factor.toPrecision(3));
  const model = `T_model ${formatDuration(phaseMeanMs.model)} to ${formatDuration(modelMs)}`;
  const whole = `T_total ${formatDuration(totalMeanMs)} to ${formatDuration(totalMs)}`;
  const whose = lane === ALL ? 'all lanes' : `${lane}, ${taskClass}`;
  return `${whose}, ${times} times as fast: ${model}, ${whole}: ${formatShare(shorterShare)} shorter`;
}

function nameCells({ lane, taskClass, taskCount }: ReportRow): string[] {
  return [lane, taskClass, String(taskCount)];
}

function dayText(ms: number | null): string {
  return ms === null ? MISSING : new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}
