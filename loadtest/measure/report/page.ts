// The HTML report: one file, no script, nothing fetched. Lays out what charts.ts draws and the numbers of the reports.
// Pure: a string out.

import { formatInterval, formatMs, formatNumber, formatShare, MISSING } from '../../show/format.ts';
import { definitions, htmlTable, type MarkupCell, tiles } from '../../show/markup.ts';
import { escaped, framedPage, section } from '../../show/page-frame.ts';
import { formatSlo } from '../play/slo.ts';
import type { GateResult } from '../runs/gate.ts';
import type { ComparisonReport, RunReport, SweepReport } from '../runs/report-schema.ts';
import type { ScrapeReport } from '../runs/scrape.ts';
import { forestPlot, latencyCdf, sloMatrix, stallHeatMap, swimLanes, ttftAgainstLoad } from './charts.ts';
import { latencyCurves, throughputCurves } from './sweep-charts.ts';
import { capacityText } from './table.ts';

export interface PageInput {
  readonly run: RunReport | null; // the run that is shown in detail
  readonly sweeps: readonly SweepReport[];
  readonly comparison: ComparisonReport | null;
  readonly gates: readonly GateResult[];
}

export function reportPage({ run, sweeps, comparison, gates }: PageInput): string {
  const [sweep = null] = sweeps;
  const title =
    comparison !== null
      ? 'Comparison'
      : sweep !== null
        ? sweep.capacity === null
          ? 'Load sweep'
          : 'Capacity search'
        : 'Load test';
  const parts: string[] = [];
  if (comparison !== null) parts.push(comparisonParts(comparison));
  for (const each of sweeps) parts.push(sweepParts(each));
  if (run !== null) parts.push(runParts(run, sweep));
  if (run?.serverMetrics != null) parts.push(serverSection(run.serverMetrics));
  if (gates.length > 0) parts.push(gateSection(gates));
  if (run !== null) parts.push(formulaSection(run), provenanceSection(run));
  return framedPage(title, headerLines(run, comparison), parts.join('\n'));
}

function headerLines(run: RunReport | null, comparison: ComparisonReport | null): string {
  const lines: string[] = [];
  if (comparison !== null) {
    lines.push(`<p>A: <b>${escaped(comparison.a)}</b></p><p>B: <b>${escaped(comparison.b)}</b></p>`);
    lines.push(
      `<p class="soft">${escaped(comparison.workload)}, ${comparison.blockCount} ABBA blocks, seed ${comparison.seed}</p>`,
    );
    if (comparison.partial) lines.push('<p class="verdict bad">Partial: stopped by hand</p>');
  }
  if (run !== null) {
    const { provenance: p, validity, stopReason } = run;
    lines.push(`<p><b>${escaped(p.target)}</b> · ${escaped(p.model)} · ${escaped(p.device)}</p>`);
    lines.push(
      `<p class="soft">${escaped(p.workload)} · ${escaped(p.load)} · seed ${p.seed} · ${p.clock}</p>`,
    );
    lines.push(
      validity.isVoid
        ? `<p class="verdict bad">Void</p>${validity.reasons.map((reason) => `<p>${escaped(reason)}</p>`).join('')}`
        : '<p class="verdict">Valid</p>',
    );
    if (stopReason !== null) lines.push(` <p class="verdict bad">Partial: ${escaped(stopReason)}</p>`);
    for (const warning of validity.warnings) lines.push(`<p class="soft">Note: ${escaped(warning)}</p>`);
  }
  return lines.join('\n');
}

function runParts(run: RunReport, sweep: SweepReport | null): string {
  const shown =
    sweep === null ? '' : `<p class="soft">In detail: the run at ${escaped(run.provenance.load)}.</p>`;
  const sections = [
    section(
      'Latencies',
      'Distribution from the intended send time. Dashed red: the TTFT objective.',
      latencyCdf(run) + latencyTable(run),
    ),
    sweep === null ? section('TTFT against load', 'Each dot is a turn.', ttftAgainstLoad([run], null)) : '',
    section(
      'Objective matrix',
      'Share of turns that would be good under other objectives; failures are never good.',
      sloMatrix(run),
    ),
    section(
      'Sessions',
      'The first sessions of the run, one lane each. Yellow: waiting for the first token. Blank: a tool runs, or the person reads.',
      swimLanes(run),
    ),
    section(
      'Stalls',
      'Gaps between bursts inside answers, by when they began and how long they were.',
      stallHeatMap(run),
    ),
    errorSection(run),
  ];
  return `${shown}${summaryTiles(run)}\n${sections.join('\n')}`;
}

function summaryTiles({ rates, counters, slo }: RunReport): string {
  const rows: [string, string, string][] = [
    ['Goodput', formatNumber(rates.goodputPerSecond.value, '/s'), `good turns per second: ${formatSlo(slo)}`],
    [
      'Good',
      formatShare(rates.goodShare.value),
      formatInterval(rates.goodShare.interval, formatShare) || 'share of turns',
    ],
    [
      'Requests',
      formatNumber(rates.requestsPerSecond, '/s'),
      `${counters.turns} turns, ${counters.sessions} sessions counted`,
    ],
    [
      'Tokens',
      formatNumber(rates.tokensPerSecond, '/s'),
      `${counters.outputTokens.toLocaleString('en-US')} output tokens`,
    ],
    ['Sessions all good', formatShare(rates.sessionGoodShare), 'every turn inside the objective'],
    [
      'Cache served',
      formatShare(rates.servedCacheShare),
      `ideal for this trace ${formatShare(rates.idealCacheShare)}`,
    ],
  ];
  if (rates.acceptedPerStep !== null)
    rows.push(['Tokens per step', formatNumber(rates.acceptedPerStep), 'with accepted drafts']);
  if (counters.interrupted > 0)
    rows.push([
      'Wasted per stop',
      formatNumber(rates.wastedTokensPerStop, ' tok'),
      `${counters.interrupted} stops`,
    ]);
  if (counters.editTurns > 0)
    rows.push(['Useful edits', formatShare(rates.usefulEditShare), 'had a hunk that applies']);
  return tiles(rows);
}

const LATENCY_HEAD = ['', 'count', 'mean', 'p50', 'p90', 'p95', 'p99', 'max', 'p95, 95 % interval'];

function latencyTable({ latencies }: RunReport): string {
  const rows = latencies
    .filter(({ count }) => count > 0)
    .map(({ name, formula, count, meanMs, maxMs, quantiles }): MarkupCell[] => [
      { text: name, title: formula },
      count.toLocaleString('en-US'),
      formatMs(meanMs),
      ...quantiles.map(({ ms, refusal }) =>
        refusal === null ? formatMs(ms) : { text: 'refused', kind: 'refused', title: refusal },
      ),
      formatMs(maxMs),
      formatInterval(quantiles[2]?.interval ?? null, formatMs),
    ]);
  return htmlTable(LATENCY_HEAD, rows);
}

function errorSection({ errors }: RunReport): string {
  if (errors.length === 0) return '';
  const rows = errors.map(({ kind, turns, message }) => [
    kind,
    String(turns),
    { text: message, kind: 'text' },
  ]);
  const head = ['kind', 'turns', { text: 'first message', kind: 'text' }];
  return section('Errors', 'By kind; each is a miss.', htmlTable(head, rows));
}

function sweepParts(sweep: SweepReport): string {
  const rows = sweep.points.map(({ load, phase, passed, report }): MarkupCell[] => {
    const { requestsPerSecond, tokensPerSecond, goodputPerSecond, goodShare } = report.rates;
    const verdict = report.validity.isVoid ? 'void' : passed === null ? '' : passed ? 'passes' : 'fails';
    const colour = passed === true ? 'good' : verdict === '' ? '' : 'bad';
    const rates = [requestsPerSecond, tokensPerSecond, goodputPerSecond.value].map((value) =>
      formatNumber(value),
    );
    return [
      formatNumber(load),
      phase,
      ...rates,
      formatShare(goodShare.value),
      { text: verdict, kind: colour },
    ];
  });
  const head = [sweep.loadName, 'phase', 'requests/s', 'tokens/s', 'goodput/s', 'good', 'verdict'];
  const found = sweep.capacity === null ? '' : `<p>Capacity: <b>${escaped(capacityText(sweep))}</b></p>`;
  const knee = `<p class="soft">Knee: ${sweep.kneeLoad === null ? 'none' : formatNumber(sweep.kneeLoad)}; ${escaped(sweep.kneeMethod)}</p>`;
  const table = htmlTable(head, rows);
  const name = escaped(sweep.loadName);
  return (
    section(
      `TTFT against ${name}`,
      'Vertical bars: 95 % intervals.',
      found + ttftAgainstLoad([], sweep) + knee + table,
    ) +
    section(
      `Throughput against ${name}`,
      'Requests, good requests and tokens per second.',
      throughputCurves(sweep),
    ) +
    section(
      `E2E and TPOT against ${name}`,
      'Medians and p90, where there were answers enough.',
      latencyCurves(sweep),
    )
  );
}

function comparisonParts(report: ComparisonReport): string {
  const ratio = (value: ComparisonReport['rows'][number]['aOverB']) =>
    value === null
      ? MISSING
      : `${value.ratio.toFixed(3)} ${formatInterval(value.interval, (number) => number.toFixed(3))}`;
  const rows = report.rows.map(({ metric, meanMs, aOverB, aOverA }) => [
    ...[metric, formatMs(meanMs.a), formatMs(meanMs.b), ratio(aOverB), ratio(aOverA)],
    String(aOverB?.turnCount ?? 0),
  ]);
  const table = htmlTable(['', 'mean A', 'mean B', 'A/B', 'noise A/A', 'turns'], rows);
  const { surroundings: s } = report;
  const where = definitions([
    ['machine', `${s.machine}, Node ${s.node}`],
    ['clock', s.clock],
    ['started', s.startedAt || MISSING],
    ['command', s.command],
  ]);
  const failed = `<p class="soft">Failed turns: ${report.failedTurns.a} of A, ${report.failedTurns.b} of B.</p>`;
  return section('A against B', escaped(report.method), forestPlot(report) + table + failed + where);
}

const SERIES_SHOWN = 60;

/** What moved comes first. */
function serverSection({ route, samples, failures, message, series }: ScrapeReport): string {
  const moved = series.filter(({ min, max }) => min !== max);
  const rows = moved.slice(0, SERIES_SHOWN).map(({ name, kind, first, last, min, max, mean }) => {
    const numbers = kind === 'gauge' ? [min, mean, max] : [first, last, last - first];
    return [{ text: name, kind: 'text' }, kind, ...numbers.map((value) => formatNumber(value))];
  });
  const failed = failures === 0 ? '' : `, ${failures} could not be read: ${escaped(message ?? '')}`;
  const head = ['series', 'kind', 'least, or first', 'mean, or last', 'most, or change'];
  return section(
    'The server’s own metrics',
    `${escaped(route)}, read ${samples} times${failed}; ${moved.length} of ${series.length} series moved${moved.length > SERIES_SHOWN ? `, ${SERIES_SHOWN} are shown` : ''}, report.json has all.`,
    htmlTable(head, rows),
  );
}

function gateSection(gates: readonly GateResult[]): string {
  const rows = gates.map(({ text, passed, reason }) => [
    text,
    { text: passed ? 'holds' : 'fails', kind: passed ? 'good' : 'bad' },
    { text: reason, kind: 'text' },
  ]);
  return section(
    'Gates',
    'A gate holds only if the whole interval is inside the bound.',
    htmlTable(null, rows),
  );
}

function formulaSection({ latencies, formulas, validity }: RunReport): string {
  const used = latencies
    .filter(({ count }) => count > 0)
    .map(({ name, formula }) => [name, formula] as const);
  const rows = [...used, ...Object.entries(formulas), ['validity', validity.rule] as const];
  return section('Formulas', '', definitions(rows));
}

function provenanceSection({
  provenance: p,
  formatVersion,
  countedBy,
  sampleShare,
  rates,
}: RunReport): string {
  const rows: [string, string][] = [
    ['command', p.command],
    ['started', p.startedAt || MISSING],
    ['clock', p.clock],
    ['target', p.target],
    ['model, device', `${p.model}, ${p.device}`],
    ['workload', p.workload],
    ['source', p.workloadSource],
    ...p.workloadNotes.map((note): [string, string] => ['', note]),
    ['scale', `token counts divided by ${p.scale}`],
    ['prompt length', `${formatNumber(rates.promptLengthRatio)} × planned, as the server counts`],
    ['load', p.load],
    ['seed', String(p.seed)],
    ['planned, warm-up', `${formatMs(p.plannedMs)}, ${formatMs(p.warmupMs)}`],
    [
      'tokens counted by',
      Object.entries(countedBy)
        .map(([how, turns]) => `${how}: ${turns} turns`)
        .join(', '),
    ],
    ['sampled sessions', `${formatShare(sampleShare)} of all, for intervals and dots`],
    ['machine', p.machine],
    ['node, sparklane', `${p.node}, ${p.version}; report format ${formatVersion}`],
  ];
  return section('Provenance', '', definitions(rows));
}
