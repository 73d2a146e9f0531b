// Capacity search: the highest load that passes, bracketed by bisection on a logarithmic scale and confirmed by
// repeats. Knows loads and verdicts only; what passing means is the caller's.

export interface SearchPlan {
  readonly low: number; // a load that should pass
  readonly high: number; // a load that should fail
  readonly tolerance: number; // the bracket is narrow enough when high / low ≤ 1 + tolerance
  readonly repeats: number; // runs that must agree at the capacity, the search's own run included; odd
}

interface Trial {
  readonly load: number;
  readonly passed: boolean;
  readonly phase: 'bracket' | 'bisect' | 'confirm';
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

/**
 * `trial(load, round)` runs one test; `round` counts the trials at one load, from 0. A capacity
 * that a majority of its repeats does not confirm counts as failing, and the search goes on below it.
 */
export async function searchCapacity(
  plan: SearchPlan,
  trial: (load: number, round: number) => Promise<boolean>,
): Promise<SearchResult> {
  const trials: Trial[] = [];
  const run = async (load: number, round: number, phase: Trial['phase']) => {
    const passed = await trial(load, round);
    trials.push({ load, passed, phase });
    return passed;
  };
  let { low, high } = plan;
  if (!(await run(low, 0, 'bracket'))) return { kind: 'below', failsAt: low, trials };
  if (await run(high, 0, 'bracket')) return { kind: 'above', capacity: high, trials };
  for (;;) {
    while (high / low > 1 + plan.tolerance) {
      const middle = Number(Math.sqrt(low * high).toPrecision(4));
      if (await run(middle, 0, 'bisect')) low = middle;
      else high = middle;
    }
    let passes = 1; // the bisection's own run
    for (let round = 1; round < plan.repeats; round++) {
      if (await run(low, round, 'confirm')) passes++;
    }
    if (passes * 2 > plan.repeats) return { kind: 'found', capacity: low, failsAt: high, trials };
    if (low <= plan.low) return { kind: 'below', failsAt: low, trials };
    high = low;
    low = Math.max(plan.low, low / (1 + 2 * plan.tolerance));
  }
}
