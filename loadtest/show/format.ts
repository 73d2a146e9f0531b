// Numbers for people: milliseconds, shares, rates, intervals. Pure.
import type { Interval } from '../statistics/bootstrap.ts';

export const MISSING = '–';

/** Three significant digits: 0.123 ms, 12.3 ms, 1.23 s. */
export function formatMs(ms: number | null): string {
  if (ms === null) return MISSING;
  if (Math.abs(ms) >= 60_000) return `${(ms / 60_000).toFixed(1)} min`;
  if (Math.abs(ms) >= 1000) return `${(ms / 1000).toPrecision(3)} s`;
  if (ms === 0) return '0 ms';
  return `${Math.abs(ms) < 0.01 ? ms.toFixed(3) : significant(ms)} ms`;
}

export function formatShare(share: number | null): string {
  return share === null ? MISSING : `${(share * 100).toFixed(1)} %`;
}

export function formatNumber(value: number | null, unit = ''): string {
  return value === null ? MISSING : `${significant(value)}${unit}`;
}

export function formatInterval(interval: Interval | null, format: (value: number) => string): string {
  return interval === null ? '' : `[${format(interval.low)}, ${format(interval.high)}]`;
}

function significant(value: number): string {
  if (value !== 0 && Math.abs(value) < 1) return value.toPrecision(2);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}
