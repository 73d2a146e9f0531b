// The shape of report.json as a schema: what `--schema` prints, and what tests hold reports against. The types of the reports
// stay where they are made; the compiler holds both together.
import { z } from 'zod';
import type { ComparisonReport } from '../runs/comparison.ts';
import type { RunReport } from '../runs/run-report.ts';
import type { SweepReport } from '../runs/sweep.ts';

const number = z.number();
const maybe = z.number().nullable();
const interval = z.object({ low: number, high: number }).nullable();
const estimate = z.object({ value: maybe, interval });
const slo = z.array(z.object({ metric: z.enum(['ttft', 'ttfo', 'tpot', 'stall', 'e2e']), msMax: number }));
const gates = z.array(z.object({ text: z.string(), passed: z.boolean(), reason: z.string() }));
const counts = z.record(z.string(), number);

const surroundings = {
  command: z.string(),
  startedAt: z.string().describe('ISO 8601; empty in virtual time'),
  device: z.string(),
  model: z.string(),
  clock: z.enum(['measured, wall clock', 'simulated, virtual clock']),
  machine: z.string(),
  node: z.string(),
  version: z.string(),
};

const provenance = z.object({
  ...surroundings,
  target: z.string(),
  workload: z.string(),
  workloadSource: z.string(),
  workloadNotes: z.array(z.string()),
  scale: number,
  load: z.string(),
  seed: number,
  plannedMs: number,
  warmupMs: number,
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
    z.object({ q: number, ms: maybe.describe('null: refused'), interval, refusal: z.string().nullable() }),
  ),
  cdf: z.array(z.object({ ms: number, share: number })),
});

const outcome = z.enum(['ok', 'interrupted', 'rejected', 'truncated', 'error', 'unfinished']);

const serverMetrics = z
  .object({
    route: z.string(),
    samples: number,
    failures: number,
    message: z.string().nullable(),
    series: z.array(
      z.object({
        ...{ name: z.string(), kind: z.string(), first: number, last: number },
        ...{ min: number, max: number, mean: number },
      }),
    ),
  })
  .nullable();

const run = z.object({
  format: z.literal('sparklane loadtest run'),
  formatVersion: number,
  provenance,
  partial: z.boolean(),
  stopReason: z.string().nullable(),
  validity: z.object({
    isVoid: z.boolean(),
    reasons: z.array(z.string()),
    warnings: z.array(z.string()),
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
    promptLengthRatio: maybe,
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
  samples: z.array(
    z.object({
      ...{ session: number, turn: number, intendedMs: number },
      ...{ ttftMs: maybe, ttfoMs: maybe, tpotMs: maybe, stallMs: maybe, e2eMs: maybe },
      ...{ good: z.boolean(), failed: z.boolean(), inFlight: number },
    }),
  ),
  sampleShare: number,
  serverMetrics,
});

const sweep = z.object({
  format: z.literal('sparklane loadtest sweep'),
  formatVersion: number,
  loadName: z.string(),
  points: z.array(
    z.object({
      load: number,
      phase: z.enum(['sweep', 'bracket', 'bisect', 'confirm']),
      passed: z.boolean().nullable(),
      report: run,
    }),
  ),
  kneeLoad: maybe,
  kneeMethod: z.string(),
  capacity: z
    .object({
      goal: z.string(),
      result: z.enum(['found', 'below', 'above']),
      load: maybe,
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
      metric: z.enum(['ttft', 'ttfo', 'tpot', 'stall', 'e2e']),
      aOverB: pairedRatio,
      aOverA: pairedRatio,
      bOverB: pairedRatio,
      meanMs: z.object({ a: maybe, b: maybe }),
    }),
  ),
  partial: z.boolean(),
});

// A field that a type has and its schema has not, or that differs, does not compile.
type Same<A, B> = keyof A extends keyof B ? (keyof B extends keyof A ? true : false) : false;
const held: [
  Same<z.output<typeof run>, RunReport>,
  Same<z.output<typeof sweep>, SweepReport>,
  Same<z.output<typeof comparison>, ComparisonReport>,
  Same<z.output<typeof run>['rates'], RunReport['rates']>,
  Same<z.output<typeof provenance>, RunReport['provenance']>,
] = [true, true, true, true, true];
void held;

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
