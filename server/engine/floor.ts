// Floor: everything that belongs to one device (blocks, prefix cache, cold tier, seats, plans in flight, what has been
// reported of them), so that the engine can move house to another device. Knows no reader and ends no sequence.
// Used by engine.ts; after it: scheduler.ts and the backend.
import assert from 'node:assert/strict';
import type { Backend, BackendLimits, DeviceFailure, StepPlan, StepRow } from '../../kernels/backend.ts';
import type { Clock } from '../../kernels/clock.ts';
import { type AdmissionBounds, contextTokensMax } from './admission.ts';
import type { BlockArchive } from './block-archive.ts';
import { BlockPool } from './block-pool.ts';
import { type CachePicture, cachePicture, type PictureBounds } from './cache-picture.ts';
import { ColdTier } from './cold-tier.ts';
import type { DraftModel } from './draft-model.ts';
import type { EngineObserver, KvReport } from './observer.ts';
import { PrefixCache } from './prefix-cache.ts';
import { Reporter } from './reporter.ts';
import { Scheduler, type SchedulerBounds } from './scheduler.ts';
import { Seating } from './seating.ts';
import type { Sequence } from './sequence.ts';

export interface EngineBounds extends AdmissionBounds, SchedulerBounds {
  /**
   * False: prompts find only what prompts have left. What an answer leaves was computed token by token, which has other last
   * bits than a chunk, and whether it is still there depends on the load. Absent: true.
   */
  readonly findsAnswers?: boolean;
  /** Seats keep the KV of who has left, where the device lets them, until somebody needs them. Absent: true. */
  readonly keepsSeats?: boolean;
}

export interface KvLoad
  extends Pick<KvReport, 'blockCount' | 'inUseCount' | 'idleCachedCount' | 'touchedCount'> {
  readonly freeCount: number;
}

export interface FloorParts {
  readonly clock: Clock;
  readonly bounds: EngineBounds;
  readonly observer: EngineObserver;
  readonly archive: BlockArchive | null;
  readonly draftModel: DraftModel | null;
  readonly onReady: () => void; // somebody may sit down now, or has been guessed for
}

export class Floor {
  readonly backend: Backend;
  readonly limits: BackendLimits;
  readonly bounds: EngineBounds;
  readonly contextTokensMax: number;
  readonly cold: ColdTier | null;
  readonly scheduler: Scheduler;
  readonly reporter: Reporter;
  readonly draftModel: DraftModel | null; // of the engine's, if it suits the device
  readonly #onReady: () => void;
  readonly #pool: BlockPool;
  readonly #cache: PrefixCache;
  readonly #seating: Seating;
  readonly #inFlight: (StepPlan | null)[]; // [replica]

  constructor(backend: Backend, { clock, bounds, observer, archive, draftModel, onReady }: FloorParts) {
    const { limits } = backend;
    this.backend = backend;
    this.limits = limits;
    this.bounds = bounds;
    this.contextTokensMax = contextTokensMax(limits);
    this.#pool = new BlockPool(limits.blockCount);
    this.#cache = new PrefixCache(this.#pool, limits.blockSize, observer.blocks ?? null);
    const { blockSize } = limits;
    const coldParts = { cache: this.#cache, blockSize, clock, onFetched: onReady };
    this.cold = archive === null ? null : new ColdTier({ archive, ...coldParts });
    this.draftModel = draftModel?.fits(limits) ? draftModel : null;
    this.#onReady = onReady;
    this.#seating = new Seating(backend, this.#cache, bounds.keepsSeats ?? true);
    const seatedParts = { cache: this.#cache, cold: this.cold, seating: this.#seating };
    this.scheduler = new Scheduler(backend, bounds, seatedParts);
    const { scheduler, cold } = this;
    this.reporter = new Reporter(observer, { scheduler, cache: this.#cache, cold, blockSize });
    this.#inFlight = new Array(limits.replicaCount).fill(null);
  }

  /** No step, no fetch and no guess is under way. */
  get quiet(): boolean {
    if (this.cold?.fetching === true || this.draftModel?.quiet === false) return false;
    return this.#inFlight.every((plan) => plan === null);
  }

  get kv(): KvLoad {
    const { freeCount, idleCount, inUseCount, touchedCount, blockCount } = this.#pool;
    return { freeCount, idleCachedCount: idleCount, inUseCount, touchedCount, blockCount };
  }

  /** What the cache holds, for people. */
  picture(bounds: PictureBounds): CachePicture {
    return cachePicture({ cache: this.#cache, pool: this.#pool, blockSize: this.limits.blockSize }, bounds);
  }

  /** The next step of each replica that can take one; `send` is called for each before the next is planned. */
  plan(send: (plan: StepPlan) => void): void {
    const { scheduler } = this;
    let takenCount = -1;
    // Once more where somebody has sat down meanwhile: it may be at a replica that had been passed.
    while (takenCount !== this.#seating.takenCount) {
      takenCount = this.#seating.takenCount;
      for (let at = scheduler.nextReady(0); at !== -1; at = scheduler.nextReady(at + 1)) {
        const plan = this.#isGuessing(at) ? null : scheduler.plan(at);
        if (plan !== null) send(plan);
      }
    }
  }

  #isGuessing(replica: number): boolean {
    if (this.draftModel === null) return false;
    const { limits, costs = null } = this.backend;
    const seated = this.scheduler.seated(replica);
    return this.draftModel.prepare(replica, seated, { limits, costs }, this.#onReady);
  }

  sent(plan: StepPlan): void {
    this.#inFlight[plan.replica] = plan;
    this.scheduler.stepping(plan.replica, true);
  }

  answered(plan: StepPlan): void {
    assert(this.#inFlight[plan.replica] === plan, 'a step answers once');
    this.#inFlight[plan.replica] = null;
    this.scheduler.stepping(plan.replica, false);
  }

  /** A step has run: what computing costs. */
  learn(rows: readonly StepRow[], deviceMs: number): void {
    this.scheduler.learn(rows, deviceMs);
    this.cold?.learn(rows, deviceMs);
  }

  /** Steps in flight are to end with the round they are at. */
  interrupt(): void {
    for (const plan of this.#inFlight) {
      if (plan !== null && plan.rounds !== undefined) this.backend.interrupt?.(plan.replica);
    }
  }

  /** Makes finished blocks findable for everyone, even if this sequence is about to leave: they are paid for. */
  register(sequence: Sequence): void {
    if (sequence.judgesPrompt) return;
    const { blockSize } = this.limits;
    // Not what wrong guesses, or the later rounds of a step that ended early, would have filled.
    sequence.savedOnly(Math.floor(sequence.certainCount / blockSize));
    const { findsAnswers = true } = this.bounds;
    const findable = findsAnswers ? sequence.savedCount : Math.floor(sequence.chunkedCount / blockSize);
    while (sequence.registeredCount < Math.min(sequence.savedCount, findable)) {
      const index = sequence.registeredCount;
      const start = index * blockSize;
      const parent = sequence.node!;
      const drawn = start + blockSize > sequence.chunkedCount;
      const node = this.#cache.insert(parent, sequence.tokens, start, sequence.blocks[index]!, drawn);
      const isKept = node !== parent; // else the cache was cleared meanwhile: the block stays private
      sequence.register(isKept ? node : null);
      if (isKept) this.cold?.keep(node, sequence.tokens, start);
    }
  }

  /** It had no distribution to draw from: should its KV be to blame, nobody may find that again. */
  distrust({ node }: Sequence): void {
    if (node === null) return;
    for (const forgotten of this.#cache.distrust(node)) this.cold?.forget(forgotten);
  }

  /**
   * A step of the replica has failed and its rows have left. Others there are recomputed if their seats are lost too,
   * and nothing cached is trusted once the block store is gone.
   */
  lose(lost: DeviceFailure['lost'], failedReplica: number): void {
    // Those whose rows have failed may have ended well, and have left a seat that the device was at.
    this.#seating.forgetKept(failedReplica);
    if (lost === 'rows') return;
    if (lost === 'all') {
      this.#cache.clear();
      this.cold?.invalidate();
    }
    for (let replica = 0; replica < this.limits.replicaCount; replica++) {
      if (lost === 'all') this.#seating.forgetKept(replica);
      for (const sequence of this.scheduler.seated(replica)) {
        const awaitsRestore = sequence.presentCount < sequence.computedCount && !sequence.inFlight;
        if (replica === failedReplica || (lost === 'all' && awaitsRestore)) {
          this.scheduler.preempt(sequence);
        } else if (lost === 'all') {
          sequence.uproot(this.#cache.detachedRoot());
        }
      }
    }
  }

  /** Everybody leaves for another device, most urgent first, with all tokens and without any KV. Only while quiet. */
  evacuate(): Sequence[] {
    assert(this.quiet);
    const { scheduler } = this;
    for (let at = scheduler.nextReady(0); at !== -1; at = scheduler.nextReady(at + 1)) {
      for (const sequence of scheduler.seated(at)) scheduler.preempt(sequence);
    }
    const sequences = scheduler.takeWaiting();
    assert.equal(this.#pool.inUseCount, 0, 'blocks that nobody holds any more');
    return sequences;
  }

  /** After every commit. */
  report(pausedCount: number): void {
    const { freeCount, idleCount, inUseCount, touchedCount, blockCount } = this.#pool;
    assert(freeCount + idleCount + inUseCount === blockCount, 'blocks add up');
    const { runningCount, waitingCount } = this.scheduler;
    this.reporter.kv({
      blockCount,
      inUseCount,
      idleCachedCount: idleCount,
      touchedCount,
      runningCount,
      waitingCount,
      pausedCount,
    });
  }

  /** Full audit of the blocks, O(blocks): held by these sequences, and by nobody else. */
  check(sequences: Iterable<Sequence>): void {
    this.#cache.check();
    this.#seating.check();
    const holds = new Int32Array(this.#pool.blockCount);
    for (const sequence of sequences) for (const block of sequence.blocks) holds[block]!++;
    for (const block of this.cold?.heldBlocks() ?? []) holds[block]!++;
    for (const [block, count] of holds.entries()) {
      assert.equal(this.#pool.refCount(block), count, `holders of block ${block}`);
    }
  }
}
