// Reports as text for a terminal. Pure: strings out. The page (page.ts) shows the same numbers with charts.

import { formatInterval, formatMs, formatNumber, formatShare, MISSING } from '../../show/format.ts';
import { columns } from '../../show/text-table.ts';
import { formatPercent } from '../../statistics/quantile-bound.ts';
import { formatSlo } from '../play/slo.ts';
import type { GateResult } from '../runs/gate.ts';
import type { ComparisonReport, LatencySummary, RunReport, SweepReport } from '../runs/report-schema.ts';
import { latencyOf } from '../runs/run-report.ts';

export function runTable(report: RunReport): string {
  const { provenance: p, rates, counters } = report;
  const lines = [
    `target    ${p.target} · ${p.model} · ${p.device}`,
    `workload  ${p.workload}, ${p.load}, seed ${p.seed} (${p.clock})`,
    `machine   ${p.machine}, Node ${p.node}`,
    `slo       ${formatSlo(report.slo)}`,
    verdictLine(report),
    '',
    ...latencyLines(report.latencies.filter(({ count }) => count > 0)),
    '',
    `turns     ${counters.turns} counted in ${formatMs(report.windowMs)} (${counters.warmupTurns} in warm-up, ${counters.unfinishedTurns} unfinished); ${outcomeText(report)}`,
    `rate      ${formatNumber(rates.requestsPerSecond)} requests/s, ${formatNumber(rates.tokensPerSecond)} tokens/s; tokens counted by ${Object.keys(report.countedBy).join(', ') || MISSING}`,
    `goodput   ${formatNumber(rates.goodputPerSecond.value)} good requests/s ${formatInterval(rates.goodputPerSecond.interval, formatNumber)} = ${formatShare(rates.goodShare.value)} ${formatInterval(rates.goodShare.interval, formatShare)}`,
    `sessions  ${counters.sessions} counted, ${counters.completeSessions} complete, every turn good in ${formatShare(rates.sessionGoodShare)}`,
    `cache     served ${formatShare(rates.servedCacheShare)} of prompt tokens, ideal for this trace ${formatShare(rates.idealCacheShare)}; prompts ${formatNumber(rates.promptLengthRatio)}× the planned length`,
  ];
  if (rates.acceptedPerStep !== null)
    lines.push(`drafts    ${formatNumber(rates.acceptedPerStep)} tokens per step`);
  if (counters.interrupted > 0) {
    lines.push(
      `stops     ${counters.interrupted}, ${formatNumber(rates.wastedTokensPerStop)} tokens wasted per stop`,
    );
  }
  if (counters.editTurns > 0)
    lines.push(`edits     ${formatShare(rates.usefulEditShare)} contained a hunk that applies`);
  for (const { kind, turns, message } of report.errors)
    lines.push(`error     ${turns} × ${kind}${message === '' ? '' : `: ${message}`}`);
  if (report.serverMetrics !== null) {
    const { samples, failures, series, route } = report.serverMetrics;
    lines.push(
      `server    ${route} read ${samples} times${failures === 0 ? '' : `, ${failures} times in vain`}: ${series.length} series in report.json`,
    );
  }
  for (const warning of report.validity.warnings) lines.push(`note      ${warning}`);
  for (const note of p.workloadNotes) lines.push(`workload  ${note}`);
  return `${lines.join('\n')}\n`;
}

/** Each number's formula; printed once, under the tables. */
export function formulaLines(report: RunReport): string {
  const used = report.latencies
    .filter(({ count }) => count > 0)
    .map(({ name, formula }) => `  ${name} = ${formula}`);
  const others = Object.entries(report.formulas).map(([name, formula]) => `  ${name} = ${formula}`);
  return `Formulas\n${[...used, ...others].join('\n')}\n  ${report.validity.rule}\n`;
}

function verdictLine({ validity, stopReason }: RunReport): string {
  const stopped = stopReason === null ? '' : `PARTIAL, ${stopReason} · `;
  return validity.isVoid
    ? `verdict   ${stopped}VOID: ${validity.reasons.join('; ')}`
    : `verdict   ${stopped}valid`;
}

function latencyLines(latencies: readonly LatencySummary[]): string[] {
  const header = ['', 'count', 'mean', 'p50', 'p90', 'p95', 'p99', 'max', 'p95, 95 % interval'];
  const rows = latencies.map(({ name, count, meanMs, maxMs, quantiles }) => [
    name,
    String(count),
    formatMs(meanMs),
    ...quantiles.map(({ ms, refusal }) => (refusal === null ? formatMs(ms) : 'refused')),
    formatMs(maxMs),
    formatInterval(quantiles[2]?.interval ?? null, formatMs),
  ]);
  const refusals = new Set(
    latencies.flatMap(({ quantiles }) =>
      quantiles.filter(({ refusal }) => refusal !== null).map(({ q }) => q),
    ),
  );
  const why = [...refusals].sort().map((q) => `p${formatPercent(q)}`);
  const lines = columns([header, ...rows], 1);
  if (why.length > 0)
    lines.push(
      `refused: too few samples to bound ${why.join(', ')} with 95 % confidence (36 for p90, 72 for p95, 368 for p99)`,
    );
  return lines;
}

function outcomeText({ outcomes }: RunReport): string {
  return Object.entries(outcomes)
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ');
}

export function sweepTable(report: SweepReport): string {
  const header = [
    report.loadName,
    'phase',
    'TTFT p50',
    'TTFT p90',
    'stall p90',
    'tokens/s',
    'goodput/s',
    'good',
    'verdict',
  ];
  const rows = report.points.map(({ load, phase, passed, report: run }) => {
    const quantile = (key: 'ttft' | 'stall', q: number) =>
      formatMs(latencyOf(run, key).quantiles.find((entry) => entry.q === q)!.ms);
    return [
      formatNumber(load),
      phase,
      quantile('ttft', 0.5),
      quantile('ttft', 0.9),
      quantile('stall', 0.9),
      formatNumber(run.rates.tokensPerSecond),
      formatNumber(run.rates.goodputPerSecond.value),
      formatShare(run.rates.goodShare.value),
      run.validity.isVoid ? 'void' : passed === null ? '' : passed ? 'passes' : 'fails',
    ];
  });
  const lines = columns([header, ...rows], 1);
  lines.push(
    '',
    `knee      ${report.kneeLoad === null ? 'none' : formatNumber(report.kneeLoad)} (${report.kneeMethod})`,
  );
  if (report.capacity !== null) lines.push(`capacity  ${capacityText(report)}`);
  if (report.partial) lines.push('PARTIAL, stopped by hand');
  return `${lines.join('\n')}\n`;
}

export function capacityText({ capacity, loadName }: SweepReport): string {
  if (capacity === null) return MISSING;
  const { result, load, failsAt, goal, tolerance, repeats } = capacity;
  const how = `${goal}; bracket within ${tolerance * 100} %, confirmed by the majority of ${repeats} runs`;
  if (result === 'below') return `below ${formatNumber(failsAt)} ${loadName}: the lowest load fails (${how})`;
  if (result === 'above') return `above ${formatNumber(load)} ${loadName}: the highest load passes (${how})`;
  return `${formatNumber(load)} ${loadName}, fails at ${formatNumber(failsAt)} (${how})`;
}

export function comparisonTable(report: ComparisonReport): string {
  const ratio = (value: ComparisonReport['rows'][number]['aOverB']) =>
    value === null
      ? MISSING
      : `${value.ratio.toFixed(3)} ${formatInterval(value.interval, (number) => number.toFixed(3))}`;
  const rows = report.rows.map(({ metric, aOverB, aOverA, bOverB, meanMs }) => [
    metric,
    formatMs(meanMs.a),
    formatMs(meanMs.b),
    ratio(aOverB),
    ratio(aOverA),
    ratio(bOverB),
    aOverB === null ? '0' : `${aOverB.turnCount} in ${aOverB.sessionCount}`,
  ]);
  const header = ['', 'mean A', 'mean B', 'A/B [95 %]', 'noise A/A', 'noise B/B', 'turns in sessions'];
  return [
    `A         ${report.a}`,
    `B         ${report.b}`,
    `workload  ${report.workload}, ${report.blockCount} ABBA blocks, seed ${report.seed}${report.partial ? ' · PARTIAL, stopped by hand' : ''}`,
    `failed    ${report.failedTurns.a} turns of A, ${report.failedTurns.b} of B`,
    '',
    ...columns([header, ...rows], 1),
    `ratio below 1: A is faster. ${report.method}`,
    '',
  ].join('\n');
}

export function gateTable(results: readonly GateResult[]): string {
  return results
    .map(({ text, passed, reason }) => `gate      ${passed ? 'holds' : 'FAILS'}  ${text}: ${reason}\n`)
    .join('');
}
