// The schedule of streamed weights as a page: what every core holds, and when weights come in and layers are computed. Pure.
import * as Plot from '@observablehq/plot';
import type { StreamedSimDevice } from '../../kernels/sim/device.ts';
import { htmlTable } from '../show/markup.ts';
import { escaped, framedPage, section } from '../show/page-frame.ts';
import { draw } from '../show/plot.ts';
import { legendHtml } from './chart.ts';
import { floorplan } from './floorplan-picture.ts';
import type { StreamedSchedule } from './streamed-schedule.ts';
import { planOf } from './trust.ts';

const PARTS = {
  program: '#b3bac2',
  head: '#9c755f',
  resident: '#4e79a7',
  buffers: '#76b7b2',
  activations: '#edc948',
  kv: '#e15759',
} as const;
const PART_NAMES = Object.keys(PARTS) as (keyof typeof PARTS)[];

export function streamedPage(device: StreamedSimDevice, schedule: StreamedSchedule): string {
  const { contextTokens, userCount, stepUs, holds, coreBytes } = schedule;
  const users = `${userCount} user${userCount === 1 ? '' : 's'} of ${contextTokens} tokens`;
  const bytes = [...PART_NAMES, 'free' as const].map((name) => [name, String(holds[name])]);
  return framedPage(
    `${device.shape.name} streamed to ${device.name}`,
    `<p class="soft">${escaped(planOf(device))}</p>`,
    [
      section(
        'What lies where',
        `KV of ${users}; every core holds its part of every layer that stays, and of the one that passes through.`,
        streamedFloorplan(device, schedule),
      ),
      section(
        'When',
        `One step, a token of each of ${users}: ${(stepUs / 1000).toFixed(1)} ms.`,
        timeline(schedule),
      ),
      section('Bytes of a core', `of ${coreBytes}`, htmlTable(['part', 'bytes'], bytes)),
    ].join('\n'),
  );
}

const wafersDrawn = 8;

/** The wafers, filled from the bottom as their cores' SRAM is, with a legend. */
export function streamedFloorplan({ setup }: StreamedSimDevice, schedule: StreamedSchedule): string {
  const { columns, rows } = setup.chip;
  const { holds, coreBytes } = schedule;
  const tile = {
    ...{ x: 0, y: 0, columns, rows, label: 'all layers' },
    parts: PART_NAMES.map((name) => ({ name, colour: PARTS[name], value: holds[name] / coreBytes })),
    hint: `${PART_NAMES.map((name) => `${name} ${holds[name]}`).join(', ')} bytes of a core`,
  };
  const drawn = Math.min(wafersDrawn, schedule.waferCount);
  const wafers = Array.from({ length: drawn }, () => ({ columns, rows, tiles: [tile] }));
  const title = drawn < schedule.waferCount ? `${drawn} of ${schedule.waferCount} wafers, all alike` : '';
  const legend = legendHtml(PART_NAMES.map((name) => ({ name, colour: PARTS[name] })));
  return `${legend}${floorplan(title, wafers, drawn === 1 ? 300 : 150)}`;
}

function timeline({ layers, transfers }: StreamedSchedule): string {
  const head = layers.length - 1;
  const rows = [
    ...layers.map(({ layer, isStreamed, startUs, endUs }) => ({
      lane: 'computing',
      what: layer === head ? 'output projection' : isStreamed ? 'streamed layer' : 'resident layer',
      ...{ x1: startUs / 1000, x2: endUs / 1000 },
    })),
    ...transfers.map(({ part, buffer, startUs, endUs }) => ({
      lane: part === 'experts' ? 'experts come in' : `into buffer ${buffer + 1}`,
      what: part === 'experts' ? 'experts' : 'weights',
      ...{ x1: startUs / 1000, x2: endUs / 1000 },
    })),
  ];
  return draw({
    height: 210,
    marginLeft: 110,
    x: { label: 'milliseconds' },
    y: { label: null, padding: 0.2 },
    color: { legend: true },
    marks: [Plot.barX(rows, { x1: 'x1', x2: 'x2', y: 'lane', fill: 'what', insetRight: 0.5 })],
  });
}
