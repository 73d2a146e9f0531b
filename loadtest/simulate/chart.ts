// The studies' charts, drawn by Observable Plot into static SVG: lines, stacked areas, heat maps, bars. Each is a picture with its
// title; colours may be variables of the page's style sheet.
import * as Plot from '@observablehq/plot';
import { escaped } from '../show/page-frame.ts';
import { draw } from '../show/plot.ts';

export const COLOURS = ['#3e63dd', '#f76b15', '#30a46c', '#e5484d', '#8e4ec6', '#12a594'];
export const PART_COLOURS = [
  ...['#4e79a7', '#f28e2b', '#59a14f', '#e15759', '#b07aa1'],
  ...['#76b7b2', '#edc948', '#9c755f', '#ff9da7', '#bab0ac'],
];
const WIDTH = 430;
const HEIGHT = 230;
const DOTS_MAX = 120; // more points are a line only

interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Series {
  readonly name: string;
  readonly colour: string; // CSS
  readonly points: readonly Point[];
}

export interface Axes {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly logX?: boolean;
  readonly logY?: boolean;
  readonly yMax?: number;
  readonly xTicks?: readonly number[]; // where each is a value of its own
  readonly shaded?: readonly ChartSpan[];
}

/** A stretch of x in which something happened. */
export interface ChartSpan {
  readonly from: number;
  readonly to: number;
}

/** One part of a bar, or of a region. */
export interface ChartPart {
  readonly name: string;
  readonly colour: string;
  readonly value: number;
}

/** Lines, with points where there are few. */
export function lineChart(axes: Axes, series: readonly Series[]): string {
  const rows = rowsOf(series).filter(
    ({ x, y }) => (axes.logX !== true || x > 0) && (axes.logY !== true || y > 0),
  );
  const dots = rows.length <= DOTS_MAX ? [Plot.dot(rows, { x: 'x', y: 'y', fill: 'name', r: 2.6 })] : [];
  return chart(axes, series, [
    Plot.line(rows, { x: 'x', y: 'y', z: 'name', stroke: 'name', strokeWidth: 1.8 }),
    ...dots,
  ]);
}

/** Shares on top of each other. All series have the same x. */
export function stackedAreaChart(axes: Axes, series: readonly Series[]): string {
  return chart(axes, series, [
    Plot.areaY(rowsOf(series), {
      x: 'x',
      y: 'y',
      fill: 'name',
      fillOpacity: 0.8,
      order: series.map(({ name }) => name),
    }),
  ]);
}

/** Values in [0, 1] as cells over time: row 0 on top. */
export function heatMap(
  axes: Axes,
  cells: { readonly values: readonly (readonly number[])[]; readonly xMax: number; readonly colour: string },
): string {
  const { values, xMax, colour } = cells;
  const columns = Math.max(1, ...values.map((row) => row.length));
  const rects = values.flatMap((row, y) =>
    row.map((value, at) => ({
      x1: (at * xMax) / columns,
      x2: ((at + 1) * xMax) / columns,
      y1: y,
      y2: y + 1,
      value,
    })),
  );
  const marks = [
    Plot.rect(rects, {
      x1: 'x1',
      x2: 'x2',
      y1: 'y1',
      y2: 'y2',
      fill: colour,
      fillOpacity: 'value',
      inset: 0,
    }),
    Plot.frame({ strokeOpacity: 0.4 }),
  ];
  const y = { label: axes.y, domain: [values.length, 0] };
  const options = { x: { label: axes.x, domain: [0, xMax] }, y, opacity: { domain: [0, 1], range: [0, 1] } };
  return titled(axes.title, draw({ width: WIDTH, height: HEIGHT, ...options, marks }));
}

/** Horizontal bars of parts, one bar per row, all to one scale. */
export function stackedBars(
  unit: string,
  rows: readonly { readonly name: string; readonly parts: readonly ChartPart[] }[],
): string {
  const bars = rows.flatMap(({ name, parts }) => {
    let start = 0;
    return parts.map(({ name: part, value }) => {
      const bar = {
        row: name,
        part,
        x1: start,
        x2: start + value,
        title: `${part}: ${short(value)} ${unit}`,
      };
      start += value;
      return bar;
    });
  });
  const colours = new Map(rows.flatMap(({ parts }) => parts).map(({ name, colour }) => [name, colour]));
  const ends = rows.map(({ name, parts }) => ({
    row: name,
    x: parts.reduce((sum, { value }) => sum + value, 0),
  }));
  return draw({
    height: 70 + rows.length * 36,
    ...{ marginLeft: 110, marginRight: 90 },
    x: { label: unit },
    y: { label: null, domain: rows.map(({ name }) => name), padding: 0.25 },
    color: { legend: true, domain: [...colours.keys()], range: [...colours.values()] },
    marks: [
      Plot.barX(bars, { x1: 'x1', x2: 'x2', y: 'row', fill: 'part', title: 'title' }),
      Plot.text(ends, {
        x: 'x',
        y: 'row',
        text: ({ x }) => `${short(x)} ${unit}`,
        dx: 6,
        textAnchor: 'start',
      }),
    ],
  });
}

/** Names with their colours, as HTML. */
export function legendHtml(entries: readonly { readonly name: string; readonly colour: string }[]): string {
  const items = entries.map(
    ({ name, colour }) => `<span class="key"><i style="background:${colour}"></i>${escaped(name)}</span>`,
  );
  return `<p class="legend">${items.join('')}</p>`;
}

function rowsOf(series: readonly Series[]): (Point & { readonly name: string })[] {
  return series.flatMap(({ name, points }) => points.map((point) => ({ name, ...point })));
}

function chart({ title, ...axes }: Axes, series: readonly Series[], marks: Plot.Markish[]): string {
  const scale = (log: boolean | undefined) => ({
    ...(log === true && { type: 'log' as const }),
    tickFormat: short,
    ticks: 5,
  });
  const domain = axes.yMax === undefined ? {} : { domain: [0, axes.yMax] };
  const ticks = axes.xTicks === undefined ? {} : { ticks: axes.xTicks };
  const shaded = Plot.rectX(axes.shaded ?? [], {
    x1: 'from',
    x2: 'to',
    fill: 'currentColor',
    fillOpacity: 0.08,
  });
  return titled(
    title,
    draw({
      ...{ width: WIDTH, height: HEIGHT, marginLeft: 50 },
      x: { label: axes.x, ...scale(axes.logX), ...ticks },
      y: { label: axes.y, ...scale(axes.logY), ...domain },
      color: {
        legend: series.length > 1,
        domain: series.map(({ name }) => name),
        range: series.map(({ colour }) => colour),
      },
      marks: [shaded, Plot.gridY({ strokeOpacity: 0.12 }), ...marks],
    }),
  );
}

function titled(title: string, picture: string): string {
  return `<div class="chart"><h3>${escaped(title)}</h3>${picture}</div>`;
}

/** 1234 → 1.23k */
function short(value: number): string {
  const size = Math.abs(value);
  const [divisor, unit] = size >= 1e6 ? [1e6, 'M'] : size >= 1e3 ? [1e3, 'k'] : [1, ''];
  return `${Number((value / divisor).toPrecision(3))}${unit}`;
}
