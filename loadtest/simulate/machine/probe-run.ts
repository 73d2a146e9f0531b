// ProbeRun: one decoder of random weights on this machine's real kernels, and the times of its steps. Owns the backend while it
// is timed. Before it: measure.ts; after it: kernels/onnx.
import { type Backend, greedySampling, type StepOutcome, type StepRow } from '../../../kernels/backend.ts';

/** What is timed: sequences or tokens of one step, and the context behind each. */
export interface TimedStep {
  readonly rowCount: number;
  readonly tokenCount: number; // of each row
  readonly contextTokens: number;
}

/** Milliseconds by keyOf. */
export type TimesByStep = ReadonlyMap<string, number>;

const rounds = 4; // of decode: the last one is timed, as the server draws several at a stretch
const repeatsMin = 3;

/**
 * Milliseconds of each step, the quickest of as many repeats as `budgetMs` has room for, at least three after one that warms up:
 * whatever else the machine did only adds. Steps are taken round robin. Rejects when a step fails.
 */
export async function timeSteps(
  backend: Backend,
  steps: readonly TimedStep[],
  { nowMs, budgetMs }: { readonly nowMs: () => number; readonly budgetMs: number },
): Promise<TimesByStep> {
  const least = steps.map(() => Number.POSITIVE_INFINITY);
  const startMs = nowMs();
  for (let repeat = 0; repeat <= repeatsMin || nowMs() - startMs < budgetMs; repeat++) {
    for (const [index, step] of steps.entries()) {
      const before = steps[index - 1];
      // A seat holds what it held at the step before, if it was in it.
      const fills = step.contextTokens !== before?.contextTokens || step.rowCount > before.rowCount;
      const ms = await timeOne(backend, step, fills);
      if (repeat > 0) least[index] = Math.min(least[index]!, ms);
    }
  }
  return new Map(steps.map((step, index) => [keyOf(step), least[index]!]));
}

/** How a step is found among its times. */
export function keyOf({ rowCount, tokenCount, contextTokens }: TimedStep): string {
  return `${rowCount}x${tokenCount}@${contextTokens}`;
}

// `fills`: contexts change, so that blocks of zeros come under the rows first: attention reads them as any others.
async function timeOne(backend: Backend, step: TimedStep, fills: boolean): Promise<number> {
  const { rowCount, tokenCount, contextTokens } = step;
  const slots = Array.from({ length: rowCount }, (_, slot) => slot);
  const blocks = new Array(contextTokens / backend.limits.blockSize).fill(0);
  const restores = slots.map((slot) => ({ slot, position: 0, blocks }));
  const rows = slots.map((slot): StepRow => {
    const row = { sequenceId: slot, slot, position: contextTokens, promptCount: contextTokens };
    const tokens = new Int32Array(tokenCount);
    return { ...row, tokens, sampleCount: 1, sampling: greedySampling, history: null, masks: null };
  });
  const plan = { replica: 0, rows, saves: [] };
  // Twice where something must be filled in first: only the second step is timed.
  if (fills) await outcomeOf(backend, { ...plan, restores, rounds: 1 });
  return outcomeOf(backend, { ...plan, restores: [], rounds: tokenCount === 1 ? rounds : 1 });
}

function outcomeOf(backend: Backend, plan: Parameters<Backend['step']>[0]): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (outcome: StepOutcome): void => {
      if (outcome.ok) resolve(outcome.deviceMs);
      else reject(new Error(`measuring steps: ${outcome.failure.message}`));
    };
    backend.step(plan, done, () => {});
  });
}
