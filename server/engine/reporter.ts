// Reporter: turns what the engine does into the numbers its observer wants. Decides nothing.
// Called by engine.ts; after it: the observer (server/metrics/metrics.ts, or a simulation's report).
import type { StepOutcome, StepPlan } from '../../kernels/backend.ts';
import type { ColdTier } from './cold-tier.ts';
import type { EngineObserver, KvReport } from './observer.ts';
import type { MissReason, PrefixCache } from './prefix-cache.ts';
import type { SequenceEnd } from './request.ts';
import type { Scheduler } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

export interface StepTimes {
  planMs: number; // the engine's own
  sentMs: number; // when the step was sent, or its last round answered
}

interface ReporterParts {
  readonly scheduler: Scheduler;
  readonly cache: PrefixCache;
  readonly cold: ColdTier | null;
  readonly blockSize: number; // tokens
}

export class Reporter {
  readonly #observer: EngineObserver;
  readonly #scheduler: Scheduler;
  readonly #cache: PrefixCache;
  readonly #cold: ColdTier | null;
  readonly #blockSize: number;
  #recomputedTokens = 0; // in the rows of the step being committed
  #evictedCount = 0; // told so far
  #clearedCount = 0;
  #fetchedCount = 0;
  #skippedCount = 0;
  #preemptedCount = 0;

  constructor(observer: EngineObserver, { scheduler, cache, cold, blockSize }: ReporterParts) {
    this.#observer = observer;
    this.#scheduler = scheduler;
    this.#cache = cache;
    this.#cold = cold;
    this.#blockSize = blockSize;
  }

  /** The sequence is about to compute for the first time; told once. */
  seat(sequence: Sequence): void {
    if (!sequence.tellSeated(() => this.#missReason(sequence))) return;
    this.#observer.onSeat({
      priority: sequence.request.priority,
      queueMs: sequence.seatedMs - sequence.submitMs,
      promptTokens: sequence.promptCount,
      missReason: sequence.missReason!,
      cachedTokens: sequence.cachedCount,
      coldTokens: Math.min(sequence.coldCount, sequence.cachedCount),
      keptTokens: sequence.keptCount,
    });
  }

  #missReason({ node, tokens, registeredCount, promptCount }: Sequence): MissReason {
    const position = registeredCount * this.#blockSize;
    return node === null ? 'new' : this.#cache.missReason(node, tokens, { position, limit: promptCount - 1 });
  }

  /** A row began at `position`; its sequence had been computed up to `reached` before. Call it before step(). */
  computed(position: number, reached: number): void {
    this.#recomputedTokens += Math.max(0, reached - position);
  }

  /** `count` tokens of the sequence have just been drawn. */
  tokens(sequence: Sequence, nowMs: number, count: number): void {
    const gapMs = sequence.drew(nowMs);
    if (gapMs !== null) this.#observer.onTokenGap(gapMs, count);
    else {
      const { request, submitMs } = sequence;
      this.#observer.onFirstToken({ priority: request.priority, ttftMs: nowMs - submitMs });
    }
  }

  end(sequence: Sequence, end: SequenceEnd): void {
    const { promptTokens, cachedTokens, outputTokens, acceptedDraftTokens, rejectedDraftTokens } = end.usage;
    const spanMs = sequence.lastTokenMs - sequence.firstTokenMs;
    this.#observer.onEnd({
      priority: sequence.request.priority,
      reason: end.reason,
      promptTokens,
      cachedTokens,
      outputTokens,
      acceptedDraftTokens,
      rejectedDraftTokens,
      tpotMs: outputTokens < 2 ? null : spanMs / (outputTokens - 1),
    });
  }

  /** A step, or one round of it, has answered. */
  step(plan: StepPlan, outcome: StepOutcome, times: Readonly<StepTimes>, nowMs: number): void {
    let decodeTokens = 0;
    let prefillTokens = 0;
    for (const row of plan.rows) {
      if (row.position >= row.promptCount) decodeTokens += row.tokens.length;
      else prefillTokens += row.tokens.length;
    }
    let restoredBlocks = 0;
    for (const restore of plan.restores) restoredBlocks += restore.blocks.length;
    this.#observer.onStep({
      replica: plan.replica,
      rowCount: plan.rows.length,
      prefillTokens,
      decodeTokens,
      restoredBlocks,
      recomputedTokens: this.#recomputedTokens,
      planMs: times.planMs,
      stepMs: nowMs - times.sentMs,
      deviceMs: outcome.ok ? outcome.deviceMs : 0,
    });
    this.#recomputedTokens = 0;
  }

  /** After every commit: the state of the KV, and what was evicted or preempted since the last time. */
  kv(report: KvReport): void {
    const { evictedCount, clearedCount } = this.#cache;
    if (evictedCount > this.#evictedCount) {
      this.#observer.onEviction(evictedCount - this.#evictedCount, 'capacity');
    }
    if (clearedCount > this.#clearedCount) {
      this.#observer.onEviction(clearedCount - this.#clearedCount, 'device-lost');
    }
    this.#evictedCount = evictedCount;
    this.#clearedCount = clearedCount;
    if (this.#cold !== null) this.#tellCold(this.#cold);
    const { preemptedCount } = this.#scheduler;
    for (; this.#preemptedCount < preemptedCount; this.#preemptedCount++) this.#observer.onPreemption();
    this.#observer.onKv(report);
  }

  #tellCold({ fetchedCount, skippedCount }: ColdTier): void {
    if (fetchedCount === this.#fetchedCount && skippedCount === this.#skippedCount) return;
    this.#observer.onCold({
      fetchedBlocks: fetchedCount - this.#fetchedCount,
      skippedBlocks: skippedCount - this.#skippedCount,
    });
    this.#fetchedCount = fetchedCount;
    this.#skippedCount = skippedCount;
  }
}
