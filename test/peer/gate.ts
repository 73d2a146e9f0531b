// The regression gate: ratios of this run against committed ones. Ratios only, never times: those belong to a machine at
// a minute. A ratio fails when even the upper end of its interval is below the committed one less the tolerance.
import type { CellResult, Comparison } from './contest.ts';

/** By cell, by opponent. */
export type Ratios = Readonly<Record<string, Readonly<Record<string, number>>>>;

export interface CommittedRatios {
  readonly tolerance: number; // share of a ratio that may be lost
  readonly machine: string; // for people: where they were measured
  readonly ratios: Ratios;
}

export interface Verdict {
  readonly cell: string;
  readonly against: string;
  readonly measured: Comparison;
  readonly committed: number | null; // null: a new one
  readonly passes: boolean;
}

export function judge(results: Readonly<Record<string, CellResult>>, committed: CommittedRatios): Verdict[] {
  return Object.entries(results).flatMap(([cell, { against }]) =>
    Object.entries(against).map(([name, measured]) => {
      const expected = committed.ratios[cell]?.[name] ?? null;
      const best = measured.interval?.high ?? measured.speedup;
      const passes = expected === null || best >= expected * (1 - committed.tolerance);
      return { cell, against: name, measured, committed: expected, passes };
    }),
  );
}

/** The committed ratios with those of this run in their place; what was not measured stays. */
export function blessed(
  committed: CommittedRatios,
  results: Readonly<Record<string, CellResult>>,
  machine: string,
): CommittedRatios {
  const ratios: Record<string, Readonly<Record<string, number>>> = { ...committed.ratios };
  for (const [cell, { against }] of Object.entries(results)) {
    ratios[cell] = Object.fromEntries(
      Object.entries(against).map(([name, { speedup }]) => [name, Number(speedup.toPrecision(3))]),
    );
  }
  return { ...committed, machine, ratios };
}
