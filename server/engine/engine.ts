// Engine: the loop admit → seat → plan → step → commit → emit. Synchronous and single-threaded; Backend.step is
// its only asynchronous seam. It sees token ids, never text. Before it: server/generation.ts; after it: the backend.
import assert from 'node:assert/strict';
import {
  assertOutcome,
  assertPlan,
  type Backend,
  type DeviceFailure,
  type RowOutcome,
  type StepOutcome,
  type StepPlan,
  type StepRow,
} from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import { type AdmissionBounds, contextTokensMax, refusalOf } from './admission.ts';
import type { BlockArchive } from './block-archive.ts';
import { BlockPool } from './block-pool.ts';
import { ColdTier } from './cold-tier.ts';
import type { EngineObserver } from './observer.ts';
import { PrefixCache } from './prefix-cache.ts';
import { Reporter } from './reporter.ts';
import type {
  FinishReason,
  SequenceEnd,
  SequenceEngine,
  SequenceRequest,
  SequenceSink,
  SubmitResult,
} from './request.ts';
import { Scheduler, type SchedulerBounds } from './scheduler.ts';
import { type Departure, Sequence } from './sequence.ts';

export interface EngineBounds extends AdmissionBounds, SchedulerBounds {}

export class Engine implements SequenceEngine {
  readonly contextTokensMax: number;
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #bounds: EngineBounds;
  readonly #observer: EngineObserver;
  readonly #reporter: Reporter;
  readonly #pool: BlockPool;
  readonly #cache: PrefixCache;
  readonly #cold: ColdTier | null;
  readonly #scheduler: Scheduler;
  readonly #sequences = new Map<number, Sequence>(); // bounded: queueLengthMax + seats
  readonly #inFlight: (StepPlan | null)[]; // [replica]
  readonly #departing: Sequence[] = []; // to leave at the next pump
  readonly #drawn: Drawn[] = []; // tokens to be told once the next step is on its way
  readonly #ended: Ended[] = []; // likewise, after them
  readonly #idleCallbacks: (() => void)[] = [];
  #nextId = 1;
  #pumpScheduled = false;
  #draining = false;

  /** `archive`: where blocks go that the device has no room for; null: they are forgotten. */
  constructor(
    backend: Backend,
    clock: Clock,
    bounds: EngineBounds,
    observer: EngineObserver,
    archive: BlockArchive | null = null,
  ) {
    const { limits } = backend;
    this.contextTokensMax = contextTokensMax(limits);
    this.#backend = backend;
    this.#clock = clock;
    this.#bounds = bounds;
    this.#observer = observer;
    this.#pool = new BlockPool(limits.blockCount);
    this.#cache = new PrefixCache(this.#pool, limits.blockSize);
    const cold = { archive: archive!, cache: this.#cache, blockSize: limits.blockSize, clock };
    this.#cold = archive === null ? null : new ColdTier({ ...cold, onFetched: () => this.#schedulePump() });
    this.#scheduler = new Scheduler(backend, bounds, this.#cache, this.#cold);
    this.#reporter = new Reporter(observer, this.#scheduler, this.#cache, this.#cold);
    this.#inFlight = new Array(limits.replicaCount).fill(null);
  }

  submit(request: SequenceRequest, sink: SequenceSink): SubmitResult {
    const state = { waitingCount: this.#scheduler.waitingCount, draining: this.#draining };
    const refusal = refusalOf(request, state, this.#backend.limits, this.#bounds);
    if (refusal !== null) {
      this.#observer.onRefusal(refusal.reason);
      return refusal;
    }
    const nowMs = this.#clock.nowMs();
    const sequence = new Sequence(this.#nextId++, request, sink, nowMs);
    this.#sequences.set(sequence.id, sequence);
    this.#scheduler.enqueue(sequence);
    if (request.deadlineMs !== null) {
      const message = `the request's time ran out after ${Math.round(request.deadlineMs - nowMs)} ms`;
      const expire = () => this.#depart(sequence, { reason: 'failed', code: 'deadline', message });
      sequence.deadline = this.#clock.schedule(request.deadlineMs - nowMs, expire);
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
    if (sequence !== undefined) sequence.paused = true;
  }

  resume(sequenceId: number): void {
    const sequence = this.#sequences.get(sequenceId);
    if (sequence === undefined || !sequence.paused) return;
    sequence.paused = false;
    this.#schedulePump();
  }

  /** Refuses everything new; calls back once the last sequence has ended. */
  drain(onIdle: () => void): void {
    this.#draining = true;
    if (this.#sequences.size === 0) this.#clock.defer(onIdle);
    else this.#idleCallbacks.push(onIdle);
  }

  /** Ends every sequence with 'failed' / 'shutdown'; those in flight once their step has answered. */
  abortAll(message: string): void {
    this.#draining = true;
    for (const sequence of this.#sequences.values()) {
      this.#depart(sequence, { reason: 'failed', code: 'shutdown', message });
    }
  }

  /** Counts for readiness, tests and people. */
  get load(): { readonly waitingCount: number; readonly runningCount: number; readonly kv: KvLoad } {
    const { freeCount, idleCount, inUseCount, blockCount } = this.#pool;
    return {
      waitingCount: this.#scheduler.waitingCount,
      runningCount: this.#scheduler.runningCount,
      kv: { freeCount, idleCachedCount: idleCount, inUseCount, blockCount },
    };
  }

  /** Full audit of block and seat accounting, O(blocks). Throws AssertionError on the first inconsistency. */
  check(): void {
    this.#cache.check();
    const holds = new Int32Array(this.#pool.blockCount);
    for (const sequence of this.#sequences.values()) for (const block of sequence.blocks) holds[block]!++;
    for (const block of this.#cold?.heldBlocks() ?? []) holds[block]!++;
    for (const [block, count] of holds.entries()) {
      assert.equal(this.#pool.refCount(block), count, `holders of block ${block}`);
    }
  }

  #depart(sequence: Sequence, departure: Departure): void {
    if (sequence.departure !== null || sequence.phase === 'ended') return;
    sequence.departure = departure;
    this.#departing.push(sequence);
    this.#schedulePump();
  }

  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    this.#clock.defer(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  // Everything between two steps. Runs when a step has answered, or when something changed while all was idle.
  #pump(): void {
    const startMs = this.#clock.nowMs();
    this.#dismissDeparting();
    this.#scheduler.seat(startMs);
    const scheduler = this.#scheduler;
    for (
      let replica = scheduler.nextOccupied(0);
      replica !== -1;
      replica = scheduler.nextOccupied(replica + 1)
    ) {
      if (this.#inFlight[replica] !== null) continue;
      const plan = this.#scheduler.plan(replica);
      if (plan !== null) this.#send(plan, startMs);
    }
    for (const sequence of this.#scheduler.takeComplete()) this.#end(sequence, 'length', null);
    this.#assertConserved();
    this.#tellDrawn();
    this.#tellEnded();
  }

  #dismissDeparting(): void {
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

  #send(plan: StepPlan, startMs: number): void {
    assertPlan(plan, this.#backend.limits);
    for (const row of plan.rows) {
      const sequence = this.#sequences.get(row.sequenceId)!;
      sequence.inFlight = true;
      if (sequence.presentCount === 0) this.#reporter.seat(sequence);
    }
    this.#inFlight[plan.replica] = plan;
    const sentMs = this.#clock.nowMs();
    this.#backend.step(plan, (outcome) => this.#commit(plan, outcome, { planMs: sentMs - startMs, sentMs }));
  }

  #commit(plan: StepPlan, outcome: StepOutcome, times: { planMs: number; sentMs: number }): void {
    assert(this.#inFlight[plan.replica] === plan, 'a step answers once');
    assertOutcome(plan, outcome);
    this.#inFlight[plan.replica] = null;
    const nowMs = this.#clock.nowMs();
    if (outcome.ok) {
      for (const [index, row] of plan.rows.entries()) this.#commitRow(row, outcome.rows[index]!, nowMs);
      this.#cold?.learn(plan.rows, outcome.deviceMs);
    } else {
      this.#commitFailure(plan, outcome.failure);
    }
    this.#reporter.step(plan, outcome, { ...times, nowMs });
    this.#pump();
  }

  #commitRow(row: StepRow, outcome: RowOutcome, nowMs: number): void {
    const sequence = this.#sequences.get(row.sequenceId)!;
    const acceptedCount = this.#judgeDraft(sequence, outcome);
    sequence.inFlight = false;
    sequence.computedCount =
      row.position + row.tokens.length - Math.max(0, row.sampleCount - 1) + acceptedCount;
    sequence.presentCount = sequence.computedCount;
    this.#reporter.computed(sequence, row);
    this.#register(sequence);
    if (sequence.departure !== null) return; // leaves in the pump; no token after its cancellation
    if (row.sampleCount === 0) {
      if (sequence.prefillOnly && sequence.remainingCount === 0) this.#end(sequence, 'length', null);
      return;
    }
    const index = sequence.outputCount;
    const reason = this.#append(sequence, outcome.tokens, acceptedCount + 1);
    const count = sequence.outputCount - index;
    this.#reporter.tokens(sequence, nowMs, count);
    this.#drawn.push({
      sequence,
      index,
      tokens: count === outcome.tokens.length ? outcome.tokens : outcome.tokens.slice(0, count),
      logprobs: outcome.logprobs === null ? null : outcome.logprobs.slice(0, count),
    });
    if (reason !== null) this.#end(sequence, reason, null);
  }

  // The device has drawn a token after each guess; guesses count as long as they are what it drew.
  #judgeDraft(sequence: Sequence, outcome: RowOutcome): number {
    const { draft } = sequence;
    if (draft === null) return 0;
    sequence.draft = null;
    const count = draft.tokens.length;
    let accepted = 0;
    while (accepted < count && outcome.tokens[accepted] === draft.tokens[accepted]) accepted++;
    sequence.speculation!.learn(draft.source, { count, accepted });
    return accepted;
  }

  // Appends up to `count` drawn tokens; the reason to end, if one of them gives one.
  #append(sequence: Sequence, tokens: readonly number[], count: number): FinishReason | null {
    const { request } = sequence;
    for (let index = 0; index < count; index++) {
      const token = tokens[index]!;
      sequence.append(token);
      request.constraint?.accept(token);
      if (!request.ignoreStopTokens && request.sampling.stopTokenIds.includes(token)) return 'stop';
      if (sequence.outputCount >= request.maxTokens || sequence.tokenCount >= this.contextTokensMax)
        return 'length';
    }
    return null;
  }

  // Makes finished blocks findable for everyone, even if this sequence is about to leave: they are paid for.
  #register(sequence: Sequence): void {
    const { blockSize } = this.#backend.limits;
    while (sequence.registeredCount < sequence.savedCount) {
      const index = sequence.registeredCount++;
      const parent = sequence.node!;
      const node = this.#cache.insert(parent, sequence.tokens, index * blockSize, sequence.blocks[index]!);
      if (node === parent) continue; // cache was cleared meanwhile: the block stays private
      sequence.blocks[index] = node.block;
      sequence.node = node;
      this.#cold?.keep(node, sequence.tokens, index * blockSize);
    }
  }

  // The rows of the step are lost. Others on the replica are recomputed if their seats are lost too, and nothing
  // cached is trusted once the block store is gone.
  #commitFailure(plan: StepPlan, failure: DeviceFailure): void {
    this.#observer.onStepFailure(failure.code);
    for (const row of plan.rows) {
      const sequence = this.#sequences.get(row.sequenceId)!;
      sequence.inFlight = false;
      this.#end(sequence, 'failed', { code: failure.code, message: failure.message });
    }
    if (failure.lost === 'rows') return;
    if (failure.lost === 'all') {
      this.#cache.clear();
      this.#cold?.invalidate();
    }
    for (let replica = 0; replica < this.#inFlight.length; replica++) {
      for (const sequence of this.#scheduler.seated(replica)) {
        const awaitsRestore = sequence.presentCount < sequence.computedCount && !sequence.inFlight;
        if (replica === plan.replica || (failure.lost === 'all' && awaitsRestore)) {
          this.#scheduler.preempt(sequence);
        } else if (failure.lost === 'all') {
          sequence.node = this.#cache.detachedRoot(); // its seat is sound, what it has saved is not
        }
      }
    }
  }

  #end(sequence: Sequence, reason: FinishReason, failure: SequenceEnd['failure']): void {
    this.#scheduler.remove(sequence);
    this.#sequences.delete(sequence.id);
    sequence.deadline?.cancel();
    const queueMs = (sequence.seatedMs < 0 ? this.#clock.nowMs() : sequence.seatedMs) - sequence.submitMs;
    const usage = {
      promptTokens: sequence.promptCount,
      cachedTokens: sequence.cachedCount,
      outputTokens: sequence.outputCount,
      acceptedDraftTokens: sequence.speculation?.acceptedCount ?? 0,
      rejectedDraftTokens: sequence.speculation?.rejectedCount ?? 0,
      queueMs,
    };
    this.#ended.push({ sequence, end: { reason, failure, usage } });
  }

  // Readers are told after the next step has been sent: their work overlaps the device's.
  #tellDrawn(): void {
    for (const { sequence, tokens, index, logprobs } of this.#drawn) {
      if (sequence.departure !== null) continue; // another reader's reaction cancelled it
      sequence.sink.onTokens(tokens, index, logprobs);
    }
    this.#drawn.length = 0;
  }

  #tellEnded(): void {
    if (this.#ended.length === 0) return;
    const ended = this.#ended.splice(0);
    for (const { sequence, end } of ended) {
      this.#reporter.end(sequence, end);
      sequence.sink.onEnd(end);
    }
    if (this.#sequences.size === 0) for (const onIdle of this.#idleCallbacks.splice(0)) onIdle();
  }

  #assertConserved(): void {
    const { freeCount, idleCount, inUseCount, blockCount } = this.#pool;
    assert.equal(freeCount + idleCount + inUseCount, blockCount);
    this.#reporter.kv({
      blockCount,
      inUseCount,
      idleCachedCount: idleCount,
      runningCount: this.#scheduler.runningCount,
      waitingCount: this.#scheduler.waitingCount,
    });
  }
}

export interface KvLoad {
  readonly freeCount: number;
  readonly idleCachedCount: number;
  readonly inUseCount: number;
  readonly blockCount: number;
}

interface Drawn {
  readonly sequence: Sequence;
  readonly index: number; // of its first token within the output
  readonly tokens: readonly number[];
  readonly logprobs: RowOutcome['logprobs'];
}

interface Ended {
  readonly sequence: Sequence;
  readonly end: SequenceEnd;
}
