// Charts as SVG text, on d3's scales and shapes: lines, stacked areas, heat maps, bars, floorplans. Each function is
// pure: data in, one <svg> out. Colours are CSS variables, so that the page decides about light and dark.
import { type ScaleContinuousNumeric, scaleLinear, scaleLog } from 'd3-scale';
import { area, line } from 'd3-shape';

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
}

const width = 460;
const height = 250;
const margin = { top: 30, right: 14, bottom: 40, left: 56 };
const plot = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };

/** Lines with points, one per series; a legend if there are several. */
export function lineChart(axes: Axes, series: readonly Series[]): string {
  const points = series.flatMap((entry) => entry.points);
  const { x, y } = scales(axes, points);
  const draw = line<Point>()
    .x((point) => x(point.x))
    .y((point) => y(point.y));
  const dots = points.length <= dotsMax;
  const marks = series.map(({ colour, points: own }) => {
    const circles = dots
      ? own.map((p) => `<circle cx="${round(x(p.x))}" cy="${round(y(p.y))}" r="2.6" fill="${colour}"/>`)
      : [];
    return `<path d="${draw(own) ?? ''}" fill="none" stroke="${colour}" stroke-width="1.8"/>${circles.join('')}`;
  });
  return frame(axes, { x, y }, marks.join(''), series);
}

const dotsMax = 120;

/** Shares on top of each other. All series have the same x. */
export function stackedAreaChart(axes: Axes, series: readonly Series[]): string {
  const first = series[0]?.points ?? [];
  const sums = first.map(() => 0);
  const layers = series.map(({ colour, points }) => {
    const band = points.map((point, index) => {
      const bottom = sums[index]!;
      sums[index] = bottom + point.y;
      return { x: point.x, bottom, top: sums[index]! };
    });
    return { colour, band };
  });
  const { x, y } = scales(axes, [...first, ...sums.map((sum, index) => ({ x: first[index]!.x, y: sum }))]);
  const draw = area<{ x: number; bottom: number; top: number }>()
    .x((point) => x(point.x))
    .y0((point) => y(point.bottom))
    .y1((point) => y(point.top));
  const marks = layers.map(
    ({ colour, band }) => `<path d="${draw(band) ?? ''}" fill="${colour}" fill-opacity="0.8"/>`,
  );
  return frame(axes, { x, y }, marks.join(''), series);
}

/** Values in [0, 1] as cells: row 0 on top. */
export function heatMap(
  axes: Axes,
  cells: { readonly values: readonly (readonly number[])[]; readonly xMax: number; readonly colour: string },
): string {
  const { values, xMax, colour } = cells;
  const rows = values.length;
  const columns = Math.max(1, ...values.map((row) => row.length));
  const x = scaleLinear()
    .domain([0, xMax])
    .range([margin.left, margin.left + plot.width]);
  const y = scaleLinear()
    .domain([0, rows])
    .range([margin.top, margin.top + plot.height]);
  const cellWidth = plot.width / columns;
  const cellHeight = plot.height / Math.max(1, rows);
  const marks = values.flatMap((row, at) =>
    row.map((value, column) => {
      const left = round(margin.left + column * cellWidth);
      const top = round(margin.top + at * cellHeight);
      return `<rect x="${left}" y="${top}" width="${round(cellWidth + 0.3)}" height="${round(cellHeight + 0.3)}" fill="${colour}" fill-opacity="${value.toFixed(3)}"/>`;
    }),
  );
  const border = `<rect x="${margin.left}" y="${margin.top}" width="${plot.width}" height="${plot.height}" class="border"/>`;
  return frame({ ...axes }, { x, y }, marks.join('') + border, []);
}

export interface Part {
  readonly name: string;
  readonly colour: string;
  readonly value: number;
}

/** Horizontal bars of parts, one bar per row, all to one scale. */
export function stackedBars(
  title: string,
  unit: string,
  rows: readonly { readonly name: string; readonly parts: readonly Part[] }[],
): string {
  const wide = 2 * width;
  const rowHeight = 34;
  const total = (parts: readonly Part[]): number => parts.reduce((sum, part) => sum + part.value, 0);
  const left = 90;
  const x = scaleLinear()
    .domain([0, Math.max(...rows.map(({ parts }) => total(parts)))])
    .range([left, wide - 110]);
  const legend = distinct(rows.flatMap(({ parts }) => parts));
  const legendRows = Math.ceil(legend.length / 4);
  const top = 34 + legendRows * 18;
  const bars = rows.map(({ name, parts }, at) => {
    let start = 0;
    const y = top + at * rowHeight;
    const rects = parts.map((part) => {
      const from = x(start);
      start += part.value;
      const label = `${part.name}: ${tick(part.value)} ${unit}`;
      return `<rect x="${round(from)}" y="${y}" width="${round(Math.max(0, x(start) - from))}" height="${rowHeight - 10}" fill="${part.colour}"><title>${escapeHtml(label)}</title></rect>`;
    });
    const end = `<text x="${round(x(start) + 6)}" y="${y + 16}">${tick(start)} ${unit}</text>`;
    return `<text x="${left - 8}" y="${y + 16}" text-anchor="end">${escapeHtml(name)}</text>${rects.join('')}${end}`;
  });
  const keys = legend.map((part, at) => key(part, 10 + (at % 4) * 225, 42 + Math.floor(at / 4) * 18));
  const tall = top + rows.length * rowHeight + 6;
  return `<svg viewBox="0 0 ${wide} ${tall}" class="wide" role="img"><text x="10" y="18" class="title">${escapeHtml(title)}</text>${keys.join('')}${bars.join('')}</svg>`;
}

export interface FloorTile {
  readonly x: number; // cores
  readonly y: number;
  readonly columns: number;
  readonly rows: number;
  readonly label: string;
  readonly parts: readonly Part[]; // shares of the cores' SRAM, from the bottom
  readonly hint: string;
}

/** Wafers side by side; each region is filled from the bottom by what its SRAM holds. */
export function floorplan(
  title: string,
  wafers: readonly {
    readonly columns: number;
    readonly rows: number;
    readonly tiles: readonly FloorTile[];
  }[],
  size: number,
): string {
  const gap = 12;
  const perRow = Math.max(1, Math.min(wafers.length, Math.floor((2 * width) / (size + gap))));
  const gridRows = Math.ceil(wafers.length / perRow);
  const drawn = wafers.map((wafer, at) => {
    const left = (at % perRow) * (size + gap);
    const top = 26 + Math.floor(at / perRow) * (size + gap);
    const sx = size / wafer.columns;
    const sy = size / wafer.rows;
    const tiles = wafer.tiles.map((tile) => {
      const x = left + tile.x * sx;
      const y = top + tile.y * sy;
      const w = tile.columns * sx;
      const h = tile.rows * sy;
      let filled = 0;
      const fills = tile.parts.map((part) => {
        const part0 = filled;
        filled += part.value;
        return `<rect x="${round(x)}" y="${round(y + h * (1 - Math.min(1, filled)))}" width="${round(w)}" height="${round(h * (Math.min(1, filled) - part0))}" fill="${part.colour}"/>`;
      });
      const text =
        w > 26 && h > 14
          ? `<text x="${round(x + w / 2)}" y="${round(y + h / 2 + 3)}" class="tile">${escapeHtml(tile.label)}</text>`
          : '';
      return `<g><title>${escapeHtml(tile.hint)}</title>${fills.join('')}<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" class="border"/>${text}</g>`;
    });
    return tiles.join('');
  });
  const wide = perRow * (size + gap);
  return `<svg viewBox="0 0 ${wide} ${26 + gridRows * (size + gap)}" style="max-width:${wide}px" role="img"><text x="0" y="16" class="title">${escapeHtml(title)}</text>${drawn.join('')}</svg>`;
}

/** Names with their colours, as HTML. */
export function legendHtml(entries: readonly { readonly name: string; readonly colour: string }[]): string {
  const items = entries.map(
    ({ name, colour }) => `<span class="key"><i style="background:${colour}"></i>${escapeHtml(name)}</span>`,
  );
  return `<p class="legend">${items.join('')}</p>`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

type Scale = ScaleContinuousNumeric<number, number>;

function scales(axes: Axes, points: readonly Point[]): { x: Scale; y: Scale } {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const range = (values: readonly number[], log: boolean, max?: number): [number, number] => {
    const highest = max ?? Math.max(log ? 1 : 0.001, ...values);
    if (!log) return [0, highest];
    const lowest = Math.min(highest, ...values.filter((value) => value > 0));
    return [lowest === highest ? lowest / 2 : lowest, highest];
  };
  const make = (log: boolean): Scale => (log ? scaleLog() : scaleLinear());
  return {
    x: make(axes.logX === true)
      .domain(range(xs, axes.logX === true))
      .range([margin.left, margin.left + plot.width]),
    y: make(axes.logY === true)
      .domain(range(ys, axes.logY === true, axes.yMax))
      .range([margin.top + plot.height, margin.top])
      .nice(),
  };
}

function frame(
  axes: Axes,
  { x, y }: { x: Scale; y: Scale },
  marks: string,
  series: readonly Series[],
): string {
  const bottom = margin.top + plot.height;
  const xTicks = ticksOf(x, axes.logX === true, 6).map(
    (value) => `<text x="${round(x(value))}" y="${bottom + 15}" text-anchor="middle">${tick(value)}</text>`,
  );
  const yTicks = ticksOf(y, axes.logY === true, 5).map(
    (value) =>
      `<line x1="${margin.left}" x2="${margin.left + plot.width}" y1="${round(y(value))}" y2="${round(y(value))}" class="grid"/>` +
      `<text x="${margin.left - 6}" y="${round(y(value)) + 3.5}" text-anchor="end">${tick(value)}</text>`,
  );
  const middle = margin.top + plot.height / 2;
  const labels =
    `<text x="${margin.left + plot.width / 2}" y="${height - 8}" text-anchor="middle">${escapeHtml(axes.x)}</text>` +
    `<text x="12" y="${middle}" text-anchor="middle" transform="rotate(-90 12 ${middle})">${escapeHtml(axes.y)}</text>`;
  const keys =
    series.length > 1
      ? series.map((entry, at) =>
          key(entry, margin.left + 8 + at * (plot.width / series.length), margin.top + 10),
        )
      : [];
  return `<svg viewBox="0 0 ${width} ${height}" role="img"><text x="${margin.left}" y="18" class="title">${escapeHtml(axes.title)}</text>${yTicks.join('')}${xTicks.join('')}${labels}${marks}${keys.join('')}</svg>`;
}

// A logarithmic scale offers every digit of every decade; powers of ten (or of two, for a short range) are enough.
function ticksOf(scale: Scale, log: boolean, count: number): number[] {
  if (!log) return scale.ticks(count);
  const [from, to] = scale.domain() as [number, number];
  const base = to / from > 2000 ? 10 : to / from > 60 ? 4 : 2;
  const ticks: number[] = [];
  const start = base === 10 ? 10 ** Math.ceil(Math.log10(from)) : from;
  for (let value = start; value <= to * 1.0001; value *= base) ticks.push(value);
  return ticks;
}

function key(
  { name, colour }: { readonly name: string; readonly colour: string },
  x: number,
  y: number,
): string {
  return `<rect x="${round(x)}" y="${y - 8}" width="10" height="10" fill="${colour}"/><text x="${round(x + 14)}" y="${y + 1}">${escapeHtml(name)}</text>`;
}

function distinct(parts: readonly Part[]): Part[] {
  return parts.filter((part, index) => parts.findIndex(({ name }) => name === part.name) === index);
}

/** 1234 → 1.2k */
function tick(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e3) return `${trim(value / 1e3)}k`;
  return trim(value);
}

function trim(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
