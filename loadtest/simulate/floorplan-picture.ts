// Wafers side by side as a picture: each region is filled from the bottom by what its SRAM holds. Pure: an <svg> out.
import { escaped } from '../show/page-frame.ts';
import type { ChartPart } from './chart.ts';

const WIDTH = 920; // CSS pixels

export interface FloorTile {
  readonly x: number; // cores
  readonly y: number;
  readonly columns: number;
  readonly rows: number;
  readonly label: string;
  readonly parts: readonly ChartPart[]; // shares of the cores' SRAM, from the bottom
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
  const perRow = Math.max(1, Math.min(wafers.length, Math.floor(WIDTH / (size + gap))));
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
          ? `<text x="${round(x + w / 2)}" y="${round(y + h / 2 + 3)}" class="tile">${escaped(tile.label)}</text>`
          : '';
      return `<g><title>${escaped(tile.hint)}</title>${fills.join('')}<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" class="border"/>${text}</g>`;
    });
    return tiles.join('');
  });
  const wide = perRow * (size + gap);
  return `<svg viewBox="0 0 ${wide} ${26 + gridRows * (size + gap)}" style="max-width:${wide}px" role="img"><text x="0" y="16" class="title">${escaped(title)}</text>${drawn.join('')}</svg>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
