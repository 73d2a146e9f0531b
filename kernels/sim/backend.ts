// SimBackend: a device made of tokens and time. Its "KV" is the tokens themselves, so it notices at once when a
// block was restored to the wrong place, overwritten or read before it was written. No native code; all time comes
// from the injected clock, all chance from the injected seed.
import assert from 'node:assert/strict';
import type {
  Backend,
  BackendLimits,
  KvRestore,
  KvSave,
  RowOutcome,
  StepCosts,
  StepOutcome,
  StepPlan,
  StepRow,
} from '../backend.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { Sampler, tokenLogprobs } from '../sampling.ts';
import { babbleLogits, emptyContext, extendContext } from './babble.ts';
import { type CostModel, modelledCosts } from './cost-model.ts';
import { drawFault, type Fault, type FaultRates } from './faults.ts';

export interface SimWorld {
  readonly limits: BackendLimits;
  readonly clock: Clock;
  readonly costModel: CostModel;
  readonly faults: { readonly rates: FaultRates; readonly random: Random } | null;
}

export class SimBackend implements Backend {
  readonly name: string;
  readonly limits: BackendLimits;
  readonly costs: StepCosts;
  readonly #clock: Clock;
  readonly #costModel: CostModel;
  readonly #faults: SimWorld['faults'];
  readonly #seats: Seat[][]; // [replica][slot]
  readonly #store: (Int32Array | null)[]; // [blockCount] tokens of a saved block
  readonly #inFlight: boolean[]; // [replica]
  readonly #sampler: Sampler;
  readonly #logits: Float32Array; // [vocabSize]
  #closed: (() => void)[] = [];
  #stepCount = 0;

  constructor(name: string, world: SimWorld) {
    const { limits } = world;
    this.name = name;
    this.limits = limits;
    this.costs = modelledCosts(world.costModel, limits);
    this.#clock = world.clock;
    this.#costModel = world.costModel;
    this.#faults = world.faults;
    this.#seats = Array.from({ length: limits.replicaCount }, () =>
      Array.from({ length: limits.slotCount }, () => new Seat()),
    );
    this.#store = new Array(limits.blockCount).fill(null);
    this.#inFlight = new Array(limits.replicaCount).fill(false);
    this.#sampler = new Sampler(limits.vocabSize);
    this.#logits = new Float32Array(limits.vocabSize);
  }

  /** Steps answered since the start. */
  get stepCount(): number {
    return this.#stepCount;
  }

  step(plan: StepPlan, done: (outcome: StepOutcome) => void): void {
    assert(!this.#inFlight[plan.replica], `replica ${plan.replica} has a step in flight`);
    this.#inFlight[plan.replica] = true;
    const fault = this.#faults === null ? noFault : drawFault(this.#faults.rates, this.#faults.random);
    const durationMs = this.#costModel.stepDurationMs(plan) * fault.durationFactor;
    // Computed now, answered later: what others do to the block store meanwhile is not seen by this step.
    const computed = fault.failure === null ? this.#compute(plan, durationMs) : null;
    this.#clock.schedule(durationMs, () => {
      const outcome = computed ?? this.#fail(plan, fault.failure!);
      this.#stepCount++;
      this.#inFlight[plan.replica] = false;
      done(outcome);
      if (!this.#inFlight.includes(true)) for (const closed of this.#closed.splice(0)) closed();
    });
  }

  releaseSlot(replica: number, slot: number): void {
    this.#seats[replica]![slot]!.clear();
  }

  close(): Promise<void> {
    if (!this.#inFlight.includes(true)) return Promise.resolve();
    return new Promise((resolve) => this.#closed.push(resolve));
  }

  #compute(plan: StepPlan, deviceMs: number): StepOutcome {
    const seats = this.#seats[plan.replica]!;
    for (const restore of plan.restores) this.#restore(seats[restore.slot]!, restore);
    const rows = plan.rows.map((row) => this.#computeRow(seats[row.slot]!, row));
    for (const save of plan.saves) this.#save(seats[save.slot]!, save);
    return { ok: true, rows, deviceMs };
  }

  #computeRow(seat: Seat, row: StepRow): RowOutcome {
    seat.truncate(row.position);
    const tokens: number[] = [];
    const logprobs = [];
    const sampleFrom = row.tokens.length - row.sampleCount;
    for (const [index, token] of row.tokens.entries()) {
      seat.append(token);
      if (index < sampleFrom) continue;
      babbleLogits(seat.context, this.#logits);
      const logitsRow = { headValues: none, headIds: noIds, logits: this.#logits, logsumexp: 0 };
      const mask = row.masks?.[index - sampleFrom] ?? null;
      const place = { position: seat.length, promptCount: row.promptCount, history: row.history, mask };
      const drawn = this.#sampler.sample(logitsRow, row.sampling, place);
      tokens.push(drawn);
      if (row.sampling.logprobs !== null) logprobs.push(this.#logprobs(drawn, row.sampling.logprobs));
    }
    return { tokens, logprobs: row.sampling.logprobs === null ? null : logprobs };
  }

  #logprobs(drawn: number, count: number) {
    const ids = Int32Array.from(this.#logits.keys()).sort(
      (a, b) => this.#logits[b]! - this.#logits[a]! || a - b,
    );
    const headIds = ids.subarray(0, count);
    const headValues = Float32Array.from(headIds, (id) => this.#logits[id]!);
    let sum = 0;
    for (const logit of this.#logits) sum += Math.exp(logit);
    return tokenLogprobs(
      { headIds, headValues, logits: this.#logits, logsumexp: Math.log(sum) },
      drawn,
      count,
    );
  }

  #restore(seat: Seat, { position, blocks }: KvRestore): void {
    seat.truncate(position);
    for (const block of blocks) {
      const tokens = this.#store[block];
      assert(tokens, `block ${block} was restored before it was saved`);
      for (const token of tokens) seat.append(token);
    }
  }

  #save(seat: Seat, { position, block }: KvSave): void {
    this.#store[block] = seat.copy(position, position + this.limits.blockSize);
  }

  #fail(plan: StepPlan, failure: NonNullable<Fault['failure']>): StepOutcome {
    if (failure.lost !== 'rows') for (const seat of this.#seats[plan.replica]!) seat.clear();
    if (failure.lost === 'all') this.#store.fill(null);
    return { ok: false, failure };
  }
}

const none = new Float32Array(0);
const noIds = new Int32Array(0);
const noFault: Fault = { durationFactor: 1, failure: null };

// The tokens a seat has "computed", and the context after each of them.
class Seat {
  #tokens = new Int32Array(64);
  #contexts = new Int32Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get context(): number {
    return this.#length === 0 ? emptyContext : this.#contexts[this.#length - 1]! >>> 0;
  }

  append(token: number): void {
    if (this.#length === this.#tokens.length) {
      this.#tokens = doubled(this.#tokens);
      this.#contexts = doubled(this.#contexts);
    }
    this.#contexts[this.#length] = extendContext(this.context, token);
    this.#tokens[this.#length++] = token;
  }

  // Rows and restores may begin before the end (rejected drafts), never after it.
  truncate(length: number): void {
    assert(length <= this.#length, `position ${length} of a seat that holds ${this.#length} tokens`);
    this.#length = length;
  }

  copy(start: number, end: number): Int32Array {
    assert(end <= this.#length, `saved up to ${end} of ${this.#length} tokens`);
    return this.#tokens.slice(start, end);
  }

  clear(): void {
    this.#length = 0;
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}
