// The report about tasks as one HTML page: no script, nothing fetched. Lays out what charts.ts draws beside the numbers.
// Pure: a string out.
import { PHASES } from '../../server/outcomes/task-record.ts';
import { formatShare, MISSING } from '../show/format.ts';
import { definitions, htmlTable, tiles } from '../show/markup.ts';
import { escaped, framedPage, section } from '../show/page-frame.ts';
import { nameOf, outcomeBars, phaseBars, speedCurves, taskTimes } from './charts.ts';
import { fasterText, formatDuration, formatMoney, rate, spread } from './table.ts';
import type { ReportRow, TaskReport } from './task-report.ts';

export interface PageFacts {
  readonly source: string; // file that was read
  readonly command: string;
  readonly madeAt: string; // ISO 8601
  readonly version: string; // of sparklane
}

export function outcomesPage(report: TaskReport, facts: PageFacts): string {
  const { rows } = report;
  const sections = [
    section(
      'Where the time goes',
      'T_total = T_plan + T_model + T_tools + T_verify + T_review + T_rework, mean of the tasks; a faster model shortens one part of it.',
      phaseBars(report) + phaseTable(rows),
    ),
    section(
      'What a faster model brings',
      'T_total if the model were so many times as fast and all else stayed as it was. Dashed: what no model can shorten.',
      speedCurves(report) + fasterList(rows),
    ),
    section(
      'Time to a change',
      'Each dot is a task; the tick is the median of its lane.',
      taskTimes(report) + spreadTable(report),
    ),
    section(
      'What became of it',
      'A change counts when it was accepted and stands; the cost of those that failed is shared by those that stand.',
      outcomeBars(report) + outcomeTable(rows),
    ),
    section('Formulas', '', definitions(Object.entries(report.formulas))),
    section(
      'Provenance',
      '',
      definitions([
        ['source', facts.source],
        ['command', facts.command],
        ['made', facts.madeAt],
        ['sparklane', facts.version],
      ]),
    ),
  ];
  const day = (ms: number | null) => (ms === null ? MISSING : new Date(ms).toISOString().slice(0, 10));
  const header = `<p class="soft">${report.taskCount} tasks, ${day(report.fromMs)} to ${day(report.toMs)}</p>${summaryTiles(report)}`;
  return framedPage('Outcomes', header, sections.join('\n'));
}

/** The last row is the sum of all where there are several. */
function summaryTiles({ rows }: TaskReport): string {
  const last = rows.at(-1);
  if (last === undefined) return '';
  const { firstDiff, endToEnd, firstPass, rollback, costPerAccepted } = last;
  const shown: [string, string, string][] = [
    ['First useful diff', formatDuration(firstDiff.medianMs), `median of ${firstDiff.count} tasks`],
    ['End to end', formatDuration(endToEnd.medianMs), `median of ${endToEnd.count} accepted tasks`],
    ['First-pass acceptance', formatShare(firstPass.value), `of ${firstPass.count} decided tasks`],
    ['Rolled back', formatShare(rollback.value), `of ${rollback.count} decided tasks`],
    [
      'Cost per accepted',
      formatMoney(costPerAccepted.value),
      `of ${costPerAccepted.count} changes that stand`,
    ],
  ];
  return tiles(shown);
}

function phaseTable(rows: readonly ReportRow[]): string {
  const timed = rows.filter(({ phaseShare }) => phaseShare !== null);
  if (timed.length === 0) return '';
  const body = timed.map((row) => [
    nameOf(row),
    String(row.timedCount),
    ...PHASES.map(
      (phase) => `${formatDuration(row.phaseMeanMs[phase])}\n${formatShare(row.phaseShare![phase])}`,
    ),
    formatDuration(row.totalMeanMs),
  ]);
  return htmlTable(['lane, class', 'tasks', ...PHASES, 'total'], body);
}

function fasterList(rows: readonly ReportRow[]): string {
  const shown = rows.filter(({ faster }) => faster !== null);
  return shown.map((row) => `<p>${escaped(fasterText(row))}</p>`).join('');
}

function spreadTable({ rows, sampleRule }: TaskReport): string {
  const body = rows.map((row) => [
    nameOf(row),
    String(row.taskCount),
    ...spread(row.firstDiff),
    ...spread(row.endToEnd),
  ]);
  const head = ['lane, class', 'tasks', 'first diff p50 (n)', 'p95', 'end to end p50 (n)', 'p95'];
  return `${htmlTable(head, body)}<p class="soft">${escaped(sampleRule)}.</p>`;
}

function outcomeTable(rows: readonly ReportRow[]): string {
  const body = rows.map((row) => [
    nameOf(row),
    String(row.taskCount),
    rate(row.firstPass, formatShare),
    rate(row.rollback, formatShare),
    rate(row.reworkCycles, (value) => value.toFixed(2)),
    rate(row.costPerAccepted, formatMoney),
    String(row.derivedCount),
  ]);
  const head = [
    'lane, class',
    'tasks',
    'first pass (n)',
    'rollback (n)',
    'rework cycles (n)',
    'cost per accepted (n)',
    'derived',
  ];
  return `${htmlTable(head, body)}<p class="soft">derived: tasks of which their traffic alone tells.</p>`;
}
