// The comparison as one self-contained HTML page: words first, then the pictures that show why. No scripts, no
// network. Everything is drawn by chart.ts from compare.ts's numbers.
import { escapeHtml, lineChart, type Part, stackedAreaChart, stackedBars } from './chart.ts';
import { type Comparison, type DeviceComparison, digits, formatComparison } from './compare.ts';
import { explain } from './explain.ts';
import { pageStyle } from './page-style.ts';
import type { Sample } from './tally.ts';
import { floorSection, pipelineChart, regionChart } from './wafer-pictures.ts';

const colours = ['var(--a)', 'var(--b)', 'var(--c)', 'var(--d)', 'var(--e)', 'var(--f)'];

export function comparisonPage(comparison: Comparison): string {
  const names = comparison.devices.map(({ device }) => device.name).join(', ');
  const model = comparison.devices[0]?.device.shape.name ?? '';
  const body = [
    `<h1>${escapeHtml(model)} on ${escapeHtml(names)}</h1>`,
    `<p class="sub">Simulated. Load: ${escapeHtml(comparison.load)}. ${comparison.notes.map(escapeHtml).join('. ')}</p>`,
    `<section><h2>In short</h2><ul>${explain(comparison)
      .map((text) => `<li>${escapeHtml(text)}</li>`)
      .join('')}</ul></section>`,
    `<section><h2>Side by side</h2><pre>${escapeHtml(formatComparison(comparison))}</pre></section>`,
    curves(comparison),
    tokenTime(comparison),
    ...comparison.devices.map(deviceSection),
  ];
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(model)}: ${escapeHtml(names)}</title><style>${pageStyle}</style></head><body><main>${body.join('\n')}</main></body></html>\n`;
}

function curves({ devices, lengths }: Comparison): string {
  const series = (y: (entry: DeviceComparison['sweep']['points'][number]) => number | null | undefined) =>
    devices.map(({ device, sweep }, index) => ({
      name: device.name,
      colour: colours[index % colours.length]!,
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
  return `<section><h2>More users</h2><p>Each user asks ${lengths.isl} tokens, reads ${lengths.osl}, and asks again at once.</p><div class="grid2">${charts.join('')}</div></section>`;
}

function tokenTime({ devices, lengths }: Comparison): string {
  const palette = new Map<string, string>();
  const rows = devices.map(({ device, tokenParts }) => ({
    name: device.name,
    parts: tokenParts.map(({ name, ms }): Part => {
      if (!palette.has(name)) palette.set(name, partColours[palette.size % partColours.length]!);
      return { name, colour: palette.get(name)!, value: ms };
    }),
  }));
  const context = lengths.isl + Math.round(lengths.osl / 2);
  return `<section><h2>Where one token's time goes</h2><p>One user alone, ${context} tokens of context. A GPU fetches every weight from its memory for every token; on a wafer the weights stay in the cores, and what is left is multiplying them and crossing the mesh of cores.</p>${stackedBars('Time per token', 'ms', rows)}</section>`;
}

const partColours = [
  '#4e79a7',
  '#f28e2b',
  '#59a14f',
  '#e15759',
  '#b07aa1',
  '#76b7b2',
  '#edc948',
  '#9c755f',
  '#ff9da7',
  '#bab0ac',
];

function deviceSection(entry: DeviceComparison): string {
  const { device, samples, summary } = entry;
  const pictures = [runningChart(samples), kvChart(samples)];
  if (device.kind === 'gpu') pictures.push(batchChart(samples));
  else pictures.push(pipelineChart(entry), regionChart(entry));
  const floor = device.kind === 'wafer' ? floorSection(entry) : '';
  return `<section><h2>${escapeHtml(device.name)}</h2><p>${escapeHtml(summary.bound)}; busy ${digits(summary.busyShare * 100)} % of the time.</p>${floor}<div class="grid2">${pictures.filter((picture) => picture !== '').join('')}</div></section>`;
}

const time = 'seconds';

function over(samples: readonly Sample[], y: (sample: Sample) => number) {
  return samples.map((sample) => ({ x: sample.atMs / 1000, y: y(sample) }));
}

function runningChart(samples: readonly Sample[]): string {
  return lineChart({ title: 'Sequences', x: time, y: 'count' }, [
    { name: 'running', colour: 'var(--a)', points: over(samples, (sample) => sample.runningCount) },
    { name: 'waiting', colour: 'var(--d)', points: over(samples, (sample) => sample.waitingCount) },
  ]);
}

function kvChart(samples: readonly Sample[]): string {
  return stackedAreaChart({ title: 'KV blocks', x: time, y: '% of room', yMax: 100 }, [
    { name: 'in use', colour: 'var(--kv)', points: over(samples, (sample) => sample.kvInUseShare * 100) },
    {
      name: 'kept for reuse',
      colour: 'var(--grey)',
      points: over(samples, (sample) => sample.kvCachedShare * 100),
    },
  ]);
}

function batchChart(samples: readonly Sample[]): string {
  return lineChart({ title: 'Rows in a step', x: time, y: 'mean count' }, [
    { name: 'rows', colour: 'var(--b)', points: over(samples, (sample) => sample.rowCount) },
  ]);
}
