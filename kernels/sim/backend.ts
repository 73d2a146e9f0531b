// SimBackend: a device made of tokens and time. What it says comes from a TokenSource, when it says it from a cost
// model or a pace, what goes wrong from the injected seed; all time is the injected clock's. No native code.
// Before it: the engine; after it: token-source.ts and cost-model.ts.
import assert from 'node:assert/strict';
import type {
  Backend,
  BackendLimits,
  PrefillHabit,
  RoundOutcome,
  RowOutcome,
  StepCosts,
  StepOutcome,
  StepPlan,
  StepRow,
} from '../backend.ts';
import type { Clock } from '../clock.ts';
import type { DevicePlan } from '../device-plan.ts';
import type { Random } from '../random.ts';
import { type CostModel, costPace, modelledCosts, type StepPace } from './cost-model.ts';
import { drawFault, type FaultRates, type SimFault } from './faults.ts';
import type { TokenSource } from './token-source.ts';
import { WitnessTokens } from './witness.ts';

export interface SimParts {
  readonly limits: BackendLimits;
  readonly clock: Clock;
  readonly costModel: CostModel | StepPace;
  readonly tokens?: TokenSource; // WitnessTokens unless given
  readonly prefill?: PrefillHabit;
  readonly plan?: DevicePlan; // for people
  readonly keepsSeats?: boolean; // absent: false, as chips that page KV restore it without a copy
  readonly faults: { readonly rates: FaultRates; readonly random: Random } | null;
}

export class SimBackend implements Backend {
  readonly name: string;
  readonly limits: BackendLimits;
  readonly costs: StepCosts | null;
  readonly prefill: PrefillHabit | null;
  readonly plan?: DevicePlan;
  readonly #clock: Clock;
  readonly #pace: StepPace;
  readonly #tokens: TokenSource;
  readonly #keepsSeats: boolean;
  readonly #faults: SimParts['faults'];
  readonly #inFlight: boolean[]; // [replica]
  readonly #interrupted: boolean[]; // [replica] the step in flight is not to begin another round
  #inFlightCount = 0;
  #closed: (() => void)[] = [];
  #stepCount = 0;

  constructor(name: string, parts: SimParts) {
    const { limits, clock, costModel } = parts;
    this.name = name;
    this.limits = limits;
    this.prefill = parts.prefill ?? null;
    if (parts.plan !== undefined) this.plan = parts.plan;
    this.#clock = clock;
    const paced = 'start' in costModel;
    this.costs = paced || limits.sampleCountMax === 1 ? null : modelledCosts(costModel, limits);
    this.#pace = paced ? costModel : costPace(costModel, clock);
    this.#tokens = parts.tokens ?? new WitnessTokens(limits);
    this.#keepsSeats = parts.keepsSeats ?? false;
    this.#faults = parts.faults;
    this.#inFlight = new Array(limits.replicaCount).fill(false);
    this.#interrupted = new Array(limits.replicaCount).fill(false);
  }

  get busyMs(): ArrayLike<number> {
    return this.#pace.busyMs ?? [];
  }

  /** Steps answered since the start. */
  get stepCount(): number {
    return this.#stepCount;
  }

  step(plan: StepPlan, done: (outcome: StepOutcome) => void, onRounds?: OnRounds): void {
    const { replica } = plan;
    assert(!this.#inFlight[replica], `replica ${replica} has a step in flight`);
    this.#inFlight[replica] = true;
    this.#inFlightCount++;
    this.#interrupted[replica] = false;
    this.#round(plan, { done, onRounds, round: 1 });
  }

  interrupt(replica: number): void {
    this.#interrupted[replica] = true;
  }

  releaseSlot(replica: number, slot: number): void {
    this.#tokens.releaseSlot(replica, slot);
    this.#pace.releaseSlot(replica, slot);
  }

  keepSlot(replica: number, slot: number, tokenCount: number): boolean {
    if (this.#keepsSeats) this.#tokens.keepSlot?.(replica, slot, tokenCount);
    return this.#keepsSeats;
  }

  get blockBytes(): number {
    return this.#tokens.blockBytes ?? 0;
  }

  readBlock(block: number, into: Uint8Array): void {
    this.#tokens.readBlock!(block, into);
  }

  writeBlock(block: number, content: Uint8Array): void {
    this.#tokens.writeBlock!(block, content);
  }

  close(): Promise<void> {
    if (this.#inFlightCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.#closed.push(resolve));
  }

  #answer(plan: StepPlan, outcome: StepOutcome, done: (outcome: StepOutcome) => void): void {
    this.#stepCount++;
    this.#inFlight[plan.replica] = false;
    this.#inFlightCount--;
    done(outcome);
    if (this.#inFlightCount === 0) for (const closed of this.#closed.splice(0)) closed();
  }

  #round(plan: StepPlan, step: { round: number; done: Done; onRounds: OnRounds | undefined }): void {
    const fault = this.#faults === null ? noFault : drawFault(this.#faults.rates, this.#faults.random);
    // Computed now, answered later: what others do to the block store meanwhile is not seen by this step.
    const rows = fault.failure === null ? this.#compute(plan) : null;
    const { round, done, onRounds } = step;
    if (plan.rounds === undefined && fault === noFault) {
      this.#save(plan);
      this.#pace.start(plan, (deviceMs) => this.#answer(plan, { ok: true, rows: rows!, deviceMs }, done));
      return;
    }
    const mayBeLast = round >= (plan.rounds ?? 1);
    if (rows !== null && mayBeLast) this.#save(plan);
    this.#pace.start(plan, (deviceMs) => {
      const answer = (): void => {
        const outcome = this.#outcome(plan, rows, fault, deviceMs);
        if (mayBeLast || !outcome.ok || this.#interrupted[plan.replica]) {
          if (outcome.ok && !mayBeLast) this.#save(plan);
          this.#answer(plan, outcome, done);
          return;
        }
        onRounds?.([outcome]);
        this.#round(nextRound(plan, outcome), { ...step, round: round + 1 });
      };
      const delayMs = deviceMs * (fault.durationFactor - 1);
      if (delayMs > 0) this.#clock.schedule(delayMs, answer);
      else answer();
    });
  }

  #compute({ replica, restores, rows }: StepPlan): RowOutcome[] {
    for (const restore of restores) this.#tokens.restore(replica, restore);
    const outcomes: RowOutcome[] = [];
    for (const row of rows) outcomes.push(this.#tokens.compute(replica, row));
    return outcomes;
  }

  /** `plan`: of the last round. */
  #save({ replica, rows, saves, rounds = 1 }: StepPlan): void {
    for (const save of saves) {
      if (rounds > 1) {
        const { position, tokens } = rows.find(({ slot }) => slot === save.slot)!;
        if (save.position + this.limits.blockSize > position + tokens.length) continue;
      }
      this.#tokens.save(replica, save);
    }
  }

  #outcome(plan: StepPlan, rows: RowOutcome[] | null, fault: SimFault, deviceMs: number): StepOutcome {
    if (rows !== null) return { ok: true, rows, deviceMs: deviceMs * fault.durationFactor };
    const failure = fault.failure!;
    if (failure.lost !== 'rows') this.#tokens.loseSlots(plan.replica);
    if (failure.lost === 'all') this.#tokens.loseBlocks();
    return { ok: false, failure };
  }
}

type Done = (outcome: StepOutcome) => void;
type OnRounds = (outcomes: readonly RoundOutcome[]) => void;

/** The same rows, one token on: each with what it has just drawn. One that has failed stays where it is. */
function nextRound(plan: StepPlan, { rows }: RoundOutcome): StepPlan {
  const next = plan.rows.map((row, index): StepRow => {
    if (rows[index]!.failure !== undefined) return row;
    const tokens = Int32Array.from(rows[index]!.tokens);
    const history = row.history === null ? null : Int32Array.from([...row.history, ...tokens]);
    return { ...row, position: row.position + 1, tokens, history };
  });
  return { ...plan, restores: [], rows: next };
}

const noFault: SimFault = { durationFactor: 1, failure: null };
