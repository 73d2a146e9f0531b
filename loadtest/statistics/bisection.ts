// Capacity search: the highest load that passes, bracketed by bisection on a logarithmic scale. Both ends of the final
// bracket are confirmed by repeats, so that neither a lucky run nor a disturbed one decides. Knows loads and verdicts
// only; what passing means is the caller's.

export interface SearchPlan {
  readonly low: number; // a load that should pass
  readonly high: number; // a load that should fail
  readonly tolerance: number; // the bracket is narrow enough when high / low ≤ 1 + tolerance
  readonly repeats: number; // runs whose majority decides at either end, the search's own run included; odd
}

export type TrialPhase = 'bracket' | 'bisect' | 'confirm';

interface Trial {
  readonly load: number;
  readonly passed: boolean;
  readonly phase: TrialPhase;
}

export type SearchResult =
  | {
      readonly kind: 'found';
      readonly capacity: number;
      readonly failsAt: number;
      readonly trials: readonly Trial[];
    }
  | { readonly kind: 'below'; readonly failsAt: number; readonly trials: readonly Trial[] } // even `low` fails
  | { readonly kind: 'above'; readonly capacity: number; readonly trials: readonly Trial[] }; // even `high` passes

/** One test at `load`; `round` counts the tests at that load, from 0. */
export type RunTrial = (load: number, round: number, phase: TrialPhase) => Promise<boolean>;

/**
 * Ends: every confirmed load narrows the range that is left, and no load is decided twice. Where single runs were
 * wrong, the search goes on below a low end that fails, or above a high end that passes.
 */
export async function searchCapacity(plan: SearchPlan, runTrial: RunTrial): Promise<SearchResult> {
  const jury = new Jury(plan.repeats, runTrial);
  const { trials } = jury;
  const stride = 1 + 2 * plan.tolerance;
  let { low, high } = plan;
  let passesAt = 0; // decided by a majority; 0: nothing yet
  let failsAt = Number.POSITIVE_INFINITY; // likewise
  if (!(await jury.ask(low, 'bracket'))) {
    if (!(await jury.decide(low))) return { kind: 'below', failsAt: low, trials };
    passesAt = low;
  }
  if ((await jury.ask(high, 'bracket')) && (await jury.decide(high)))
    return { kind: 'above', capacity: high, trials };
  for (;;) {
    while (high / low > 1 + plan.tolerance) {
      const middle = Number(Math.sqrt(low * high).toPrecision(4));
      if (middle <= low || middle >= high) break; // the tolerance is finer than the loads
      if (await jury.ask(middle, 'bisect')) low = middle;
      else high = middle;
    }
    if (low > passesAt && !(await jury.decide(low))) {
      if (low <= plan.low) return { kind: 'below', failsAt: low, trials };
      failsAt = high = low;
      low = Math.max(plan.low, passesAt, low / stride);
      continue;
    }
    passesAt = low;
    if (high >= failsAt || !(await jury.decide(high))) {
      return { kind: 'found', capacity: low, failsAt: high, trials };
    }
    if (high >= plan.high) return { kind: 'above', capacity: high, trials };
    passesAt = low = high;
    high = Math.min(plan.high, failsAt, high * stride);
  }
}

// What the runs at each load have said.
class Jury {
  readonly trials: Trial[] = [];
  readonly #repeats: number;
  readonly #runTrial: RunTrial;
  readonly #votes = new Map<number, { passes: number; count: number }>();

  constructor(repeats: number, runTrial: RunTrial) {
    this.#repeats = repeats;
    this.#runTrial = runTrial;
  }

  async ask(load: number, phase: TrialPhase): Promise<boolean> {
    const votes = this.#votes.get(load) ?? { passes: 0, count: 0 };
    this.#votes.set(load, votes);
    const passed = await this.#runTrial(load, votes.count, phase);
    this.trials.push({ load, passed, phase });
    votes.count++;
    if (passed) votes.passes++;
    return passed;
  }

  /** What most of `repeats` runs say; asks no more of them than needed. */
  async decide(load: number): Promise<boolean> {
    for (;;) {
      const { passes, count } = this.#votes.get(load) ?? { passes: 0, count: 0 };
      if (passes * 2 > this.#repeats) return true;
      if ((count - passes) * 2 > this.#repeats) return false;
      await this.ask(load, 'confirm');
    }
  }
}
