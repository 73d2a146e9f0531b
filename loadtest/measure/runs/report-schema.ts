// The shape of reports, once: as types for those who make and show them, as the schema of report.json that `--schema` prints, and
// that tests hold reports against. After it: run-report.ts, sweep.ts and comparison.ts.
import { z } from 'zod';
import { SLO_METRICS } from '../play/slo.ts';

const number = z.number();
const maybe = z.number().nullable();
const interval = z.object({ low: number, high: number }).nullable(); // 95 %
const estimate = z.object({ value: maybe, interval }); // of a share or a rate
const metric = z.enum(SLO_METRICS);
const slo = z.array(z.object({ metric, msMax: number }));
const gates = z.array(z.object({ text: z.string(), passed: z.boolean(), reason: z.string() }));
const counts = z.record(z.string(), number);

/** What of the provenance does not follow from the plan. */
const surroundings = {
  command: z.string(),
  startedAt: z.string().describe('ISO 8601; empty in virtual time'),
  device: z.string(), // as the server calls it, or "unknown"
  model: z.string(),
  clock: z.enum(['measured, wall clock', 'simulated, virtual clock']),
  machine: z.string(),
  node: z.string(),
  version: z.string(), // of sparklane
};

/** What was run, where and how: enough to run it again. */
const provenance = z.object({
  ...surroundings,
  target: z.string(),
  workload: z.string(), // with the sha256 of its trace
  workloadSource: z.string(),
  workloadNotes: z.array(z.string()),
  scale: number,
  load: z.string(),
  seed: number,
  plannedMs: number,
  warmupMs: number, // as stated, or as found
});

const latency = z.object({
  key: z.string(),
  name: z.string(),
  formula: z.string(),
  count: number,
  meanMs: maybe,
  minMs: maybe,
  maxMs: maybe,
  quantiles: z.array(
    // The interval is of whole-session bootstrap, where turns were sampled.
    z.object({ q: number, ms: maybe.describe('null: refused'), interval, refusal: z.string().nullable() }),
  ),
  cdf: z.array(z.object({ ms: number, share: number })),
});

const outcome = z.enum(['ok', 'interrupted', 'rejected', 'truncated', 'error', 'unfinished']);

/** As the server tells them. */
const serverMetrics = z
  .object({
    route: z.string(),
    samples: number, // pages read
    failures: number, // pages that could not be
    message: z.string().nullable(), // of the first failure
    series: z.array(
      z.object({
        name: z.string(), // with its labels, as the server writes them
        kind: z.string(), // counter, gauge, histogram, summary or untyped
        ...{ first: number, last: number }, // a counter's change is last − first
        ...{ min: number, max: number, mean: number },
      }),
    ),
  })
  .nullable();

/** Sums over a run. */
export const COUNTERS = [
  'turns', // counted
  'good',
  'outputTokens', // of turns whose tokens were counted
  'uncountedTurns', // with an answer whose tokens nobody counted
  'plannedPromptTokens',
  // Of turns whose server reported its cache:
  'reportedPromptTokens',
  'cachedTokens',
  'idealCachedTokens',
  'idealPromptTokens',
  // Of turns whose server reported its speculation:
  'speculatedTokens',
  'acceptedTokens',
  'rejectedTokens',
  'interrupted',
  'wastedTokens',
  'shortAnswers', // ended before the length that the trace asked for
  'editTurns',
  'usefulEdits',
  'warmupTurns',
  'unfinishedTurns',
  'sessions', // counted
  'goodSessions',
  'completeSessions',
  'skippedTurns', // planned after a failed turn, never sent
  'shedSessions', // arrivals that the load generator could not take
] as const;
export type Counters = Record<(typeof COUNTERS)[number], number>;

const run = z.object({
  format: z.literal('sparklane loadtest run'),
  formatVersion: number,
  provenance,
  partial: z.boolean(), // ended before its time
  stopReason: z.string().nullable(), // why
  validity: z.object({
    isVoid: z.boolean(),
    reasons: z.array(z.string()), // why it is void
    warnings: z.array(z.string()), // it counts, but know this
    rule: z.string(),
  }),
  slo,
  windowMs: number,
  counters: counts,
  outcomes: counts,
  errors: z.array(z.object({ kind: z.string(), turns: number, message: z.string() })),
  countedBy: counts,
  rates: z.object({
    requestsPerSecond: maybe,
    tokensPerSecond: maybe.describe('null: nobody counted the tokens of some turn'),
    goodputPerSecond: estimate,
    goodShare: estimate,
    failedShare: estimate,
    sessionGoodShare: maybe,
    servedCacheShare: maybe,
    idealCacheShare: maybe,
    promptLengthRatio: maybe, // reported / planned prompt tokens
    acceptedPerStep: maybe,
    wastedTokensPerStop: maybe,
    usefulEditShare: maybe,
  }),
  latencies: z.array(latency),
  formulas: z.record(z.string(), z.string()),
  stalls: z.array(z.object({ startMs: number, widthMs: number, boundMs: number, count: number })),
  lanes: z.array(
    z.object({
      session: number,
      name: z.string(),
      turns: z.array(
        z.object({ intendedMs: number, firstMs: maybe, endMs: number, outcome, good: z.boolean() }),
      ),
    }),
  ),
  // For scatter plots and the SLO matrix, at most some thousands. Milliseconds; null where it has no meaning.
  samples: z.array(
    z.object({
      ...{ session: number, turn: number, intendedMs: number },
      ...{ ttftMs: maybe, ttfoMs: maybe, tpotMs: maybe, stallMs: maybe, e2eMs: maybe },
      good: z.boolean(),
      failed: z.boolean(), // error, rejection or truncation
      inFlight: number,
    }),
  ),
  sampleShare: number, // of the sessions that intervals are made of
  serverMetrics,
});

const sweep = z.object({
  format: z.literal('sparklane loadtest sweep'),
  formatVersion: number,
  loadName: z.string(), // what `load` counts: sessions/s, users, trace speed
  // In the order they were run.
  points: z.array(
    z.object({
      load: number,
      phase: z.enum(['sweep', 'bracket', 'bisect', 'confirm']),
      passed: z.boolean().nullable(), // null in a sweep without a goal
      report: run,
    }),
  ),
  kneeLoad: maybe,
  kneeMethod: z.string(),
  capacity: z
    .object({
      goal: z.string(),
      result: z.enum(['found', 'below', 'above']),
      load: maybe, // highest that passed
      failsAt: maybe,
      tolerance: number,
      repeats: number,
    })
    .nullable(),
  partial: z.boolean(),
});

const pairedRatio = z.object({ ratio: number, interval, turnCount: number, sessionCount: number }).nullable();

const comparison = z.object({
  format: z.literal('sparklane loadtest comparison'),
  formatVersion: number,
  a: z.string(),
  b: z.string(),
  workload: z.string(),
  seed: number,
  blockCount: number,
  failedTurns: z.object({ a: number, b: number }),
  method: z.string(),
  slo: z.string(),
  surroundings: z.object(surroundings),
  rows: z.array(
    z.object({
      metric,
      aOverB: pairedRatio,
      aOverA: pairedRatio, // noise floor: second A over first A of each block
      bOverB: pairedRatio,
      meanMs: z.object({ a: maybe, b: maybe }),
    }),
  ),
  partial: z.boolean(),
});

/** Nobody changes a report. */
type Told<T> = T extends object ? { readonly [K in keyof T]: Told<T[K]> } : T;

export type Provenance = Told<z.output<typeof provenance>>;
export type Surroundings = Pick<Provenance, keyof typeof surroundings>;
export type LatencySummary = Told<z.output<typeof latency>>;
export type RunReport = Told<Omit<z.output<typeof run>, 'counters'>> & {
  readonly counters: Readonly<Counters>;
};
export type TurnSample = RunReport['samples'][number];
export type LaneReport = RunReport['lanes'][number];
export type SweepReport = Omit<Told<z.output<typeof sweep>>, 'points'> & {
  readonly points: readonly SweepPoint[];
};
export type SweepPoint = Omit<Told<z.output<typeof sweep>>['points'][number], 'report'> & {
  readonly report: RunReport;
};
export type ComparisonReport = Told<z.output<typeof comparison>>;

const sweeps = z.object({
  format: z.literal('sparklane loadtest sweeps'),
  formatVersion: number,
  sweeps: z.array(sweep),
});

/** Everything that report.json may be. Every number is finite: JSON has no others. */
export const reportSchema = z.discriminatedUnion('format', [
  z.strictObject({ ...run.shape, gates }),
  z.strictObject({ ...sweep.shape, gates }),
  z.strictObject({ ...sweeps.shape, gates }),
  z.strictObject({ ...comparison.shape, gates }),
]);

export function reportJsonSchema(): unknown {
  return {
    title: 'Sparklane load test report',
    ...z.toJSONSchema(reportSchema, { target: 'draft-2020-12' }),
  };
}
