// The one seam between the engine and any device. A device has seats (slots) for running sequences and a
// store of KV blocks that outlive them; a step computes rows of tokens and answers once. The engine decides
// what to compute (server/engine/scheduler.ts); a backend decides how. Types and their assertions only.
import assert from 'node:assert/strict';
import type { SamplingDefaults } from '../models/config/sampling-defaults.ts';
import type { DevicePlan } from './device-plan.ts';

/** What a device can hold and do. Fixed for the life of the backend. */
export interface BackendLimits {
  readonly replicaCount: number; // independent devices; each runs one step at a time
  readonly slotCount: number; // seats per replica
  readonly slotTokensMax: number; // longest sequence a seat can hold, tokens
  readonly blockSize: number; // tokens per KV block
  readonly blockCount: number; // blocks in the store, shared by all replicas
  readonly rowTokensMax: number; // longest row of a step, tokens
  readonly stepTokensMax: number; // all rows of a step together, tokens
  readonly sampleCountMax: number; // sampled positions per row: 1 + the longest draft
  readonly judgedTokensMax?: number; // longest row with `targets`, tokens; absent: sampleCountMax
  readonly roundsMax?: number; // decode rounds of one step; absent: 1
  readonly logprobsMax: number; // alternatives that can be reported per token
  readonly vocabSize: number;
}

/** How the tokens of one sequence are drawn. Constant for the life of the sequence. */
export interface SamplingParams extends SamplingDefaults {
  readonly frequencyPenalty: number; // [-2, 2]; 0 = off; over output only
  readonly presencePenalty: number; // [-2, 2]; 0 = off; over output only
  readonly logitBias: ReadonlyMap<number, number> | null; // token id → added to its logit
  readonly seed: number; // safe integer
  readonly stream: number; // index of the choice within its request
  readonly logprobs: number | null; // null = none; n ≥ 0 = of the chosen token and of the n most likely
  readonly minTokens: number; // stopTokenIds cannot be drawn before this many output tokens
  readonly stopTokenIds: readonly number[];
}

/** The likeliest token each time, of the logits as they are. */
export const greedySampling: SamplingParams = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: null,
  seed: 0,
  stream: 0,
  logprobs: null,
  minTokens: 0,
  stopTokenIds: [],
};

/** Brings cached KV into a seat before the rows of the step run: blocks[i] covers tokens position + i·blockSize. */
export interface KvRestore {
  readonly slot: number;
  readonly position: number; // multiple of blockSize
  readonly blocks: readonly number[];
}

/** Keeps a finished block after the rows have run: tokens [position, position + blockSize) of the seat. */
export interface KvSave {
  readonly slot: number;
  readonly position: number; // multiple of blockSize
  readonly block: number;
}

/** Whether a mask of ceil(vocabSize / 32) words allows a token: bit (id mod 32) of word (id div 32). */
export function maskAllows(mask: Uint32Array, id: number): boolean {
  return ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
}

/** n ≥ 1 consecutive tokens of one sequence. A prefill chunk and a decode step are the same type. */
export interface StepRow {
  readonly sequenceId: number;
  readonly slot: number; // seat within the replica, [0, slotCount)
  readonly position: number; // of tokens[0]; everything before it is computed
  readonly tokens: Int32Array; // [n] ids to compute now; owned by the backend until it answers
  readonly sampleCount: number; // trailing positions to sample: 0 inside a prompt, 1, or 1 + draft length
  readonly sampling: SamplingParams;
  readonly promptCount: number; // tokens before the first output token
  readonly history: Int32Array | null; // all tokens up to and including this row; only where penalties need them
  readonly masks: readonly (Uint32Array | null)[] | null; // [sampleCount] tokens that may be drawn; null: any
  // [sampleCount] the token that is to be judged in place of one that is drawn: its log-probability, and its rank; −1: draw.
  // Only with sampling.logprobs.
  readonly targets?: Int32Array;
  // The sequence's block table: blocks[i] is to hold tokens [i·blockSize, …), up to the row's end. For devices that
  // page KV; the engine's own array, to be read in the call to step() only.
  readonly blocks?: readonly number[];
}

export interface StepPlan {
  readonly replica: number;
  readonly restores: readonly KvRestore[];
  readonly rows: readonly StepRow[]; // at least one; distinct slots
  readonly saves: readonly KvSave[]; // after the last round; what it has not reached is not kept
  /**
   * ≥ 1; absent: 1. How often the device may compute the rows, each time with the tokens that it has just drawn, before
   * it answers. More than once only if every row is one token that is sampled, without masks.
   */
  readonly rounds?: number;
}

/** Natural logarithms of probabilities under the unmodified model distribution (temperature 1). */
export interface TokenLogprobs {
  readonly logprob: number; // of the chosen token
  readonly topTokens: readonly number[]; // most likely first
  readonly topLogprobs: readonly number[]; // same length
  readonly rank?: number; // of the chosen token, from 1; of tokens that were judged
}

/**
 * tokens[i] was drawn, or is the target, after the (n − sampleCount + i)-th token of the row. A row that cannot be sampled fails alone:
 * it has the tokens before that, and nothing in the later rounds of its step.
 */
export interface RowOutcome {
  readonly tokens: readonly number[]; // [sampleCount], fewer with a failure
  readonly logprobs: readonly TokenLogprobs[] | null; // parallel to tokens, null unless asked for
  readonly failure?: string; // why there are no more: what there is to draw from is no distribution
}

/**
 * What a device can be told to do in the middle of its next step, so that a running server can be tried: end its thread,
 * never come back, refuse as its runtime would, fail outside of any call, or draw a row from what is no distribution.
 */
export const deviceFaults = ['exit', 'hang', 'throw', 'uncaught', 'nan'] as const;
export type DeviceFault = (typeof deviceFaults)[number];

export type DeviceFailureCode = 'worker-died' | 'worker-hung' | 'step-failed';

/**
 * A step that did not happen. Its rows are lost in any case. `lost: 'slots'` says that every seat of the replica
 * lost its KV (its other sequences must be recomputed), `'all'` that the shared block store is gone as well.
 */
export interface DeviceFailure {
  readonly code: DeviceFailureCode;
  readonly message: string;
  readonly lost: 'rows' | 'slots' | 'all';
}

/** What a step, or one round of it, has brought. */
export interface RoundOutcome {
  readonly ok: true;
  readonly rows: readonly RowOutcome[]; // in the plan's order
  readonly deviceMs: number;
}

export type StepOutcome = RoundOutcome | { readonly ok: false; readonly failure: DeviceFailure };

/** What steps cost on this device, measured or modelled once; only ratios matter. */
export interface StepCosts {
  readonly decodeMs: readonly number[]; // [i] a step of i + 1 rows of one token
  readonly rowMs: readonly number[]; // [i] what a row of i + 1 tokens, all of them sampled, adds to a step
  readonly chunkTokenMs?: number; // what a token adds to a prompt's chunk; absent: what it adds to a row
  /** What context adds to all this, whose figures are those behind `tokens` of it; absent: nothing. */
  readonly context?: ContextCosts;
}

export interface ContextCosts {
  readonly tokens: number;
  readonly decodeMs: number; // another token of context of a row of one
  readonly rowMs: readonly number[]; // [i] another token of context of a row of i + 1
}

/** How a device likes its prompts cut. */
export interface PrefillHabit {
  readonly chunkTokens: number; // longest prefill row
  readonly tokensPerStep: number; // all prefill rows of a step together, ≥ chunkTokens
}

export interface Backend {
  readonly name: string; // for people and metrics: "cpu", "webgpu", "sim", …
  readonly adapter?: string | undefined; // of a device that has one: what computes, for people
  readonly limits: BackendLimits;
  readonly costs?: StepCosts | null; // without them no tokens are drafted
  readonly prefill?: PrefillHabit | null; // what suits the device; without it the server's setting counts
  /**
   * Runs restores, then rows, then saves. At most one step per replica is in flight; it is never aborted.
   * Calls `done` exactly once, never in the caller's stack. A failed step fails its rows, not the process.
   * Of several rounds `onRounds` gets all but the last, in order, one or a few at a time, and `done` the last.
   */
  step(
    plan: StepPlan,
    done: (outcome: StepOutcome) => void,
    onRounds?: (outcomes: readonly RoundOutcome[]) => void,
  ): void;
  /** Somebody waits: the step in flight, if there is one, is to end with the round it is at, or one later. */
  interrupt?(replica: number): void;
  /** The seat's sequence has left; its KV may be dropped. Not called for a seat of a step in flight. */
  releaseSlot(replica: number, slot: number): void;
  /**
   * The same, but the KV of its first `tokenCount` ≥ 1 tokens, all of them computed or restored, is to stay: until releaseSlot(), or
   * until a row or restore begins before their end. False: it does not, and the seat is to be released. Absent: it never does.
   */
  keepSlot?(replica: number, slot: number, tokenCount: number): boolean;
  /** Name of the device whose bits its blocks hold; absent: its own. */
  readonly computedBy?: string;
  /** Bytes of one block's content; absent or 0: blocks cannot be copied out of the store or into it. */
  readonly blockBytes?: number;
  /** Copies a saved block's content, `blockBytes` long. Not for a block that a step in flight saves. */
  readBlock?(block: number, into: Uint8Array): void;
  /** Gives a block the content that readBlock() gave of it or another. Not for a block that a step in flight uses. */
  writeBlock?(block: number, content: Uint8Array): void;
  /** The memory itself of a block's content, in readBlock()'s order, to be written under the same condition. */
  blockPieces?(block: number): readonly Uint8Array[];
  /** Bytes of numbers that steps have carried between this machine and the device, so far; absent: they are one. */
  readonly carriedBytes?: Readonly<{ toDevice: number; fromDevice: number }>;
  /** What lies where, for people; absent: it cannot tell. */
  readonly plan?: DevicePlan;
  /** [region of the plan] ms of work since the start, for people. */
  readonly busyMs?: ArrayLike<number>;
  /** For tests of whole servers; absent: the device cannot be told to fail. */
  injectFault?(replica: number, fault: DeviceFault): void;
  /** Waits for steps in flight, then frees everything. Idempotent. */
  close(): Promise<void>;
}

/** Tokens of a row whose successors can all be judged. */
export function judgedTokensMax(limits: BackendLimits): number {
  return limits.judgedTokensMax ?? limits.sampleCountMax;
}

function isPlain({ masks, targets }: StepRow): boolean {
  return masks === null && targets === undefined;
}

/** Programmer's mistakes at the seam, caught before the step is sent. */
export function assertPlan(plan: StepPlan, limits: BackendLimits): void {
  assert(plan.replica >= 0 && plan.replica < limits.replicaCount, `replica ${plan.replica}`);
  assert(plan.rows.length > 0, 'a step has at least one row'); // A batch of 0 rows kills ONNX Runtime.
  const { rounds = 1 } = plan;
  assert(rounds >= 1 && rounds <= (limits.roundsMax ?? 1), `${rounds} rounds`);
  let tokenCount = 0;
  for (const row of plan.rows) {
    const n = row.tokens.length;
    tokenCount += n;
    // Messages with numbers are only made when they are needed: this runs for every row of every step.
    if (n < 1 || n > limits.rowTokensMax) assert.fail(`row of ${n} tokens`);
    if (row.slot < 0 || row.slot >= limits.slotCount) assert.fail(`slot ${row.slot}`);
    if (row.position + n + rounds - 1 > limits.slotTokensMax) assert.fail(`row ends at ${row.position + n}`);
    const samplesMax = row.targets === undefined ? limits.sampleCountMax : judgedTokensMax(limits);
    assert(row.sampleCount >= 0 && row.sampleCount <= Math.min(n, samplesMax), 'sampleCount');
    assert(row.targets === undefined || row.targets.length === row.sampleCount, 'one target per sample');
    assert(row.targets === undefined || row.sampling.logprobs !== null, 'targets want log-probabilities');
    assert(row.masks === null || row.masks.length === row.sampleCount, 'one mask per sampled position');
    assert(row.history === null || row.history.length === row.position + n, 'history length');
    assert(rounds === 1 || (n === 1 && row.sampleCount === 1 && isPlain(row)), 'row of several rounds');
  }
  assertApart(plan.rows);
  assert(tokenCount <= limits.stepTokensMax, `step of ${tokenCount} tokens`);
  for (const { position } of plan.restores) assert(position % limits.blockSize === 0, 'restore position');
  for (const { position, block } of plan.saves) {
    assert(position % limits.blockSize === 0, 'save position');
    assert(block >= 0 && block < limits.blockCount, `block ${block}`);
  }
}

// [slot] the check that met it last: no set is made for every step.
let lastMet = new Float64Array(256);
let checkCount = 0;

function assertApart(rows: readonly StepRow[]): void {
  if (rows.length === 1) return;
  checkCount++;
  for (const { slot } of rows) {
    if (slot >= lastMet.length)
      lastMet = Float64Array.from({ length: 2 * slot }, (_, at) => lastMet[at] ?? 0);
    if (lastMet[slot] === checkCount) assert.fail(`slot ${slot} twice in one step`);
    lastMet[slot] = checkCount;
  }
}

/** The same when the answer comes back. */
export function assertOutcome(plan: StepPlan, outcome: StepOutcome): void {
  if (!outcome.ok) return;
  assert(outcome.rows.length === plan.rows.length, 'one outcome per row');
  for (let index = 0; index < plan.rows.length; index++) {
    const row = plan.rows[index]!;
    const { tokens, failure } = outcome.rows[index]!;
    if (failure === undefined) assert(tokens.length === row.sampleCount, 'one token per sampled position');
    else assert(tokens.length < row.sampleCount, 'a failed row lacks a token');
  }
}
