// What a simulated device's step costs in time. The interfaces that the GPU and wafer models implement, and the
// plainest model of all, for tests.
import {
  type BackendLimits,
  greedySampling,
  type StepCosts,
  type StepPlan,
  type StepRow,
} from '../backend.ts';
import type { Clock } from '../clock.ts';

/** A device that does one step after the other. Pure: a plan in, milliseconds out. */
export interface CostModel {
  /** Milliseconds the device is busy with this plan, > 0. */
  stepDurationMs(plan: StepPlan): number;
}

/** A device whose steps hinder each other (a pipeline): it says when each step is done, in its own time. */
export interface StepPace {
  /** Calls `answer` exactly once, never in the caller's stack, with the milliseconds the step took. */
  start(plan: StepPlan, answer: (deviceMs: number) => void): void;
  /** The seat's sequence has left. */
  readonly busyMs?: ArrayLike<number>; // [region] ms of work since the start; absent: it has none
  releaseSlot(replica: number, slot: number): void;
}

/** Steps that take what the cost model says, replicas independent of each other. */
export function costPace(costModel: CostModel, clock: Clock): StepPace {
  return {
    start(plan, answer) {
      const durationMs = costModel.stepDurationMs(plan);
      clock.schedule(durationMs, () => answer(durationMs));
    },
    releaseSlot() {},
  };
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

const costPosition = 512; // tokens of context at which costs are compared

/** What the engine may know of the model's costs: batches of decode rows, and rows of drafted tokens. */
export function modelledCosts(model: CostModel, limits: BackendLimits): StepCosts {
  const position = Math.min(costPosition, limits.slotTokensMax - limits.sampleCountMax);
  const decodeMs = Array.from({ length: limits.slotCount }, (_, index) =>
    model.stepDurationMs(emptyPlan(index + 1, { tokenCount: 1, position })),
  );
  const rowMs = Array.from({ length: limits.sampleCountMax }, (_, index) =>
    model.stepDurationMs(emptyPlan(1, { tokenCount: index + 1, position })),
  );
  return { decodeMs, rowMs };
}

function emptyPlan(
  rowCount: number,
  { tokenCount, position }: { tokenCount: number; position: number },
): StepPlan {
  const tokens = new Int32Array(tokenCount);
  const rows = Array.from(
    { length: rowCount },
    (_, slot): StepRow => ({
      sequenceId: slot,
      slot,
      position,
      tokens,
      sampleCount: tokenCount,
      sampling: greedySampling,
      promptCount: position,
      history: null,
      masks: null,
    }),
  );
  return { replica: 0, restores: [], rows, saves: [] };
}
