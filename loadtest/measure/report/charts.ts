// The report's charts, drawn by Observable Plot into static SVG: the page needs no script, no network and prints well.
// Each function takes report data and returns markup; text next to the charts is page.ts's.
import * as Plot from '@observablehq/plot';
import { formatMs, formatShare } from '../../show/format.ts';
import { draw, nothing } from '../../show/plot.ts';
import { STALL_BOUNDS_MS } from '../../statistics/heat-map.ts';
import type { LatencyKey } from '../runs/latencies.ts';
import type { ComparisonReport, RunReport, SweepReport, TurnSample } from '../runs/report-schema.ts';
import { latencyOf } from '../runs/run-report.ts';

const COLOURS = ['#3e63dd', '#e5484d', '#30a46c', '#f76b15', '#8e4ec6'];
const WAIT_COLOUR = '#f5d90a';
const STREAM_COLOUR = '#3e63dd';
const BAD_COLOUR = '#e5484d';
const QUANTILE_LINES = [0.5, 0.9, 0.99];

/** Distribution functions of the per-turn latencies, logarithmic in time. */
export function latencyCdf(report: RunReport): string {
  const keys: LatencyKey[] = ['ttft', 'ttfo', 'itlBurst', 'tpot', 'stall', 'e2e'];
  const summaries = keys.map((key) => latencyOf(report, key)).filter(({ count }) => count > 1);
  // TTFO is TTFT where nothing reasons: one of two equal lines is enough.
  const [ttft, ttfo] = [latencyOf(report, 'ttft'), latencyOf(report, 'ttfo')];
  const shown = summaries.filter(({ key }) => key !== 'ttfo' || ttfo.meanMs !== ttft.meanMs);
  const points = shown.flatMap(({ name, cdf }) =>
    cdf.map(({ ms, share }) => ({ name, ms: Math.max(ms, 0.01), share })),
  );
  if (points.length === 0) return nothing('no latencies');
  // The axis begins where the first percents are: a single tiny gap would squeeze everything else.
  const lowMs = Math.min(...points.filter(({ share }) => share >= 0.03).map(({ ms }) => ms));
  const highMs = Math.max(...points.map(({ ms }) => ms));
  return draw({
    height: 360,
    x: {
      type: 'log',
      label: 'milliseconds',
      domain: [lowMs * 0.8, Math.max(highMs, lowMs * 2) * 1.05],
      clamp: true,
      tickFormat: tickMs,
      ticks: 8,
    },
    y: { label: 'share of values at or below', domain: [0, 1], tickFormat: '%' },
    color: { legend: true, domain: shown.map(({ name }) => name), range: [...COLOURS, '#12a594'] },
    marks: [
      Plot.gridY({ strokeOpacity: 0.12 }),
      Plot.ruleY(QUANTILE_LINES, { strokeDasharray: '2,4', strokeOpacity: 0.5 }),
      Plot.text(QUANTILE_LINES, {
        y: (q: number) => q,
        text: (q: number) => `p${q * 100}`,
        frameAnchor: 'left',
        dx: 4,
        dy: -6,
        textAnchor: 'start',
        fillOpacity: 0.6,
      }),
      Plot.ruleX(
        report.slo.filter(({ metric }) => metric === 'ttft'),
        { x: 'msMax', stroke: BAD_COLOUR, strokeDasharray: '4,3' },
      ),
      Plot.line(points, { x: 'ms', y: 'share', stroke: 'name', strokeWidth: 2, curve: 'monotone-x' }),
    ],
  });
}

/** TTFT against load: the runs of a sweep, or, in a single run, each turn against how many were under way. */
export function ttftAgainstLoad(runs: readonly RunReport[], sweep: SweepReport | null): string {
  if (sweep !== null && sweep.points.length > 1) return sweepCurve(sweep);
  const samples = runs.flatMap((run) => run.samples).filter(({ ttftMs }) => ttftMs !== null);
  if (samples.length === 0) return nothing('no turn had a first token');
  return draw({
    height: 320,
    x: { label: 'turns under way when it was sent', ticks: 8 },
    y: { type: 'log', label: 'TTFT, milliseconds', tickFormat: tickMs, ticks: 6 },
    color: { legend: true, domain: ['good', 'missed'], range: [STREAM_COLOUR, BAD_COLOUR] },
    marks: [
      Plot.gridY({ strokeOpacity: 0.12 }),
      Plot.dot(samples, {
        x: (turn: TurnSample) =>
          turn.inFlight + (((turn.session * 7919 + turn.turn * 104729) % 100) / 100 - 0.5) * 0.6,
        y: (turn: TurnSample) => Math.max(0.05, turn.ttftMs!),
        stroke: (turn: TurnSample) => (turn.good ? 'good' : 'missed'),
        strokeOpacity: 0.55,
        r: 2.2,
        title: (turn: TurnSample) => `session ${turn.session}, turn ${turn.turn}: ${formatMs(turn.ttftMs)}`,
      }),
    ],
  });
}

function sweepCurve({ points, kneeLoad, capacity, loadName }: SweepReport): string {
  const rows = points.flatMap(({ load, report }) =>
    latencyOf(report, 'ttft').quantiles.map(({ q, ms, interval }) => ({
      load,
      name: `p${q * 100}`,
      ms,
      interval,
    })),
  );
  const shown = rows.filter(({ ms }) => ms !== null).sort((a, b) => a.load - b.load);
  if (shown.length === 0) return nothing('too few turns per load to state a quantile');
  const marks: Plot.Markish[] = [
    Plot.gridY({ strokeOpacity: 0.12 }),
    Plot.link(
      shown.filter(({ interval }) => interval !== null),
      {
        x: 'load',
        y1: (row) => Math.max(0.05, row.interval.low),
        y2: (row) => row.interval.high,
        stroke: 'name',
        strokeOpacity: 0.4,
        strokeWidth: 4,
      },
    ),
    Plot.line(shown, { x: 'load', y: 'ms', stroke: 'name', strokeWidth: 2 }),
    Plot.dot(shown, {
      x: 'load',
      y: 'ms',
      fill: 'name',
      r: 3,
      title: (row) => `${row.load} ${loadName}, ${row.name}: ${formatMs(row.ms)}`,
    }),
  ];
  if (kneeLoad !== null) marks.push(...verticalLabel(kneeLoad, 'knee', -8));
  if (capacity?.load != null) marks.push(...verticalLabel(capacity.load, 'capacity', 6));
  return draw({
    height: 340,
    x: { type: 'log', label: loadName, tickFormat: (load: number) => String(+load.toPrecision(3)), ticks: 6 },
    y: { type: 'log', label: 'TTFT, milliseconds', tickFormat: tickMs, ticks: 6 },
    color: { legend: true, domain: ['p50', 'p90', 'p95', 'p99'], range: COLOURS },
    marks,
  });
}

function verticalLabel(x: number, text: string, dy: number): Plot.Markish[] {
  return [
    Plot.ruleX([x], { strokeDasharray: '4,3', strokeOpacity: 0.7 }),
    Plot.text([text], {
      x: () => x,
      frameAnchor: 'top',
      text: (label: string) => label,
      dx: 4,
      dy: dy + 10,
      textAnchor: 'start',
    }),
  ];
}

/** One lane per session: waiting, streaming, and the gaps between. */
export function swimLanes({ lanes, windowMs, provenance }: RunReport): string {
  if (lanes.length === 0) return nothing('no session');
  const endMs = Math.max(...lanes.flatMap(({ turns }) => turns.map((turn) => turn.endMs)), 1);
  const bars = lanes.flatMap((lane, at) =>
    lane.turns.flatMap((turn) => {
      const y = `${at + 1} ${shortened(lane.name)}`;
      const failed = turn.outcome !== 'ok' && turn.outcome !== 'interrupted';
      const firstMs = turn.firstMs ?? turn.endMs;
      const title = `${lane.name}: wait ${formatMs(firstMs - turn.intendedMs)}, stream ${formatMs(turn.endMs - firstMs)}, ${turn.outcome}${turn.good ? '' : ', missed'}`;
      return [
        { y, x1: turn.intendedMs, x2: firstMs, phase: failed ? 'failed' : 'waiting', title },
        {
          y,
          x1: firstMs,
          x2: turn.endMs,
          phase: failed ? 'failed' : turn.outcome === 'interrupted' ? 'interrupted' : 'streaming',
          title,
        },
      ];
    }),
  );
  const seconds = bars.map((bar) => ({
    ...bar,
    x1: bar.x1 / 1000,
    x2: Math.max(bar.x2, bar.x1 + endMs / 2000) / 1000,
  }));
  return draw({
    height: 70 + lanes.length * 17,
    marginLeft: 130,
    x: {
      label: 'seconds since the start of the run',
      domain: [0, (Math.max(endMs, windowMs * 0.2) / 1000) * 1.01],
    },
    y: { label: null, domain: lanes.map((lane, at) => `${at + 1} ${shortened(lane.name)}`), padding: 0.35 },
    color: {
      legend: true,
      domain: ['waiting', 'streaming', 'interrupted', 'failed'],
      range: [WAIT_COLOUR, STREAM_COLOUR, '#8e4ec6', BAD_COLOUR],
    },
    marks: [
      Plot.ruleY(
        lanes.map((lane, at) => `${at + 1} ${shortened(lane.name)}`),
        { strokeOpacity: 0.12 },
      ),
      Plot.barX(seconds, { x1: 'x1', x2: 'x2', y: 'y', fill: 'phase', title: 'title' }),
      Plot.ruleX([provenance.warmupMs / 1000], {
        strokeDasharray: '3,3',
        strokeOpacity: provenance.warmupMs > 0 ? 0.6 : 0,
      }),
    ],
  });
}

/** When answers stalled, and for how long. */
export function stallHeatMap({ stalls }: RunReport): string {
  if (stalls.length === 0) return nothing(`no gap between two bursts reached ${STALL_BOUNDS_MS[0]} ms`);
  const labels = STALL_BOUNDS_MS.map((bound, at) => {
    const next = STALL_BOUNDS_MS[at + 1];
    return next === undefined ? `≥ ${formatMs(bound)}` : `${formatMs(bound)} – ${formatMs(next)}`;
  });
  const cells = stalls.map((cell) => ({
    x1: cell.startMs / 1000,
    x2: (cell.startMs + cell.widthMs) / 1000,
    y: labels[STALL_BOUNDS_MS.indexOf(cell.boundMs as (typeof STALL_BOUNDS_MS)[number])]!,
    count: cell.count,
  }));
  return draw({
    height: 300,
    marginLeft: 110,
    x: { label: 'seconds since the start of the run' },
    y: { label: null, domain: [...labels].reverse(), padding: 0.06 },
    color: {
      type: 'threshold',
      domain: thresholdsFor(cells.map(({ count }) => count)),
      scheme: 'YlOrRd',
      legend: true,
      label: 'gaps per cell',
    },
    marks: [
      Plot.barX(cells, {
        x1: 'x1',
        x2: 'x2',
        y: 'y',
        fill: 'count',
        insetLeft: 0.3,
        insetRight: 0.3,
        title: (cell) => `${cell.count} gaps of ${cell.y} at ${cell.x1} s`,
      }),
    ],
  });
}

/** How many turns would be good under other objectives: TTFT across, longest stall down. */
export function sloMatrix({ samples, slo }: RunReport): string {
  if (samples.length === 0) return nothing('no turn was counted');
  const ttftBounds = [50, 100, 200, 500, 1000, 2000, 5000];
  const stallBounds = [20, 50, 100, 200, 500, 1000, 2000];
  const cells = ttftBounds.flatMap((ttftMs) =>
    stallBounds.map((stallMs) => {
      const good = samples.filter(
        (turn) => !turn.failed && (turn.ttftMs ?? 0) <= ttftMs && (turn.stallMs ?? 0) <= stallMs,
      ).length;
      return { x: formatMs(ttftMs), y: formatMs(stallMs), share: good / samples.length };
    }),
  );
  const own = slo.map(({ metric, msMax }) => `${metric} ≤ ${formatMs(msMax)}`).join(', ');
  return draw({
    height: 320,
    marginLeft: 80,
    marginBottom: 44,
    x: {
      label: `TTFT at most (this run's objective: ${own})`,
      domain: ttftBounds.map(formatMs),
      labelAnchor: 'center',
    },
    y: { label: 'longest stall at most', domain: [...stallBounds].reverse().map(formatMs) },
    color: {
      type: 'threshold',
      domain: [0.5, 0.8, 0.9, 0.95, 0.99],
      range: ['#f3aeaf', '#f5d0a9', '#faeeb0', '#d8ecc0', '#a9dcb6', '#5bb98b'],
    },
    marks: [
      Plot.cell(cells, { x: 'x', y: 'y', fill: 'share', inset: 0.5 }),
      Plot.text(cells, { x: 'x', y: 'y', text: (cell) => formatShare(cell.share), fill: '#1c2024' }),
    ],
  });
}

/** The ratio of each metric with its interval, above the noise floor of the same day. */
export function forestPlot({ rows }: ComparisonReport): string {
  const points = rows.flatMap(({ metric, aOverB, aOverA, bOverB }) =>
    [
      { name: 'A / B', ratio: aOverB },
      { name: 'A / A (noise)', ratio: aOverA },
      { name: 'B / B (noise)', ratio: bOverB },
    ].flatMap(({ name, ratio }) =>
      ratio === null
        ? []
        : [
            {
              metric,
              name,
              value: ratio.ratio,
              low: ratio.interval?.low ?? ratio.ratio,
              high: ratio.interval?.high ?? ratio.ratio,
            },
          ],
    ),
  );
  if (points.length === 0) return nothing('no turn succeeded on both sides');
  return draw({
    height: 60 + rows.length * 66,
    marginLeft: 120,
    marginRight: 150,
    x: {
      type: 'log',
      label: 'ratio; below 1, A is faster',
      tickFormat: (ratio: number) => String(+ratio.toPrecision(3)),
      ticks: 6,
    },
    y: { label: null, domain: ['A / B', 'A / A (noise)', 'B / B (noise)'], axis: null },
    fy: { label: null, domain: rows.map(({ metric }) => metric), axis: 'left', padding: 0.15 },
    color: {
      legend: true,
      domain: ['A / B', 'A / A (noise)', 'B / B (noise)'],
      range: [STREAM_COLOUR, '#8b8d98', '#b9bbc6'],
    },
    marks: [
      Plot.ruleX([1], { strokeOpacity: 0.6 }),
      Plot.ruleY(points, { fy: 'metric', y: 'name', x1: 'low', x2: 'high', stroke: 'name', strokeWidth: 2 }),
      Plot.dot(points, { fy: 'metric', y: 'name', x: 'value', fill: 'name', r: 4.5 }),
      Plot.text(points, {
        fy: 'metric',
        y: 'name',
        frameAnchor: 'right',
        dx: 12,
        textAnchor: 'start',
        text: (point) => `${point.value.toFixed(3)} [${point.low.toFixed(3)}, ${point.high.toFixed(3)}]`,
      }),
    ],
  });
}

function tickMs(ms: number): string {
  if (ms >= 1000) return `${+(ms / 1000).toPrecision(2)} s`;
  return `${+ms.toPrecision(2)}`;
}

function shortened(name: string): string {
  return name.length > 16 ? `${name.slice(0, 15)}…` : name;
}

/** Rising bounds that spread the counts over five colours. */
function thresholdsFor(counts: readonly number[]): number[] {
  const most = Math.max(...counts);
  const bounds = [2, most ** 0.4, most ** 0.6, most ** 0.8].map((bound) => Math.max(2, Math.round(bound)));
  return [...new Set(bounds)].sort((a, b) => a - b);
}
