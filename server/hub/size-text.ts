// Bytes for people, in the units that the hub's pages show. Used where sizes are told.

const UNITS = ['kB', 'MB', 'GB', 'TB'] as const;

/** 94312345 → '94.3 MB'. */
export function sizeText(size: number): string {
  if (!Number.isFinite(size) || size < 1000) return `${size} bytes`;
  const power = Math.min(Math.floor(Math.log10(size) / 3), UNITS.length);
  const value = size / 1000 ** power;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${UNITS[power - 1]}`;
}
