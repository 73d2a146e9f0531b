// What steps cost on this device, measured once at start by running them, for the engine's decision how many guessed
// tokens are worth verifying. Only ratios matter, so the fastest of a few repeats is taken. Before it: backend.ts, on
// idle replicas; after it: Backend.step.
import {
  type Backend,
  type ContextCosts,
  greedySampling,
  type StepCosts,
  type StepOutcome,
  type StepRow,
} from '../backend.ts';

const contextTokens = 128; // behind each measured row
const farTokens = 1024; // and behind those that tell what context adds
const repeatsMax = 5; // after one that warms up
const decodeRounds = 3; // the second one is the first without a pause before it
const budgetMs = 500; // of device time: a large model gets one repeat

/** Runs on replica 0 and leaves its seats free. Null where no drafts can be verified. Rejects if a step fails. */
export async function measureStepCosts(backend: Backend): Promise<StepCosts | null> {
  const { slotCount, sampleCountMax, slotTokensMax } = backend.limits;
  if (sampleCountMax === 1) return null;
  const decodeMs = new Map(countsUpTo(slotCount).map((count) => [count, Number.POSITIVE_INFINITY]));
  const rowMs = new Map(countsUpTo(sampleCountMax).map((count) => [count, Number.POSITIVE_INFINITY]));
  const farMs = new Map([1, sampleCountMax].map((count) => [count, Number.POSITIVE_INFINITY]));
  const chunkMs = new Map([[sampleCountMax, Number.POSITIVE_INFINITY]]);
  let spentMs = 0;
  const keepLeast = (least: Map<number, number>, count: number, stepMs: number, repeat: number) => {
    spentMs += stepMs;
    if (repeat > 0) least.set(count, Math.min(stepMs, least.get(count)!));
  };
  for (let repeat = 0; repeat <= repeatsMax && (repeat <= 1 || spentMs < budgetMs); repeat++) {
    for (const count of decodeMs.keys()) {
      keepLeast(decodeMs, count, await timeStep(backend, { rowCount: count, tokenCount: 1 }, repeat), repeat);
    }
    for (const count of rowMs.keys()) {
      keepLeast(rowMs, count, await timeStep(backend, { rowCount: 1, tokenCount: count }, repeat), repeat);
    }
    const chunk = { rowCount: 1, tokenCount: sampleCountMax, sampleCount: 1 };
    keepLeast(chunkMs, sampleCountMax, await timeStep(backend, chunk, repeat), repeat);
  }
  // Of a model that has spent more the weights are what costs.
  const farRepeats = spentMs > 16 * budgetMs ? -1 : 1;
  for (let repeat = 0; repeat <= farRepeats; repeat++) {
    for (const count of farMs.keys()) {
      const far = { rowCount: 1, tokenCount: count, contextTokens: farTokens };
      keepLeast(farMs, count, await timeStep(backend, far, repeat), repeat);
    }
  }
  for (let slot = 0; slot < slotCount; slot++) backend.releaseSlot(0, slot);
  const near = { decodeMs: interpolate(decodeMs), rowMs: interpolate(rowMs) };
  const chunkTokenMs = (chunkMs.get(sampleCountMax)! - near.rowMs[0]!) / (sampleCountMax - 1);
  const context = contextCosts(near.rowMs, interpolate(farMs), slotTokensMax - sampleCountMax);
  return { ...near, chunkTokenMs, ...(context !== null && { context }) };
}

/** Null where seats are too short to tell. */
function contextCosts(
  nearMs: readonly number[],
  farMs: readonly number[],
  tokensMax: number,
): ContextCosts | null {
  const span = Math.min(farTokens, tokensMax) - contextTokens;
  if (span < contextTokens || !Number.isFinite(farMs[0]!)) return null;
  const rowMs = farMs.map((ms, index) => Math.max(0, ms - nearMs[index]!) / span);
  return { tokens: contextTokens, decodeMs: rowMs[0]!, rowMs };
}

/** 1, 2, 4, … and `max`: what lies between is nearly straight. */
function countsUpTo(max: number): number[] {
  const counts: number[] = [];
  for (let count = 1; count < max; count *= 2) counts.push(count);
  return [...counts, max];
}

/** [i] for i + 1, from the counts that were measured. */
function interpolate(measured: ReadonlyMap<number, number>): number[] {
  const points = [...measured];
  const [, first] = points[0]!;
  const values = [first];
  for (const [index, [end, endMs]] of points.entries()) {
    if (index === 0) continue;
    const [start, startMs] = points[index - 1]!;
    for (let count = start + 1; count <= end; count++) {
      values.push(startMs + ((endMs - startMs) * (count - start)) / (end - start));
    }
  }
  return values;
}

function timeStep(
  backend: Backend,
  asked: { rowCount: number; tokenCount: number; sampleCount?: number; contextTokens?: number },
  repeat: number,
): Promise<number> {
  const { rowCount, tokenCount, sampleCount = tokenCount } = asked;
  const { slotTokensMax, blockSize, roundsMax = 1 } = backend.limits;
  // Where nothing is guessed the device decodes several rounds at a stretch: the last one counts.
  const rounds = tokenCount === 1 ? Math.min(roundsMax, decodeRounds) : 1;
  const spanTokens = Math.min(asked.contextTokens ?? contextTokens, slotTokensMax - tokenCount - rounds + 1);
  const blocks = new Array(Math.floor(spanTokens / blockSize)).fill(0);
  const slots = Array.from({ length: rowCount }, (_, slot) => slot);
  const plan = {
    replica: 0,
    // The first time puts a context under the rows: a block of zeros costs attention as much as any other.
    restores: repeat === 0 ? slots.map((slot) => ({ slot, position: 0, blocks })) : [],
    rows: slots.map((slot) => probeRow(slot, blocks.length * blockSize, { tokenCount, sampleCount })),
    saves: [],
    rounds,
  };
  return new Promise((resolve, reject) => {
    const done = (outcome: StepOutcome) => {
      if (outcome.ok) resolve(outcome.deviceMs);
      else reject(new Error(`measuring steps: ${outcome.failure.message}`));
    };
    backend.step(plan, done, () => {});
  });
}

function probeRow(
  slot: number,
  position: number,
  { tokenCount, sampleCount }: { tokenCount: number; sampleCount: number },
): StepRow {
  return {
    ...{ sequenceId: slot, slot, position, tokens: new Int32Array(tokenCount), sampleCount },
    ...{ sampling: greedySampling, promptCount: position, history: null, masks: null },
  };
}
