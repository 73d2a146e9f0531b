// Engine: the loop admit → seat → plan → step → commit → emit. Synchronous and single-threaded; Backend.step is
// its only asynchronous seam. It sees token ids, never text. Before it: server/generation/generation.ts; after it: the backend.
import assert from 'node:assert/strict';
import {
  assertOutcome,
  assertPlan,
  type Backend,
  type DeviceFailure,
  type RoundOutcome,
  type RowOutcome,
  type StepOutcome,
  type StepPlan,
  type StepRow,
} from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import { admissionRefusal } from './admission.ts';
import type { BlockArchive } from './block-archive.ts';
import type { DraftModel } from './draft-model.ts';
import { type EngineBounds, Floor } from './floor.ts';
import { drawnOf, guessCountOf, rowDraws } from './judged-row.ts';
import type { EngineObserver } from './observer.ts';
import type { StepTimes } from './reporter.ts';
import {
  INTERNAL,
  type SequenceEnd,
  type SequenceEngine,
  type SequenceRequest,
  type SequenceSink,
  type SubmitResult,
} from './request.ts';
import { type EngineLoad, seatsOf } from './seats.ts';
import type { Departure, Sequence } from './sequence.ts';
import { judgeDraft } from './sequence-draft.ts';
import { SequenceTable } from './sequence-table.ts';
import { type Drawn, Untold } from './untold.ts';

export type { EngineBounds } from './floor.ts';

export class Engine implements SequenceEngine {
  readonly #clock: Clock;
  readonly #observer: EngineObserver;
  readonly #draftModel: DraftModel | null;
  #floor: Floor;
  #replacement: Replacement | null = null; // from the wish to the move
  readonly #sequences = new SequenceTable(); // bounded: queueLengthMax + seats
  readonly #departing: Sequence[] = []; // to leave at the next pump
  readonly #untold = new Untold((sequence, error) => this.#onReaderThrew(sequence, error)); // to be told once the next step is on its way
  readonly #idleCallbacks: (() => void)[] = [];
  #pausedCount = 0;
  #pumpScheduled = false;
  #pumpMs = 0; // when the latest pump began
  #draining = false;

  /** `archive`: where blocks go that the device has no room for; null: they are forgotten. */
  constructor(
    backend: Backend,
    clock: Clock,
    bounds: EngineBounds,
    observer: EngineObserver,
    archive: BlockArchive | null = null,
    draftModel: DraftModel | null = null,
  ) {
    this.#clock = clock;
    this.#observer = observer;
    this.#draftModel = draftModel;
    this.#floor = this.#newFloor(backend, bounds, archive);
  }

  get contextTokensMax(): number {
    return this.#floor.contextTokensMax;
  }

  submit(request: SequenceRequest, sink: SequenceSink): SubmitResult {
    const { scheduler, limits, bounds } = this.#floor;
    const state = { waitingCount: scheduler.waitingCount, draining: this.#draining };
    const refusal = admissionRefusal(request, state, limits, bounds);
    if (refusal !== null) {
      this.#observer.onRefusal(refusal.reason);
      return refusal;
    }
    const nowMs = this.#clock.nowMs();
    const sequence = this.#sequences.open(request, sink, nowMs);
    scheduler.enqueue(sequence);
    if (request.deadlineMs !== null) {
      const message = `the request's time ran out after ${Math.round(request.deadlineMs - nowMs)} ms`;
      const expire = () => this.#depart(sequence, { reason: 'failed', code: 'deadline', message });
      sequence.expireWith(this.#clock.schedule(request.deadlineMs - nowMs, expire));
    }
    this.#schedulePump();
    return { ok: true, sequenceId: sequence.id };
  }

  cancel(sequenceId: number): void {
    const sequence = this.#sequences.get(sequenceId);
    if (sequence !== undefined) this.#depart(sequence, { reason: 'cancelled' });
  }

  pause(sequenceId: number): void {
    const sequence = this.#sequences.get(sequenceId);
    if (!sequence?.pause(true)) return;
    this.#pausedCount++;
    this.#floor.interrupt();
  }

  resume(sequenceId: number): void {
    const sequence = this.#sequences.get(sequenceId);
    if (!sequence?.pause(false)) return;
    this.#pausedCount--;
    this.#schedulePump();
  }

  /**
   * Moves everybody to another device as soon as no step is in flight; no new one is sent until then. All go on with
   * the tokens they have; whoever the new device cannot hold fails with 'context-shrunk'. The old device may be closed
   * after `done`. False while another replacement is under way, or with an archive: its blocks are the old device's.
   */
  replaceBackend(
    next: Backend,
    bounds: EngineBounds,
    done: (report: { readonly moved: number; readonly failed: number }) => void,
  ): boolean {
    if (this.#replacement !== null || this.#floor.cold !== null) return false;
    assert.equal(next.limits.vocabSize, this.#floor.limits.vocabSize, 'vocabulary');
    this.#replacement = { floor: this.#newFloor(next, bounds, null), done };
    this.#schedulePump();
    return true;
  }

  /** Refuses everything new; calls back once the last sequence has ended. */
  drain(onIdle: () => void): void {
    this.#draining = true;
    if (this.#sequences.count === 0) this.#clock.defer(onIdle);
    else this.#idleCallbacks.push(onIdle);
  }

  /** Ends every sequence with 'failed' / 'shutdown'; those in flight once their step has answered. */
  abortAll(message: string): void {
    this.#draining = true;
    for (const sequence of this.#sequences.all()) {
      this.#depart(sequence, { reason: 'failed', code: 'shutdown', message });
    }
  }

  /** Counts for readiness, tests and people. */
  get load(): EngineLoad {
    const { scheduler, kv } = this.#floor;
    const { waitingCount, runningCount } = scheduler;
    return { waitingCount, runningCount, kv, seats: seatsOf(this.#sequences.all()) };
  }

  /** What the prefix cache holds, for people; costs as much as its bounds allow. */
  readonly cachePicture: Floor['picture'] = (bounds) => this.#floor.picture(bounds);

  /** Full audit of block and seat accounting, O(blocks). Throws AssertionError on the first inconsistency. */
  check(): void {
    this.#floor.check(this.#sequences.all());
  }

  #newFloor(backend: Backend, bounds: EngineBounds, archive: BlockArchive | null): Floor {
    const onReady = () => this.#schedulePump();
    const parts = { clock: this.#clock, observer: this.#observer, draftModel: this.#draftModel, onReady };
    return new Floor(backend, { ...parts, bounds, archive });
  }

  #depart(sequence: Sequence, departure: Departure): void {
    if (!sequence.depart(departure)) return;
    this.#departing.push(sequence);
    this.#schedulePump();
  }

  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    this.#floor.interrupt();
    this.#clock.defer(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  // Everything between two steps. Runs when a step has answered, or when something changed while all was idle.
  #pump(): void {
    this.#pumpMs = this.#clock.nowMs();
    this.#dismissDeparting();
    if (this.#replacement !== null && this.#floor.quiet) this.#move(this.#replacement);
    const floor = this.#floor;
    if (this.#replacement === null) {
      floor.scheduler.seat(this.#pumpMs);
      floor.plan(this.#send);
      for (const sequence of floor.scheduler.takeComplete()) this.#end(sequence, 'length', null);
    }
    floor.report(this.#pausedCount);
    this.#untold.tellDrawn();
    this.#tellEnded();
  }

  #move({ floor, done }: Replacement): void {
    const sequences = this.#floor.evacuate();
    this.#replacement = null;
    this.#floor = floor;
    for (const sequence of sequences) {
      sequence.move();
      floor.scheduler.enqueue(sequence);
    }
    const tooLong = sequences.filter(
      (one) => one.tokenCount + (one.prefillOnly ? 0 : 1) > floor.contextTokensMax,
    );
    for (const sequence of tooLong) {
      const message = `the device was replaced while this had ${sequence.tokenCount} tokens; ${floor.backend.name} holds ${floor.contextTokensMax}`;
      this.#end(sequence, 'failed', { code: 'context-shrunk', message });
    }
    const failed = tooLong.length;
    this.#clock.defer(() => done({ moved: sequences.length - failed, failed }));
  }

  #dismissDeparting(): void {
    if (this.#departing.length === 0) return;
    let kept = 0;
    for (const sequence of this.#departing) {
      if (sequence.phase === 'ended') continue;
      // A step in flight is never aborted: whoever has a row in it leaves when it has answered.
      if (sequence.inFlight) this.#departing[kept++] = sequence;
      else this.#leave(sequence);
    }
    this.#departing.length = kept;
  }

  #leave(sequence: Sequence): void {
    const departure = sequence.departure!;
    if (departure.reason === 'cancelled') this.#end(sequence, 'cancelled', null);
    else this.#end(sequence, 'failed', { code: departure.code, message: departure.message });
  }

  readonly #send = (plan: StepPlan): void => {
    const { backend, limits, reporter } = this.#floor;
    assertPlan(plan, limits);
    for (const row of plan.rows) {
      const sequence = this.#sequences.get(row.sequenceId)!;
      sequence.enterStep();
      if (sequence.missReason === null) reporter.seat(sequence);
    }
    this.#floor.sent(plan);
    const sentMs = this.#clock.nowMs();
    const times = { planMs: sentMs - this.#pumpMs, sentMs };
    backend.step(
      plan,
      (outcome) => this.#commit(plan, outcome, times),
      (outcomes) => this.#commitRounds(plan, outcomes, times),
    );
  };

  #commit(plan: StepPlan, outcome: StepOutcome, times: StepTimes): void {
    const floor = this.#floor; // nobody moves while a step is in flight
    floor.answered(plan);
    assertOutcome(plan, outcome);
    if (outcome.ok) {
      this.#commitRows(plan, [outcome]);
      for (const row of plan.rows) this.#settle(this.#sequences.get(row.sequenceId)!);
      floor.learn(plan.rows, outcome.deviceMs);
    } else {
      this.#failRows(plan, outcome.failure);
      floor.lose(outcome.failure.lost, plan.replica);
    }
    floor.reporter.step(plan, outcome, times, this.#clock.nowMs());
    this.#pump();
  }

  // The device is at the next round already: what these have drawn is told at once, or once that has answered too.
  #commitRounds(plan: StepPlan, outcomes: readonly RoundOutcome[], times: StepTimes): void {
    for (const outcome of outcomes) assertOutcome(plan, outcome);
    this.#commitRows(plan, outcomes);
    const nowMs = this.#clock.nowMs();
    const spanMs = (nowMs - times.sentMs) / outcomes.length;
    for (const outcome of outcomes) {
      this.#floor.reporter.step(plan, outcome, times, times.sentMs + spanMs);
      times.planMs = 0;
    }
    times.sentMs = nowMs;
    if (plan.rows.some((row) => this.#needsPlan(row, plan.rows.length))) this.#floor.interrupt();
    this.#clock.defer(() => this.#untold.tellDrawn());
  }

  #needsPlan({ sequenceId }: StepRow, rowCount: number): boolean {
    const sequence = this.#sequences.get(sequenceId)!;
    return sequence.ending !== null || this.#floor.scheduler.wantsDraft(sequence, rowCount);
  }

  #commitRows(plan: StepPlan, rounds: readonly RoundOutcome[]): void {
    const nowMs = this.#clock.nowMs();
    const count = plan.rows.length;
    for (let index = 0; index < count; index++) {
      const row = plan.rows[index]!;
      const sequence = this.#sequences.get(row.sequenceId)!;
      const from = sequence.outputCount;
      const drawn: Drawn = {
        sequence,
        index: from,
        tokens: [],
        logprobs: sequence.request.sampling.logprobs === null ? null : [],
        judged: null,
      };
      for (const { rows } of rounds) this.#commitRow(row, rows[index]!, drawn);
      if (sequence.departure === null) drawn.judged = sequence.takeJudged();
      if (drawn.tokens.length === 0 && drawn.judged === null) continue;
      if (drawn.tokens.length > 0) this.#floor.reporter.tokens(sequence, nowMs, drawn.tokens.length);
      this.#untold.drew(drawn);
    }
  }

  #commitRow(row: StepRow, outcome: RowOutcome, drawn: Drawn): void {
    const { sequence } = drawn;
    const acceptedCount = judgeDraft(sequence, outcome, this.#floor.draftModel);
    const position = sequence.computedCount;
    if (position === sequence.tokenCount) return; // has left its step behind: these rounds are for others
    const end = position + row.tokens.length;
    const reached = sequence.advance(end - guessCountOf(row) + acceptedCount);
    this.#floor.reporter.computed(position, Math.min(reached, end));
    if (sequence.departure !== null || sequence.ending !== null) return; // no token after its cancellation
    const { tokens, logprobs, failure = null } = drawnOf(row, outcome, sequence);
    if (!rowDraws(row)) {
      if (failure !== null) sequence.fail(failure);
      else if (sequence.prefillOnly && sequence.remainingCount === 0) sequence.finish();
      return;
    }
    const from = sequence.outputCount;
    const count = Math.min(acceptedCount + 1, tokens.length);
    sequence.take(tokens, count, this.contextTokensMax);
    if (sequence.ending === null && count <= acceptedCount) sequence.fail(failure!);
    const taken = sequence.outputCount - from;
    // Nearly always the step's only tokens: pushed, one alone would take the room of 17.
    if (drawn.tokens.length === 0) drawn.tokens = tokens.slice(0, taken);
    else for (let i = 0; i < taken; i++) drawn.tokens.push(tokens[i]!);
    if (drawn.logprobs !== null) for (let i = 0; i < taken; i++) drawn.logprobs.push(logprobs![i]!);
  }

  // Its step has answered: what is computed is kept, and whoever is through leaves.
  #settle(sequence: Sequence): void {
    sequence.leaveStep();
    if (sequence.rules.failure !== null) this.#observer.onRequestError(sequence.rules.failure);
    if (sequence.failure === null) this.#floor.register(sequence);
    else this.#floor.distrust(sequence);
    if (sequence.ending !== null && sequence.departure === null)
      this.#end(sequence, sequence.ending, sequence.failure);
  }

  // Whoever reads an answer is a request's own: nobody else hears of its fault.
  #onReaderThrew(sequence: Sequence, thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    this.#observer.onRequestError(error);
    this.#depart(sequence, { reason: 'failed', code: 'request-threw', message: INTERNAL });
  }

  #failRows(plan: StepPlan, { code, message }: DeviceFailure): void {
    this.#observer.onStepFailure(code);
    for (const row of plan.rows) {
      const sequence = this.#sequences.get(row.sequenceId)!;
      sequence.leaveStep();
      if (sequence.ending !== null)
        this.#end(sequence, sequence.ending, sequence.failure); // it has all it asked for, or cannot have it
      else this.#end(sequence, 'failed', { code, message });
    }
  }

  #end(sequence: Sequence, reason: SequenceEnd['reason'], failure: SequenceEnd['failure']): void {
    this.#floor.scheduler.remove(sequence, reason !== 'failed');
    this.#sequences.close(sequence);
    if (sequence.paused) this.#pausedCount--;
    sequence.deadline?.cancel();
    const queueMs = (sequence.seatedMs < 0 ? this.#clock.nowMs() : sequence.seatedMs) - sequence.submitMs;
    const usage = {
      promptTokens: sequence.promptCount,
      cachedTokens: sequence.cachedCount,
      outputTokens: sequence.outputCount,
      acceptedDraftTokens: sequence.speculation?.acceptedCount ?? 0,
      rejectedDraftTokens: sequence.speculation?.rejectedCount ?? 0,
      queueMs,
      missReason: sequence.missReason,
    };
    this.#untold.ended(sequence, { reason, failure, usage });
  }

  // Readers are told after the next step has been sent: their work overlaps the device's.
  #tellEnded(): void {
    if (!this.#untold.tellEnds(this.#floor.reporter)) return;
    if (this.#sequences.count === 0) for (const onIdle of this.#idleCallbacks.splice(0)) onIdle();
  }
}

interface Replacement {
  readonly floor: Floor;
  readonly done: (report: { readonly moved: number; readonly failed: number }) => void;
}
