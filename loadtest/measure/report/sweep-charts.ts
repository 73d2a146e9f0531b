// Curves of a sweep: what all users get together, and how long each waits, against the load. Static SVG.
import * as Plot from '@observablehq/plot';
import { draw, nothing } from '../../show/plot.ts';
import type { SweepReport } from '../runs/report-schema.ts';
import { latencyOf } from '../runs/run-report.ts';

const COLOURS = ['#3e63dd', '#30a46c', '#f76b15', '#8e4ec6'];

interface CurvePoint {
  readonly load: number;
  readonly name: string;
  readonly value: number;
}

export function throughputCurves({ points, loadName }: SweepReport): string {
  const rows = points.flatMap(({ load, report: { rates } }) => [
    { load, name: 'requests/s', value: rates.requestsPerSecond },
    { load, name: 'good requests/s', value: rates.goodputPerSecond.value },
    { load, name: 'tokens/s', value: rates.tokensPerSecond },
  ]);
  return curves(rows, loadName, 'per second');
}

export function latencyCurves({ points, loadName }: SweepReport): string {
  const rows = points.flatMap(({ load, report }) =>
    (['e2e', 'tpot'] as const).flatMap((key) => {
      const { name, quantiles } = latencyOf(report, key);
      return quantiles
        .filter(({ q }) => q === 0.5 || q === 0.9)
        .map(({ q, ms }) => ({ load, name: `${name} p${q * 100}`, value: ms }));
    }),
  );
  return curves(rows, loadName, 'milliseconds');
}

function curves(
  rows: readonly { readonly load: number; readonly name: string; readonly value: number | null }[],
  loadName: string,
  unit: string,
): string {
  const shown = rows
    .filter((row): row is CurvePoint => row.value !== null && row.value > 0)
    .sort((a, b) => a.load - b.load);
  if (shown.length === 0) return nothing('too few answers at every load');
  const digits = (value: number) => String(+value.toPrecision(3));
  return draw({
    height: 300,
    x: { type: 'log', label: loadName, tickFormat: digits, ticks: 6 },
    y: { type: 'log', label: unit, tickFormat: digits, ticks: 6 },
    color: { legend: true, domain: [...new Set(shown.map(({ name }) => name))], range: COLOURS },
    marks: [
      Plot.gridY({ strokeOpacity: 0.12 }),
      Plot.line(shown, { x: 'load', y: 'value', z: 'name', stroke: 'name', strokeWidth: 2 }),
      Plot.dot(shown, {
        ...{ x: 'load', y: 'value', fill: 'name', r: 3 },
        title: (row: CurvePoint) => `${digits(row.load)} ${loadName}, ${row.name}: ${digits(row.value)}`,
      }),
    ],
  });
}
