// Service-level objectives of one turn: what "good" means. `ttft<500ms,stall<1s` becomes bounds; goodput counts the
// turns inside all of them. Errors, rejections and truncations are never good. Pure.
import { FlagError } from '../../base/flag-error.ts';
import type { Outcome } from '../wires/target.ts';
import type { TurnMeasures } from './timeline.ts';

export const SLO_METRICS = ['ttft', 'ttfo', 'tpot', 'stall', 'e2e'] as const;
export type SloMetric = (typeof SLO_METRICS)[number];

interface SloBound {
  readonly metric: SloMetric;
  readonly msMax: number;
}

export type Slo = readonly SloBound[];

const EXPECTED = `METRIC<TIME separated by commas; metrics: ${SLO_METRICS.join(', ')}; times: 500ms, 1.5s`;

/** Throws FlagError. */
export function parseSlo(text: string): Slo {
  return text.split(',').map((part) => {
    const match = /^\s*([a-z0-9]+)\s*<=?\s*([^\s]+)\s*$/.exec(part);
    const metric = SLO_METRICS.find((name) => name === match?.[1]);
    if (match === null || metric === undefined) throw new FlagError('slo', text, EXPECTED);
    const msMax = parseTimeMs(match[2]!);
    if (msMax === null) throw new FlagError('slo', text, EXPECTED);
    return { metric, msMax };
  });
}

/** `500ms`, `1.5s`, `250us`, `2m`, `1h`; a bare number is milliseconds. Null for anything else. */
export function parseTimeMs(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(us|ms|s|m|h)?$/.exec(text.trim());
  if (match === null) return null;
  const unit = { us: 0.001, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? 'ms']!;
  return Number(match[1]) * unit;
}

export function formatSlo(slo: Slo): string {
  return slo.map(({ metric, msMax }) => `${metric} ≤ ${msMax} ms`).join(' and ');
}

/** A metric that a turn has not got (TPOT of one token) cannot miss. */
export function isGood(outcome: Outcome, measures: TurnMeasures, slo: Slo): boolean {
  if (outcome !== 'ok' && outcome !== 'interrupted') return false;
  return slo.every(({ metric, msMax }) => {
    const ms = latencyMsOf(measures, metric);
    return ms === null || ms <= msMax;
  });
}

export function latencyMsOf(measures: TurnMeasures, metric: SloMetric): number | null {
  return measures[`${metric}Ms` as const];
}
