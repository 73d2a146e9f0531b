// Pictures of a wafer: its floorplan with what each region's SRAM holds, its pipeline, and its room for KV over time.
// For page.ts; drawn by chart.ts.
import type { PlacedStage } from '../../kernels/sim/wafer/floorplan.ts';
import { type ChartPart, heatMap, legendHtml } from './chart.ts';
import { type DeviceComparison, digitsText } from './compare.ts';
import { type FloorTile, floorplan } from './floorplan-picture.ts';
import type { Sample } from './tally.ts';

const colours = {
  program: '#b3bac2',
  weights: '#4e79a7',
  activations: '#edc948',
  kv: '#e15759',
  kept: '#f3c1c3',
};
const time = 'seconds';
const columnsMax = 96; // cells of a heat map over time
const wafersDrawn = 8;

/** Stage by stage, how busy. Empty without samples. */
export function pipelineChart({ samples }: DeviceComparison): string {
  const columns = columnsOf(samples).filter(({ stageBusyShare }) => stageBusyShare !== null);
  const stageCount = columns[0]?.stageBusyShare?.length ?? 0;
  if (stageCount === 0) return '';
  const values = Array.from({ length: stageCount }, (_, stage) =>
    columns.map((sample) => sample.stageBusyShare![stage]!),
  );
  return heatMap(
    { title: 'Pipeline: how busy each stage is', x: time, y: 'stage' },
    { values, xMax: samples.at(-1)!.atMs / 1000, colour: '#e0782c' },
  );
}

/** How much of each region's room for KV running sequences use. The head's region has none. */
export function regionChart({ device, samples }: DeviceComparison): string {
  if (device.kind !== 'wafer' || samples.length === 0) return '';
  const columns = columnsOf(samples);
  const values = device.placement.stages.map(({ sram }) =>
    columns.map((sample) => Math.min(1, (sample.kvInUseShare * device.limits.blockCount) / sram.blockCount)),
  );
  return heatMap(
    { title: "Each region's room for KV: share in use", x: time, y: 'stage' },
    { values, xMax: samples.at(-1)!.atMs / 1000, colour: '#e15759' },
  );
}

/** The floorplan at the fullest moment of each quarter of the run. */
export function floorSection(entry: DeviceComparison): string {
  const plans = momentsOf(entry.samples).map((sample) => floorAt(entry, sample));
  const legend = legendHtml([
    { name: 'program', colour: colours.program },
    { name: 'weights', colour: colours.weights },
    { name: 'activations', colour: colours.activations },
    { name: 'KV in use', colour: colours.kv },
    { name: 'KV kept for reuse', colour: colours.kept },
    { name: 'free', colour: 'transparent' },
  ]);
  return `<h3>Floorplan: what the SRAM of each region holds, at the fullest moment of each quarter</h3>${legend}<div class="plans">${plans.join('')}</div>`;
}

function momentsOf(samples: readonly Sample[]): Sample[] {
  const quarter = Math.ceil(samples.length / 4);
  const quarters = [0, 1, 2, 3].map((index) => samples.slice(index * quarter, (index + 1) * quarter));
  return quarters.flatMap((part) =>
    part.length === 0
      ? []
      : [part.reduce((best, next) => (next.kvInUseShare > best.kvInUseShare ? next : best))],
  );
}

function columnsOf(samples: readonly Sample[]): Sample[] {
  const every = Math.max(1, Math.ceil(samples.length / columnsMax));
  return samples.filter((_, index) => index % every === 0);
}

function floorAt({ device }: DeviceComparison, sample: Sample): string {
  if (device.kind !== 'wafer') return '';
  const { chip, waferCount } = device.setup;
  const room = device.placement.kvBlocks; // with an external store there are more blocks than the wafers hold
  const used = Math.min(room, sample.kvInUseShare * device.limits.blockCount);
  const kept = Math.min(room - used, sample.kvCachedShare * device.limits.blockCount);
  const drawn = Math.min(waferCount, wafersDrawn);
  const wafers = Array.from({ length: drawn }, (_, wafer) => ({
    columns: chip.columns,
    rows: chip.rows,
    tiles: device.placement.stages
      .filter((stage) => stage.wafer === wafer)
      .map((stage) => tileOf(stage, { used, kept, coreBytes: chip.coreBytes })),
  }));
  const more = drawn < waferCount ? `, ${drawn} of ${waferCount} wafers` : '';
  return floorplan(`after ${digitsText(sample.atMs / 1000)} s${more}`, wafers, drawn === 1 ? 210 : 150);
}

interface Fill {
  readonly used: number; // blocks
  readonly kept: number; // blocks
  readonly coreBytes: number;
}

function tileOf(stage: PlacedStage, { used, kept, coreBytes }: Fill): FloorTile {
  const { sram, firstLayer, layerCount, columns, rows, x, y } = stage;
  const bytesOf = (blocks: number): number => (sram.blockBytes * blocks) / rows;
  const part = (name: string, colour: string, bytes: number): ChartPart => ({
    name,
    colour,
    value: bytes / coreBytes,
  });
  const label = layerCount === 0 ? 'head' : layersLabel(firstLayer, layerCount);
  return {
    ...{ x, y, columns, rows, label },
    parts: [
      part('program', colours.program, sram.reservedBytes),
      part('weights', colours.weights, sram.weightsBytes),
      part('activations', colours.activations, sram.activationsBytes),
      part('KV in use', colours.kv, bytesOf(used)),
      part('KV kept', colours.kept, bytesOf(kept)),
    ],
    hint: `${label}: ${columns} × ${rows} cores; of ${coreBytes} bytes a core: weights ${sram.weightsBytes}, activations ${sram.activationsBytes}, KV ${Math.round(bytesOf(used + kept))}`,
  };
}

function layersLabel(first: number, count: number): string {
  return count === 1 ? `${first}` : `${first}–${first + count - 1}`;
}
