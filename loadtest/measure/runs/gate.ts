// Gates for CI: `p95(ttft)<800ms`, `good>=99%`, `goodput>=2/s`, `failed<=1%`, `ratio(ttft)<=1.05`. A gate holds only if
// the whole 95 % interval is on the right side: "we could not tell" is a failure. Pure.

import { FlagError } from '../../base/flag-error.ts';
import type { Interval } from '../../statistics/bootstrap.ts';
import { parseTimeMs, SLO_METRICS, type SloMetric } from '../play/slo.ts';
import { LATENCY_KEYS, type LatencyKey } from './latencies.ts';
import type { ComparisonReport, RunReport } from './report-schema.ts';

type Subject =
  | { readonly kind: 'quantile'; readonly q: number; readonly key: LatencyKey }
  | { readonly kind: 'ratio'; readonly metric: SloMetric }
  | { readonly kind: 'good' | 'failed' | 'goodput' };

export interface Gate {
  readonly text: string;
  readonly subject: Subject;
  readonly isUpper: boolean; // the value must be at most the bound
  readonly bound: number; // ms, share or per second
}

export interface GateResult {
  readonly text: string;
  readonly passed: boolean;
  readonly reason: string;
}

const QUANTILES: Readonly<Record<string, number>> = { p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99 };
const EXPECTED = `p50|p90|p95|p99(LATENCY)<TIME, good>=SHARE%, failed<=SHARE%, goodput>=NUMBER/s or ratio(METRIC)<=NUMBER, separated by ';'; latencies: ${LATENCY_KEYS.join(', ')}`;

/** Of turns that were answered: a gate on them says how many were not. */
const OF_ANSWERS: ReadonlySet<LatencyKey> = new Set(['ttft', 'ttfo', 'tpot', 'stall', 'e2e']);

/** Throws FlagError. */
export function parseGates(text: string): Gate[] {
  return text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const match = /^([a-z0-9]+)(?:\(([A-Za-z0-9]+)\))?\s*(<=?|>=?)\s*(\S+)$/.exec(part);
      if (match === null) throw new FlagError('gate', part, EXPECTED);
      const [, name, argument, operator, value] = match;
      const subject = subjectOf(name!, argument);
      if (subject === null) throw new FlagError('gate', part, EXPECTED);
      const bound = boundOf(subject, value!);
      if (bound === null) throw new FlagError('gate', part, EXPECTED);
      return { text: part, subject, isUpper: operator!.startsWith('<'), bound };
    });
}

/** Judges the gates that apply to a run; the others are refused with a reason, because they prove nothing. */
export function judgeRun(gates: readonly Gate[], report: RunReport): GateResult[] {
  return gates.map((gate) => judgeOne(gate, report));
}

function judgeOne(gate: Gate, report: RunReport): GateResult {
  const { rates, validity, latencies, counters } = report;
  const { subject, text } = gate;
  if (validity.isVoid)
    return { text, passed: false, reason: `the run is void: ${validity.reasons.join('; ')}` };
  switch (subject.kind) {
    case 'quantile': {
      const summary = latencies.find(({ key }) => key === subject.key)!;
      const found = summary.quantiles.find(({ q }) => q === subject.q)!;
      if (found.refusal !== null) return { text, passed: false, reason: found.refusal };
      const result = judged(gate, found.ms, found.interval, 'ms');
      const missing = OF_ANSWERS.has(subject.key) ? counters.turns - latencyCount(report, 'e2e') : 0;
      if (missing === 0) return result;
      return { ...result, reason: `${result.reason}; ${missing} of ${counters.turns} turns have no answer` };
    }
    case 'good':
      return judged(gate, rates.goodShare.value, rates.goodShare.interval, 'share');
    case 'failed':
      return judged(gate, rates.failedShare.value, rates.failedShare.interval, 'share');
    case 'goodput':
      return judged(gate, rates.goodputPerSecond.value, rates.goodputPerSecond.interval, '/s');
    case 'ratio':
      return { text, passed: false, reason: 'a ratio needs a comparison (--ab)' };
  }
}

function latencyCount({ latencies }: RunReport, key: LatencyKey): number {
  return latencies.find((summary) => summary.key === key)?.count ?? 0;
}

export function judgeComparison(gates: readonly Gate[], report: ComparisonReport): GateResult[] {
  return gates.map((gate) => {
    const { subject } = gate;
    if (subject.kind !== 'ratio') {
      return { text: gate.text, passed: false, reason: 'a comparison has ratios only' };
    }
    const ratio = report.rows.find(({ metric }) => metric === subject.metric)?.aOverB ?? null;
    return judged(gate, ratio?.ratio ?? null, ratio?.interval ?? null, '×');
  });
}

function judged(gate: Gate, value: number | null, interval: Interval | null, unit: string): GateResult {
  const { text, isUpper, bound } = gate;
  if (value === null) return { text, passed: false, reason: 'nothing was measured' };
  if (interval === null) return { text, passed: false, reason: 'no interval: fewer than two sessions' };
  const worst = isUpper ? interval.high : interval.low;
  const passed = isUpper ? worst <= bound : worst >= bound;
  const show = (number: number) =>
    unit === 'share' ? `${(number * 100).toFixed(2)} %` : `${number.toFixed(3)} ${unit}`;
  return {
    text,
    passed,
    reason: `${show(value)}, 95 % interval ${show(interval.low)} to ${show(interval.high)}: its ${isUpper ? 'upper' : 'lower'} end is ${passed ? 'inside' : 'outside'} the bound`,
  };
}

function subjectOf(name: string, argument: string | undefined): Subject | null {
  const q = QUANTILES[name];
  if (q !== undefined) {
    const key = LATENCY_KEYS.find((known) => known === argument);
    return key === undefined ? null : { kind: 'quantile', q, key };
  }
  if (name === 'ratio') {
    const metric = SLO_METRICS.find((known) => known === argument);
    return metric === undefined ? null : { kind: 'ratio', metric };
  }
  if (argument !== undefined) return null;
  return name === 'good' || name === 'failed' || name === 'goodput' ? { kind: name } : null;
}

function boundOf(subject: Subject, text: string): number | null {
  switch (subject.kind) {
    case 'quantile':
      return parseTimeMs(text);
    case 'good':
    case 'failed': {
      const match = /^(\d+(?:\.\d+)?)%$/.exec(text);
      return match === null || Number(match[1]) > 100 ? null : Number(match[1]) / 100;
    }
    case 'goodput': {
      const match = /^(\d+(?:\.\d+)?)(\/s)?$/.exec(text);
      return match === null ? null : Number(match[1]);
    }
    case 'ratio': {
      const match = /^(\d+(?:\.\d+)?)$/.exec(text);
      return match === null ? null : Number(match[1]);
    }
  }
}
