// FleetReport: a fleet study as a table and as one self-contained page. Draws what fleet-study.ts has found; counts nothing.
import { formatMs, formatShare } from '../../show/format.ts';
import { escaped, framedPage, section } from '../../show/page-frame.ts';
import { table } from '../../show/text-table.ts';
import { COLOURS, lineChart } from '../chart.ts';
import type { FailureWave } from './fleet.ts';
import type { FleetRow } from './fleet-job.ts';
import { POLICIES } from './router.ts';

/** What the study rests on, in one line each. */
export interface FleetHead {
  readonly title: string;
  readonly notes: readonly string[];
  readonly waves: readonly FailureWave[];
}

const columns = [
  ...['nodes', 'policy', 'turns', 'cached', 'TTFT p50', 'TTFT p99', 'TPOT', 'good'],
  ...['good turns/s', 'of a node', 'imbalance', 'asked again'],
];

export function formatFleet({ title, notes }: Omit<FleetHead, 'waves'>, rows: readonly FleetRow[]): string {
  const cells = rows.map((row) => [
    ...[row.pools ?? String(row.nodeCount), row.policy, String(row.turnCount), formatShare(row.cachedShare)],
    ...[formatMs(row.ttftP50Ms), formatMs(row.ttftP99Ms), formatMs(row.tpotMeanMs)],
    ...[formatShare(row.goodShare), row.goodputPerSecond.toFixed(2), row.goodputPerNode.toFixed(3)],
    ...[row.imbalance.toFixed(2), String(row.retryCount)],
  ]);
  return `simulated: ${title}\n${notes.map((note) => `  (${note})\n`).join('')}${table(columns, cells)}\n`;
}

export function fleetPage(head: FleetHead, rows: readonly FleetRow[]): string {
  const sizes = [...new Set(rows.map(({ nodeCount }) => nodeCount))];
  const bySize = (y: (row: FleetRow) => number | null) =>
    seriesOf(rows, (own) =>
      own.flatMap((row) => {
        const value = y(row);
        return value === null ? [] : [{ x: row.nodeCount, y: value }];
      }),
    );
  const x = { x: 'nodes', logX: true, xTicks: sizes };
  const charts = [
    lineChart(
      { title: 'Prompt tokens found cached', ...x, y: '%', yMax: 100 },
      bySize(({ cachedShare }) => cachedShare * 100),
    ),
    lineChart(
      { title: 'First token, p99', ...x, y: 'ms' },
      bySize(({ ttftP99Ms }) => ttftP99Ms),
    ),
    lineChart(
      { title: 'Good turns of a node', ...x, y: 'per second' },
      bySize(({ goodputPerNode }) => goodputPerNode),
    ),
    lineChart(
      { title: 'Busiest node over the mean', ...x, y: 'prompt tokens computed' },
      bySize(({ imbalance }) => imbalance),
    ),
  ];
  const overTime = sizes.map((size) =>
    timeSection(
      size,
      rows.filter(({ nodeCount }) => nodeCount === size),
      head.waves,
    ),
  );
  const body = [
    section('Side by side', '', `<pre>${escaped(formatFleet(head, rows))}</pre>`),
    ...(sizes.length > 1
      ? [
          section(
            'Larger fleets, the same load for each node',
            '',
            `<div class="grid2">${charts.join('')}</div>`,
          ),
        ]
      : []),
    ...overTime,
  ];
  return framedPage(
    head.title,
    `<p class="soft">Simulated. ${head.notes.map(escaped).join('. ')}</p>`,
    body.join('\n'),
  );
}

function timeSection(size: number, rows: readonly FleetRow[], waves: readonly FailureWave[]): string {
  const over = (y: (window: FleetRow['windows'][number]) => number | null) =>
    seriesOf(rows, (own) =>
      own[0]!.windows.flatMap((window) => {
        const value = y(window);
        return value === null ? [] : [{ x: window.atMs / minute, y: value }];
      }),
    );
  const shaded = waves.map(({ atMs, downMs }) => ({ from: atMs / minute, to: (atMs + downMs) / minute }));
  const x = { x: 'minutes', shaded };
  const charts = [
    lineChart(
      { title: 'Good turns', ...x, y: '%', yMax: 100 },
      over(({ goodShare }) => scaled(goodShare, 100)),
    ),
    lineChart(
      { title: 'Cached', ...x, y: '%', yMax: 100 },
      over(({ cachedShare }) => scaled(cachedShare, 100)),
    ),
    lineChart(
      { title: 'First token, mean', ...x, y: 'ms', logY: true },
      over(({ ttftMeanMs }) => ttftMeanMs),
    ),
    lineChart(
      { title: 'Turns answered', ...x, y: 'in the window' },
      over(({ turnCount }) => turnCount),
    ),
  ];
  return section(
    `${size} nodes over time`,
    waves.length === 0 ? '' : 'Shaded: nodes are lost.',
    `<div class="grid2">${charts.join('')}</div>`,
  );
}

const minute = 60_000; // in ms

function scaled(share: number | null, by: number): number | null {
  return share === null ? null : share * by;
}

function seriesOf(
  rows: readonly FleetRow[],
  points: (own: readonly FleetRow[]) => { readonly x: number; readonly y: number }[],
) {
  return POLICIES.flatMap((policy, index) => {
    const own = rows.filter((row) => row.policy === policy);
    return own.length === 0 ? [] : [{ name: policy, colour: COLOURS[index]!, points: points(own) }];
  });
}
