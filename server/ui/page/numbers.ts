// Numbers as people read them: three digits that matter, units that fit. Pure; used by every pane.

export function milliseconds(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return '–';
  if (ms >= 10_000) return `${digits(ms / 1000)} s`;
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${digits(ms)} ms`;
}

export function count(value: number): string {
  if (value < 10_000) return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
  if (value < 1e6) return `${digits(value / 1e3)}k`;
  return value < 1e9 ? `${digits(value / 1e6)}M` : `${digits(value / 1e9)}G`;
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let rest = value;
  for (; rest >= 1024 && unit < units.length - 1; unit++) rest /= 1024;
  return `${unit === 0 ? rest : digits(rest)} ${units[unit]}`;
}

export function percent(share: number): string {
  return Number.isFinite(share)
    ? `${share > 0 && share < 0.1 ? (share * 100).toFixed(1) : Math.round(share * 100)}%`
    : '–';
}

/** How long something has been: "now", "12 s", "5 min", "3 h". */
export function age(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return 'now';
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}

/** Three digits that matter. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 1 ? value.toFixed(2) : size === 0 ? '0' : value.toPrecision(2);
}
