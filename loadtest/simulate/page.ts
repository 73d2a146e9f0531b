// The comparison as one self-contained HTML page: words first, then the pictures that show why. No scripts, no
// network. Everything is drawn by chart.ts from compare.ts's numbers.
import {
  escape,
  type FloorTile,
  floorplan,
  heatMap,
  legendHtml,
  lineChart,
  type Part,
  stackedAreaChart,
  stackedBars,
} from './chart.ts';
import { type Comparison, type DeviceComparison, digits, formatComparison } from './compare.ts';
import { explain } from './explain.ts';
import { pageStyle } from './page-style.ts';
import type { Sample } from './tally.ts';

const colours = ['var(--a)', 'var(--b)', 'var(--c)', 'var(--d)', 'var(--e)', 'var(--f)'];
const sramColours = {
  weights: 'var(--weights)',
  kv: 'var(--kv)',
  activations: 'var(--act)',
  program: 'var(--grey)',
};

export function comparisonPage(comparison: Comparison): string {
  const names = comparison.devices.map(({ device }) => device.name).join(', ');
  const model = comparison.devices[0]?.device.shape.name ?? '';
  const body = [
    `<h1>${escape(model)} on ${escape(names)}</h1>`,
    `<p class="sub">Simulated. Load: ${escape(comparison.load)}. ${comparison.notes.map(escape).join('. ')}</p>`,
    `<section><h2>In short</h2><ul>${explain(comparison)
      .map((text) => `<li>${escape(text)}</li>`)
      .join('')}</ul></section>`,
    `<section><h2>Side by side</h2><pre>${escape(formatComparison(comparison))}</pre></section>`,
    curves(comparison),
    tokenTime(comparison),
    ...comparison.devices.map(deviceSection),
  ];
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escape(model)}: ${escape(names)}</title><style>${pageStyle}</style></head><body><main>${body.join('\n')}</main></body></html>\n`;
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
  return `<section><h2>${escape(device.name)}</h2><p>${escape(summary.bound)}; busy ${digits(summary.busyShare * 100)} % of the time.</p>${floor}<div class="grid2">${pictures.filter((picture) => picture !== '').join('')}</div></section>`;
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

const columnsMax = 96; // cells of a heat map over time

function columnsOf(samples: readonly Sample[]): Sample[] {
  const every = Math.max(1, Math.ceil(samples.length / columnsMax));
  return samples.filter((_, index) => index % every === 0);
}

function pipelineChart({ samples }: DeviceComparison): string {
  const columns = columnsOf(samples).filter(({ stageBusyShare }) => stageBusyShare !== null);
  const stageCount = columns[0]?.stageBusyShare?.length ?? 0;
  if (stageCount === 0) return '';
  const values = Array.from({ length: stageCount }, (_, stage) =>
    columns.map((sample) => sample.stageBusyShare![stage]!),
  );
  return heatMap(
    { title: 'Pipeline: how busy each stage is', x: time, y: 'stage' },
    { values, xMax: samples.at(-1)!.atMs / 1000, colour: 'var(--b)' },
  );
}

// How full each region's cores are, over time: what is there for good, plus the KV of the moment.
function regionChart({ device, samples }: DeviceComparison): string {
  if (device.kind !== 'wafer' || samples.length === 0) return '';
  const columns = columnsOf(samples);
  const { coreBytes } = device.setup.chip;
  const values = device.placement.stages.map((stage) => {
    const { sram } = stage;
    const fixed = sram.reservedBytes + sram.weightsBytes + sram.activationsBytes;
    return columns.map((sample) => {
      const blocks = (sample.kvInUseShare + sample.kvCachedShare) * device.limits.blockCount;
      const kv =
        sram.blockBytes === 0
          ? 0
          : (Math.min(blocks, device.placement.kvBlocks) / stage.rows) * sram.blockBytes;
      return Math.min(1, (fixed + kv) / coreBytes);
    });
  });
  return heatMap(
    { title: 'SRAM in use of each region', x: time, y: 'stage' },
    { values, xMax: samples.at(-1)!.atMs / 1000, colour: 'var(--kv)' },
  );
}

function floorSection(entry: DeviceComparison): string {
  const { samples } = entry;
  const moments = [0.1, 0.4, 0.7, 1].map(
    (share) => samples[Math.max(0, Math.ceil(samples.length * share) - 1)],
  );
  const plans = moments.flatMap((sample) => (sample === undefined ? [] : [floorAt(entry, sample)]));
  const legend = legendHtml([
    { name: 'program', colour: sramColours.program },
    { name: 'weights', colour: sramColours.weights },
    { name: 'activations', colour: sramColours.activations },
    { name: 'KV', colour: sramColours.kv },
    { name: 'free', colour: 'var(--panel)' },
  ]);
  return `<h3>Floorplan: what the SRAM of each region holds</h3>${legend}<div class="plans">${plans.join('')}</div>`;
}

const wafersDrawn = 8;

function floorAt({ device }: DeviceComparison, sample: Sample): string {
  if (device.kind !== 'wafer') return '';
  const { chip, waferCount } = device.setup;
  const blocks = Math.min(
    device.placement.kvBlocks,
    (sample.kvInUseShare + sample.kvCachedShare) * device.limits.blockCount,
  );
  const drawn = Math.min(waferCount, wafersDrawn);
  const wafers = Array.from({ length: drawn }, (_, wafer) => ({
    columns: chip.columns,
    rows: chip.rows,
    tiles: device.placement.stages
      .filter((stage) => stage.wafer === wafer)
      .map((stage): FloorTile => {
        const { sram } = stage;
        const kvBytes = sram.blockBytes === 0 ? 0 : (blocks / stage.rows) * sram.blockBytes;
        const part = (name: string, colour: string, bytes: number): Part => ({
          name,
          colour,
          value: bytes / chip.coreBytes,
        });
        const label = stage.layerCount === 0 ? 'head' : layersLabel(stage.firstLayer, stage.layerCount);
        return {
          ...{ x: stage.x, y: stage.y, columns: stage.columns, rows: stage.rows, label },
          parts: [
            part('program', sramColours.program, sram.reservedBytes),
            part('weights', sramColours.weights, sram.weightsBytes),
            part('activations', sramColours.activations, sram.activationsBytes),
            part('KV', sramColours.kv, kvBytes),
          ],
          hint: `${label}: ${stage.columns} × ${stage.rows} cores; of ${chip.coreBytes} bytes a core: weights ${sram.weightsBytes}, activations ${sram.activationsBytes}, KV ${Math.round(kvBytes)}`,
        };
      }),
  }));
  const more = drawn < waferCount ? `, ${drawn} of ${waferCount} wafers` : '';
  return floorplan(`after ${digits(sample.atMs / 1000)} s${more}`, wafers, drawn === 1 ? 210 : 150);
}

function layersLabel(first: number, count: number): string {
  return count === 1 ? `${first}` : `${first}–${first + count - 1}`;
}
