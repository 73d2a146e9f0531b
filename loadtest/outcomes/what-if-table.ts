// The answer of `sparklane whatif` as text for a terminal. Pure: a string out.
import { formatInterval, formatShare, MISSING } from '../show/format.ts';
import { columns } from '../show/text-table.ts';
import { formatDuration, formatMoney } from './table.ts';
import type { Change, Move, WhatIfReport } from './what-if.ts';

export function whatIfTable(report: WhatIfReport): string {
  const { requestCount, taskCount, policy, recordedPolicies, pinnedCount, movedCount } = report;
  if (requestCount === 0) {
    return 'no routed request is recorded: serve with --lanes and --outcomes-db, or import tasks with requests\n';
  }
  return [
    `policy ${policy} over ${requestCount} requests of ${taskCount} tasks, recorded under ${recordedPolicies.join(', ')}`,
    `${movedCount} move, ${requestCount - movedCount - pinnedCount} stay, ${pinnedCount} had named their lane and stay`,
    '',
    ...(report.moves.length === 0 ? [] : [...columns([MOVE_HEAD, ...report.moves.map(moveCells)], 3), '']),
    ...columns(
      [
        CHANGE_HEAD,
        changeCells('waiting for models', report.modelMs, formatDuration),
        changeCells('T_total of the tasks', report.totalMs, formatDuration),
        changeCells('cost', report.cost, formatMoney),
      ],
      1,
    ),
    '',
    ...columns([LANE_HEAD, ...report.lanes.map(laneCells)], 1),
    '',
    ...noteLines(report),
    '',
  ].join('\n');
}

const MOVE_HEAD = ['from', 'to', 'rule', 'requests', 'tasks', 'extrapolated'];

function moveCells({ from, to, rule, requestCount, taskCount, extrapolatedCount, known }: Move): string[] {
  const extrapolated = known ? String(extrapolatedCount) : 'nothing known';
  return [from, to, rule, String(requestCount), String(taskCount), extrapolated];
}

const CHANGE_HEAD = ['', 'recorded', 'would be', 'change', '95 %'];

function changeCells(name: string, change: Change, format: (value: number) => string): string[] {
  const interval = formatInterval(change.interval, signed) || (change.change === null ? '' : 'too few tasks');
  const changed = change.change === null ? MISSING : signed(change.change);
  return [name, format(change.recorded), format(change.estimated), changed, interval];
}

function signed(share: number): string {
  const text = formatShare(share);
  return share > 0 ? `+${text}` : text;
}

const LANE_HEAD = ['lane, as recorded', 'requests', 'base', 'per output token', 'cost per 1000 tokens'];

function laneCells({ lane, count, rate }: WhatIfReport['lanes'][number]): string[] {
  const { baseMs, msPerToken, costPerToken } = rate;
  const perToken = `${+msPerToken.toPrecision(3)} ms`;
  return [
    lane,
    String(count),
    formatDuration(baseMs),
    perToken,
    String(+(costPerToken * 1000).toPrecision(3)),
  ];
}

function noteLines({
  moves,
  unknownWords,
  unendedCount,
  assumptions,
  seed,
  resamples,
}: WhatIfReport): string[] {
  const notes: string[] = assumptions.map((text) => `assumed: ${text}`);
  const strange = moves.filter(({ known }) => known).reduce((sum, move) => sum + move.extrapolatedCount, 0);
  if (strange > 0) {
    notes.push(
      `extrapolated: ${strange} requests are of a class that their new lane never had in the record`,
    );
  }
  for (const lane of new Set(moves.filter(({ known }) => !known).map(({ to }) => to))) {
    notes.push(
      `nothing known: ${lane} has no requests in the record; those that would move there are left as they were`,
    );
  }
  if (unknownWords.length > 0) {
    notes.push(`not recorded: words.${unknownWords.join(', words.')} of the policy; they count as absent`);
  }
  if (unendedCount > 0) notes.push(`left out of time and cost: ${unendedCount} requests without an end`);
  return [...notes, `seed ${seed}, ${resamples} resamples`];
}
