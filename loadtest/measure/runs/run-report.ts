// The report of a run, everything it says, as plain data: the JSON file is this, table and page are drawn from it. Made from
// RunStatistics when the run is over. Decides whether the run is valid, and which quantiles may be stated.
import { Random } from '../../../kernels/random.ts';
import { type Interval, quantileInterval, RESAMPLES, ratioInterval } from '../../statistics/bootstrap.ts';
import type { Histogram } from '../../statistics/histogram.ts';
import { refusalOf } from '../../statistics/quantile-bound.ts';
import { SLO_METRICS, type Slo } from '../play/slo.ts';
import { FORMULAS, LATENCIES, LATENCY_KEYS, type LatencyKey } from './latencies.ts';
import type { LatencySummary, Provenance, RunReport, TurnSample } from './report-schema.ts';
import type { RunStatistics } from './run-statistics.ts';
import { validityOf } from './validity.ts';

const FORMAT_VERSION = 1;

const QUANTILES = [0.5, 0.9, 0.95, 0.99] as const;
const CDF_POINTS = 160;
const SAMPLES_SHOWN = 4000;

export interface ReportInput {
  readonly provenance: Provenance;
  readonly statistics: RunStatistics;
  readonly loopDelay: Histogram;
  readonly slo: Slo;
  readonly voidShare: number;
  readonly stopReason: string | null;
  readonly elapsedMs: number;
  readonly ranOut: boolean; // sessions ended before the time did
}

export function runReport(input: ReportInput): RunReport {
  const { provenance, statistics, loopDelay, slo, stopReason } = input;
  const partial = stopReason !== null;
  const { counters, sample } = statistics;
  const random = new Random(provenance.seed);
  const endMs = partial ? input.elapsedMs : endOf(input);
  const windowMs = Math.max(0, endMs - provenance.warmupMs);
  const clusters = sample.clusters;
  return {
    format: 'sparklane loadtest run',
    formatVersion: FORMAT_VERSION,
    provenance,
    partial,
    stopReason,
    validity: validityOf({ statistics, loopDelay, slo, voidShare: input.voidShare }),
    slo,
    windowMs,
    counters: { ...counters },
    outcomes: Object.fromEntries(statistics.outcomes),
    errors: [...statistics.errors]
      .map(([kind, turns]) => ({ kind, turns, message: statistics.messages.get(kind) ?? '' }))
      .sort((a, b) => b.turns - a.turns),
    countedBy: Object.fromEntries(statistics.countedBy),
    rates: ratesOf(statistics, windowMs, random),
    latencies: LATENCY_KEYS.map((key) =>
      summaryOf(key, key === 'loopDelay' ? loopDelay : statistics.latencies[key], clusters, random),
    ),
    formulas: FORMULAS,
    stalls: statistics.stalls.cells,
    lanes: [...statistics.lanes.values()],
    samples: thinned(clusters.flat(), SAMPLES_SHOWN),
    sampleShare: sample.share,
    serverMetrics: null,
  };
}

// Nobody came any more once the sessions had run out: time without them says nothing of the server.
function endOf({ ranOut, statistics, provenance }: ReportInput): number {
  const { lastEndMs } = statistics;
  return ranOut && lastEndMs > provenance.warmupMs ? lastEndMs : Math.max(provenance.plannedMs, lastEndMs);
}

function ratesOf(
  { counters, outcomes, sample }: RunStatistics,
  windowMs: number,
  random: Random,
): RunReport['rates'] {
  const perSecond = (count: number) => (windowMs > 0 ? (count * 1000) / windowMs : null);
  const share = (part: number, whole: number) => (whole > 0 ? part / whole : null);
  const goodShare = shareEstimate(sample.clusters, (turn) => turn.good, random);
  const failedShare = shareEstimate(sample.clusters, (turn) => turn.failed, random);
  const finished = (outcomes.get('ok') ?? 0) + (outcomes.get('interrupted') ?? 0);
  const scale = perSecond(counters.turns);
  const goodput = perSecond(counters.good);
  return {
    requestsPerSecond: perSecond(finished),
    tokensPerSecond: counters.uncountedTurns > 0 ? null : perSecond(counters.outputTokens),
    goodputPerSecond: {
      value: goodput,
      interval:
        goodShare.interval === null || scale === null
          ? null
          : { low: goodShare.interval.low * scale, high: goodShare.interval.high * scale },
    },
    goodShare: { value: share(counters.good, counters.turns), interval: goodShare.interval },
    failedShare: { value: share(counters.turns - finished, counters.turns), interval: failedShare.interval },
    sessionGoodShare: share(counters.goodSessions, counters.sessions),
    servedCacheShare: share(counters.cachedTokens, counters.reportedPromptTokens),
    idealCacheShare:
      counters.reportedPromptTokens === 0
        ? null
        : share(counters.idealCachedTokens, counters.idealPromptTokens),
    promptLengthRatio: share(counters.reportedPromptTokens, counters.idealPromptTokens),
    acceptedPerStep:
      counters.acceptedTokens + counters.rejectedTokens === 0
        ? null // nothing was drafted
        : share(counters.speculatedTokens, counters.speculatedTokens - counters.acceptedTokens),
    wastedTokensPerStop: share(counters.wastedTokens, counters.interrupted),
    usefulEditShare: share(counters.usefulEdits, counters.editTurns),
  };
}

function shareEstimate(
  clusters: readonly (readonly TurnSample[])[],
  is: (turn: TurnSample) => boolean,
  random: Random,
): RunReport['rates']['goodShare'] {
  const sums = clusters.map((turns) => ({ numerator: turns.filter(is).length, denominator: turns.length }));
  const denominator = sums.reduce((sum, cluster) => sum + cluster.denominator, 0);
  const numerator = sums.reduce((sum, cluster) => sum + cluster.numerator, 0);
  if (denominator === 0) return { value: null, interval: null };
  const unanimous = numerator === 0 || numerator === denominator;
  const interval = unanimous
    ? unanimousInterval(numerator > 0, clusters.length)
    : ratioInterval(sums, random);
  return { value: numerator / denominator, interval };
}

// Resampling sessions that all agree knows no doubt, however few they are. The exact (Clopper-Pearson) bound does: with n
// sessions out of n, the share could be as low as 0.025^(1/n).
function unanimousInterval(all: boolean, sessionCount: number): Interval {
  const bound = 0.025 ** (1 / sessionCount);
  return all ? { low: bound, high: 1 } : { low: 0, high: 1 - bound };
}

function summaryOf(
  key: LatencyKey,
  histogram: Histogram,
  clusters: readonly (readonly TurnSample[])[],
  random: Random,
): LatencySummary {
  // What every turn has once: the intervals come from the sampled sessions.
  const metric = SLO_METRICS.find((one) => one === key);
  const values =
    metric === undefined || histogram.count === 0
      ? null
      : clusters.map((turns) => turns.map((turn) => turn[`${metric}Ms`]).filter((value) => value !== null));
  return {
    key,
    ...LATENCIES[key],
    count: histogram.count,
    meanMs: histogram.meanMs,
    minMs: histogram.minMs,
    maxMs: histogram.maxMs,
    quantiles: QUANTILES.map((q) => {
      const refusal = refusalOf(q, histogram.count);
      if (refusal !== null) return { q, ms: null, interval: null, refusal };
      const interval =
        values === null
          ? rankInterval(histogram, q)
          : quantileInterval(values, q, random, resamplesFor(values));
      return { q, ms: histogram.quantileMs(q), interval, refusal: null };
    }),
    cdf: histogram.cdf(CDF_POINTS),
  };
}

// Gaps are too many to keep by session: their interval takes them as independent, from the order statistics' ranks.
function rankInterval(histogram: Histogram, q: number): Interval | null {
  const n = histogram.count;
  if (n === 0) return null;
  const halfWidth = 1.96 * Math.sqrt((q * (1 - q)) / n); // normal approximation of the binomial, 95 %
  const at = (share: number) => histogram.quantileMs(Math.min(1 - 1e-9, Math.max(1e-9, share)))!;
  return { low: at(q - halfWidth), high: at(q + halfWidth) };
}

/** Fewer resamples of large samples: their intervals are narrow anyway, and a report should not take minutes. */
function resamplesFor(clusters: readonly (readonly number[])[]): number {
  const values = clusters.reduce((sum, cluster) => sum + cluster.length, 0);
  return Math.max(200, Math.min(RESAMPLES, Math.floor(5e6 / Math.max(1, values))));
}

/** Every k-th, so that at most `countMax` are left. */
function thinned<T>(values: readonly T[], countMax: number): T[] {
  const step = Math.max(1, Math.ceil(values.length / countMax));
  return values.filter((_, at) => at % step === 0);
}

export function latencyOf(report: RunReport, key: LatencyKey): LatencySummary {
  return report.latencies.find((summary) => summary.key === key)!;
}
