// A line chart over time, drawn by uPlot in the page's colours. Its numbers are also said in words for those who cannot see it.
import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { useThemeChange } from './use-theme-change.ts';

export interface ChartProps {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly { readonly label: string; readonly colour: `--${string}` }[];
  readonly columns: (number | null)[][]; // seconds before now, then one for each series
  readonly format: (value: number) => string;
}

const HEIGHT = 150; // pixels

export function Chart(props: ChartProps): VNode {
  const { title, unit, series, columns, format } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const target = box.current!;
    const made = new uPlot(optionsOf(props, target.clientWidth), columns as uPlot.AlignedData, target);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: target.clientWidth, height: HEIGHT }));
    observer.observe(target);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(columns as uPlot.AlignedData), [columns]);
  useThemeChange(() => plot.current?.redraw(false, true));
  const latest = series.map(({ label }, index) => {
    const value = columns[index + 1]!.findLast((one) => one !== null);
    return `${label} ${value == null ? 'nothing yet' : format(value)}`;
  });
  return (
    <figure class="chart card">
      <figcaption>
        <strong>{title}</strong> <span class="hint">{unit}</span>
        <span class="grow" />
        {series.map(({ label, colour }) => (
          <span key={label} class="key">
            <span class={`swatch ${colour.slice(2)}`} /> {label}
          </span>
        ))}
      </figcaption>
      <div ref={box} role="img" aria-label={`${title}: ${latest.join(', ')}`} />
    </figure>
  );
}

function optionsOf({ series, format }: ChartProps, width: number): uPlot.Options {
  const axis = { stroke: () => colourOf('--muted'), font: '11px system-ui, sans-serif' };
  const grid = { stroke: () => colourOf('--line'), width: 1 };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 12, 0, 0],
    scales: { x: { time: false }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, grid: { show: false }, values: (_, ticks) => labelsOf(ticks, sinceNow), size: 26 },
      { ...axis, grid, values: (_, ticks) => labelsOf(ticks, format), size: 58 },
    ],
    series: [
      {},
      ...series.map(({ label, colour }) => ({
        label,
        stroke: () => colourOf(colour),
        width: 2,
        spanGaps: true,
        points: { size: 4, fill: () => colourOf(colour) },
      })),
    ],
  };
}

/** Of ticks that read alike only the last says it. */
function labelsOf(ticks: readonly number[], format: (value: number) => string): string[] {
  return ticks.map(format).map((label, i, all) => (label === all[i + 1] ? '' : label));
}

function sinceNow(seconds: number): string {
  if (seconds > -1) return 'now';
  return seconds > -120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function colourOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}
