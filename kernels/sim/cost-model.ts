// What a simulated device's step costs in time. The interface that the GPU and wafer models implement, and the
// plainest model of all, for tests. Pure: a plan in, milliseconds out.
import type { StepPlan } from '../backend.ts';

export interface CostModel {
  /** Milliseconds the device is busy with this plan, > 0. */
  stepDurationMs(plan: StepPlan): number;
}

export interface LinearCosts {
  readonly stepMs: number; // launching anything at all
  readonly rowMs: number; // each row
  readonly tokenMs: number; // each token of a row
  readonly blockMs: number; // each block restored or saved
}

/** A device whose time is a sum of counts. */
export function linearCostModel(costs: LinearCosts): CostModel {
  return {
    stepDurationMs(plan) {
      let tokenCount = 0;
      let blockCount = plan.saves.length;
      for (const row of plan.rows) tokenCount += row.tokens.length;
      for (const restore of plan.restores) blockCount += restore.blocks.length;
      return (
        costs.stepMs +
        plan.rows.length * costs.rowMs +
        tokenCount * costs.tokenMs +
        blockCount * costs.blockMs
      );
    },
  };
}
