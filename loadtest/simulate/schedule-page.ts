// The on-chip schedule as a page: wafers with what each region's SRAM holds, and when one token is in which region. Pure.
import * as Plot from '@observablehq/plot';
import type { WaferSimDevice } from '../../kernels/sim/device.ts';
import { htmlTable } from '../show/markup.ts';
import { escaped, framedPage, section } from '../show/page-frame.ts';
import { draw } from '../show/plot.ts';
import { legendHtml } from './chart.ts';
import { floorplan } from './floorplan-picture.ts';
import type { ChipSchedule, ScheduledStage } from './schedule.ts';
import { planOf } from './trust.ts';

const PARTS = {
  program: '#b3bac2',
  weights: '#4e79a7',
  activations: '#edc948',
  kv: '#e15759',
} as const;
type Part = keyof typeof PARTS;
const PART_NAMES = Object.keys(PARTS) as Part[];

export function schedulePage(device: WaferSimDevice, schedule: ChipSchedule): string {
  const { contextTokens, userCount, tokenUs, stages } = schedule;
  const title = `${device.shape.name} on ${device.name}`;
  const header = `<p class="soft">${escaped(planOf(device))}</p>`;
  const users = `${userCount} user${userCount === 1 ? '' : 's'} of ${contextTokens} tokens`;
  return framedPage(
    title,
    header,
    [
      section(
        'What lies where',
        `KV of ${users}; each region is filled from the bottom as its cores' SRAM is.`,
        wafers(device, schedule),
      ),
      section(
        'When',
        `One token of one user, ${tokenUs.toFixed(1)} µs through ${stages.length} regions.`,
        timeline(stages),
      ),
      section('Bytes of a core', `of ${schedule.coreBytes}`, byteTable(stages)),
    ].join('\n'),
  );
}

function wafers({ setup }: WaferSimDevice, { stages, coreBytes }: ChipSchedule): string {
  const count = Math.max(...stages.map(({ wafer }) => wafer)) + 1;
  const plans = Array.from({ length: count }, (_, wafer) => ({
    columns: setup.chip.columns,
    rows: setup.chip.rows,
    tiles: stages
      .filter((stage) => stage.wafer === wafer)
      .map((stage) => ({
        ...{ x: stage.x, y: stage.y, columns: stage.columns, rows: stage.rows, label: labelOf(stage) },
        parts: PART_NAMES.map((name) => ({
          name,
          colour: PARTS[name],
          value: stage.coreBytes[name] / coreBytes,
        })),
        hint: `${labelOf(stage)}: ${PART_NAMES.map((name) => `${name} ${stage.coreBytes[name]}`).join(', ')} bytes of a core`,
      })),
  }));
  const legend = legendHtml(PART_NAMES.map((name) => ({ name, colour: PARTS[name] })));
  return `${legend}${floorplan('', plans, count === 1 ? 420 : 290)}`;
}

function timeline(stages: readonly ScheduledStage[]): string {
  const rows = stages.map((stage, at) => ({
    y: `${at + 1}: ${labelOf(stage)}`,
    x1: stage.startUs,
    x2: stage.endUs,
    wafer: `wafer ${stage.wafer + 1}`,
  }));
  return draw({
    height: 60 + rows.length * 13,
    marginLeft: 90,
    x: { label: 'microseconds' },
    y: { label: null, domain: rows.map(({ y }) => y), padding: 0.2 },
    color: { legend: true },
    marks: [Plot.barX(rows, { x1: 'x1', x2: 'x2', y: 'y', fill: 'wafer' })],
  });
}

function byteTable(stages: readonly ScheduledStage[]): string {
  const rows = stages.map((stage) => [
    ...[
      labelOf(stage),
      String(stage.wafer + 1),
      `${stage.columns} × ${stage.rows} at ${stage.x}, ${stage.y}`,
    ],
    ...[...PART_NAMES.map((name) => stage.coreBytes[name]), stage.coreBytes.free].map((bytes) =>
      String(Math.round(bytes)),
    ),
  ]);
  return htmlTable(['layers', 'wafer', 'cores', ...PART_NAMES, 'free'], rows);
}

function labelOf({ firstLayer, layerCount }: ScheduledStage): string {
  if (layerCount === 0) return 'head';
  return layerCount === 1 ? `${firstLayer}` : `${firstLayer}–${firstLayer + layerCount - 1}`;
}
