// The comparison as one self-contained HTML page: words first, then the pictures that show why. No scripts, no
// network. Everything is drawn by chart.ts from compare.ts's numbers.
import { escaped, framedPage, section } from '../show/page-frame.ts';
import { type ChartPart, COLOURS, lineChart, PART_COLOURS, stackedAreaChart, stackedBars } from './chart.ts';
import { type Comparison, type DeviceComparison, digitsText, formatComparison } from './compare.ts';
import { explain } from './explain.ts';
import { streamedFloorplan } from './streamed-page.ts';
import { streamedSchedule } from './streamed-schedule.ts';
import type { Sample } from './tally.ts';
import { floorSection, pipelineChart, regionChart } from './wafer-pictures.ts';

export function comparisonPage(comparison: Comparison): string {
  const names = comparison.devices.map(({ device }) => device.name).join(', ');
  const model = comparison.devices[0]?.device.shape.name ?? '';
  const inShort = explain(comparison).map((text) => `<li>${escaped(text)}</li>`);
  const body = [
    section('In short', '', `<ul>${inShort.join('')}</ul>`),
    section('Side by side', '', `<pre>${escaped(formatComparison(comparison))}</pre>`),
    curves(comparison),
    tokenTime(comparison),
    ...comparison.devices.map(deviceSection),
  ];
  const header = `<p class="soft">Simulated. Load: ${escaped(comparison.load)}. ${comparison.notes.map(escaped).join('. ')}</p>`;
  return framedPage(`${model} on ${names}`, header, body.join('\n'));
}

function curves({ devices, lengths }: Comparison): string {
  const series = (y: (entry: DeviceComparison['sweep']['points'][number]) => number | null | undefined) =>
    devices.map(({ device, sweep }, index) => ({
      name: device.name,
      colour: COLOURS[index % COLOURS.length]!,
      points: sweep.points.flatMap((point) => {
        const value = y(point);
        return value === null || value === undefined ? [] : [{ x: point.userCount, y: value }];
      }),
    }));
  const x = 'users at once';
  const charts = [
    lineChart(
      { title: 'What one user gets', x, y: 'tokens/s', logX: true },
      series(({ summary }) => summary.userTokensPerSecond),
    ),
    lineChart(
      { title: 'What all users get together', x, y: 'tokens/s', logX: true, logY: true },
      series(({ summary }) => summary.tokensPerSecond),
    ),
    lineChart(
      { title: 'Wait for the first token (p50)', x, y: 'ms', logX: true, logY: true },
      series(({ summary }) => summary.ttftMs?.p50),
    ),
    lineChart(
      { title: 'KV memory in use (largest)', x, y: '% of room', logX: true, yMax: 100 },
      series(({ summary }) => summary.kvShareMax * 100),
    ),
  ];
  return section(
    'More users',
    `Each user asks ${lengths.isl} tokens, reads ${lengths.osl}, and asks again at once.`,
    `<div class="grid2">${charts.join('')}</div>`,
  );
}

function tokenTime({ devices, lengths }: Comparison): string {
  const palette = new Map<string, string>();
  const rows = devices.map(({ device, tokenParts }) => ({
    name: device.name,
    parts: tokenParts.map(({ name, ms }): ChartPart => {
      if (!palette.has(name)) palette.set(name, PART_COLOURS[palette.size % PART_COLOURS.length]!);
      return { name, colour: palette.get(name)!, value: ms };
    }),
  }));
  const context = lengths.isl + Math.round(lengths.osl / 2);
  return section(
    'Where one token’s time goes',
    `One user alone, ${context} tokens of context. A GPU fetches every weight from its memory for every token; on a wafer the weights stay in the cores, and what is left is multiplying them and crossing the mesh of cores.`,
    stackedBars('ms', rows),
  );
}

function deviceSection(entry: DeviceComparison): string {
  const { device, samples, summary } = entry;
  const pictures = [runningChart(samples), kvChart(samples)];
  if (device.kind === 'wafer') pictures.push(pipelineChart(entry), regionChart(entry));
  else pictures.push(batchChart(samples));
  const floor = floorOf(entry);
  return section(
    escaped(device.name),
    `${escaped(summary.bound)}; busy ${digitsText(summary.busyShare * 100)} % of the time.`,
    `${floor}<div class="grid2">${pictures.filter((picture) => picture !== '').join('')}</div>`,
  );
}

function floorOf(entry: DeviceComparison): string {
  const { device, contextTokens } = entry;
  if (device.kind === 'streamed')
    return streamedFloorplan(device, streamedSchedule(device, Math.round(contextTokens)));
  return device.kind === 'wafer' ? floorSection(entry) : '';
}

const time = 'seconds';

function over(samples: readonly Sample[], y: (sample: Sample) => number) {
  return samples.map((sample) => ({ x: sample.atMs / 1000, y: y(sample) }));
}

function runningChart(samples: readonly Sample[]): string {
  return lineChart({ title: 'Sequences', x: time, y: 'count' }, [
    { name: 'running', colour: '#3e63dd', points: over(samples, (sample) => sample.runningCount) },
    { name: 'waiting', colour: '#e5484d', points: over(samples, (sample) => sample.waitingCount) },
  ]);
}

function kvChart(samples: readonly Sample[]): string {
  return stackedAreaChart({ title: 'KV blocks', x: time, y: '% of room', yMax: 100 }, [
    { name: 'in use', colour: '#e15759', points: over(samples, (sample) => sample.kvInUseShare * 100) },
    {
      name: 'kept for reuse',
      colour: '#b3bac2',
      points: over(samples, (sample) => sample.kvCachedShare * 100),
    },
  ]);
}

function batchChart(samples: readonly Sample[]): string {
  return lineChart({ title: 'Rows in a step', x: time, y: 'mean count' }, [
    { name: 'rows', colour: '#f76b15', points: over(samples, (sample) => sample.rowCount) },
  ]);
}
