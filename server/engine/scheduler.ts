// Scheduler: who sits, who computes how much, and who must stand up when seats or blocks run short. Pure bookkeeping: no
// time, no I/O; the engine calls seat() and plan() between steps and carries the plan to the backend.
import assert from 'node:assert/strict';
import type {
  Backend,
  BackendLimits,
  KvRestore,
  KvSave,
  StepCosts,
  StepPlan,
  StepRow,
} from '../../kernels/backend.ts';
import { chunkCount, matchLimit, pieceCount, tokensBesideDecodes } from './chunks.ts';
import type { ColdTier } from './cold-tier.ts';
import type { PrefixCache } from './prefix-cache.ts';
import type { Priority } from './request.ts';
import { roundsOf } from './rounds.ts';
import type { Sequence } from './sequence.ts';
import { draftOf, mayDraft } from './sequence-draft.ts';
import { dropRows, newRow, type Step } from './step-row.ts';

export interface SchedulerBounds {
  readonly prefillChunkTokens: number; // longest prefill row; chunks end at absolute multiples of it
  readonly prefillTokensPerStep: number; // all prefill rows of one step; bounds what decode rows wait for
  readonly overtakeMsPerToken: number; // a prompt may be overtaken by one that came this much later per token shorter
  readonly classDelayMs: Readonly<Record<Priority, number>>; // how long a class waits before it ranks with fresh turns
}

export class Scheduler {
  readonly #limits: BackendLimits;
  readonly #bounds: SchedulerBounds;
  readonly #costs: StepCosts | null;
  readonly #cache: PrefixCache;
  readonly #cold: ColdTier | null;
  readonly #releaseSlot: (replica: number, slot: number) => void;
  readonly #waiting: Sequence[] = []; // by urgency, most urgent first
  readonly #seats: (Sequence | null)[][]; // [replica][slot]
  readonly #seatedCounts: Int32Array; // [replica]
  readonly #runningByClass = [0, 0, 0]; // [classRank] seated, all replicas
  #runningCount = 0; // their sum
  #promisedCount = 0; // blocks that seated sequences have been let in for and have not taken yet
  #preemptedCount = 0;
  #seatMs = 0; // when seat() was called last
  #complete: Sequence[] = [];

  constructor(backend: Backend, bounds: SchedulerBounds, cache: PrefixCache, cold: ColdTier | null) {
    const { limits } = backend;
    assert(limits.rowTokensMax >= bounds.prefillChunkTokens);
    assert(bounds.prefillTokensPerStep >= bounds.prefillChunkTokens);
    assert(limits.stepTokensMax >= limits.slotCount + bounds.prefillTokensPerStep);
    this.#limits = limits;
    this.#bounds = bounds;
    this.#cache = cache;
    this.#cold = cold;
    this.#releaseSlot = (replica, slot) => backend.releaseSlot(replica, slot);
    this.#costs = backend.costs ?? null;
    this.#seats = Array.from({ length: limits.replicaCount }, () => new Array(limits.slotCount).fill(null));
    this.#seatedCounts = new Int32Array(limits.replicaCount);
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  get runningCount(): number {
    return this.#runningCount;
  }

  get preemptedCount(): number {
    return this.#preemptedCount;
  }

  /** Puts a sequence where its urgency belongs in the queue. */
  enqueue(sequence: Sequence): void {
    const urgency = this.#urgency(sequence);
    let index = this.#waiting.length;
    while (index > 0 && urgency < this.#urgency(this.#waiting[index - 1]!)) index--;
    this.#waiting.splice(index, 0, sequence);
    sequence.wait();
  }

  /** Seats waiting sequences, most urgent first; a lesser class may have to stand up for a turn. */
  seat(nowMs: number): void {
    this.#seatMs = nowMs;
    for (let index = 0; index < this.#waiting.length; ) {
      const sequence = this.#waiting[index]!;
      if (sequence.paused) {
        index++;
        continue;
      }
      if (this.#isFetching(sequence)) {
        index++; // those behind need not wait for its blocks
        continue;
      }
      const replica = this.#replicaFor(sequence);
      // Whoever is most urgent waits for room before anybody behind it gets some: nobody starves.
      if (replica === -1 || !this.#hasRoom(sequence)) return;
      this.#waiting.splice(index, 1);
      this.#sit(sequence, replica, nowMs);
    }
  }

  /** The first replica from `from` on where somebody sits; −1: there is none. */
  nextOccupied(from: number): number {
    const counts = this.#seatedCounts;
    for (let replica = from; replica < counts.length; replica++) if (counts[replica] !== 0) return replica;
    return -1;
  }

  /** The next step of a replica without one in flight, or null if nothing there can compute. */
  plan(replica: number): StepPlan | null {
    if (this.#seatedCounts[replica] === 0) return null;
    if (this.#standPaused(replica)) this.seat(this.#seatMs);
    const rows: StepRow[] = [];
    const restores: KvRestore[] = [];
    const saves: KvSave[] = [];
    const decodes: Sequence[] = [];
    const prefills: Sequence[] = [];
    const seats = this.#seats[replica]!;
    for (const sequence of seats) {
      if (sequence === null || sequence.paused || sequence.departure !== null) continue;
      if (sequence.remainingCount !== 1 || sequence.outputCount === 0) prefills.push(sequence);
      else decodes.push(sequence);
    }
    this.#draft(decodes);
    const spareCount = this.#cache.availableCount - this.#promisedCount;
    const rounds = prefills.length === 0 ? roundsOf(decodes, this.#limits, spareCount) : 1;
    for (const sequence of decodes) {
      if (sequence.phase === 'running')
        this.#addRow(sequence, { count: 1, rounds }, { rows, restores, saves });
    }
    prefills.sort((a, b) => this.#urgency(a) - this.#urgency(b));
    const { prefillChunkTokens, prefillTokensPerStep } = this.#bounds;
    let budget = tokensBesideDecodes(rows.length, this.#costs, prefillTokensPerStep, this.#limits.blockSize);
    const unit = budget < prefillTokensPerStep ? this.#limits.blockSize : 0;
    for (const sequence of prefills) {
      if (sequence.phase !== 'running') continue; // preempted for the blocks of somebody more urgent
      this.#matchLate(sequence);
      if (sequence.remainingCount === 0) {
        this.#complete.push(sequence);
        continue;
      }
      const count = pieceCount(chunkCount(sequence, prefillChunkTokens), budget, unit);
      if (count === 0) continue;
      if (this.#addRow(sequence, { count, rounds }, { rows, restores, saves })) budget -= count;
    }
    dropRows({ rows, restores, saves }, (row) => seats[row.slot]?.id === row.sequenceId); // of sequences preempted since
    if (rows.length === 0) return null;
    return rounds > 1 ? { replica, rows, restores, saves, rounds } : { replica, rows, restores, saves };
  }

  /** Whether there is something to guess for a sequence that a step in flight goes on decoding. */
  wantsDraft(sequence: Sequence, decodingCount: number): boolean {
    return this.#costs !== null && mayDraft(sequence, this.#limits, this.#costs, decodingCount);
  }

  /** Sequences that seat() or plan() found to need no step: prefill that others had done already. Empties the list. */
  takeComplete(): Sequence[] {
    const complete = this.#complete;
    if (complete.length > 0) this.#complete = [];
    return complete;
  }

  /** Takes a sequence out of the queue or its seat and gives its blocks back. Not while it is in flight. */
  remove(sequence: Sequence): void {
    assert(!sequence.inFlight);
    if (sequence.phase === 'waiting') this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
    else this.#stand(sequence);
    sequence.leave();
  }

  /** Back to the queue: its KV in the seat is gone; blocks that the prefix cache knows may be found again. */
  preempt(sequence: Sequence): void {
    this.#stand(sequence);
    sequence.forget();
    this.#preemptedCount++;
    this.enqueue(sequence);
  }

  /** Empties the queue; who waited, most urgent first. */
  takeWaiting(): Sequence[] {
    return this.#waiting.splice(0);
  }

  /** Everyone in a seat of the replica. */
  seated(replica: number): Sequence[] {
    return this.#seats[replica]!.filter((sequence) => sequence !== null);
  }

  #draft(decodes: readonly Sequence[]): void {
    if (this.#costs === null) return;
    const { stepTokensMax, slotCount } = this.#limits;
    let countMax = stepTokensMax - slotCount - this.#bounds.prefillTokensPerStep;
    for (const sequence of decodes) {
      const bounds = { decodingCount: decodes.length, countMax };
      sequence.guess(draftOf(sequence, this.#limits, this.#costs, bounds));
      countMax -= sequence.draft?.tokens.length ?? 0;
    }
  }

  // One number orders everything: the time a sequence came, plus what its class and its length make it wait.
  // It never changes while the sequence waits, so whoever waits long enough is more urgent than all newcomers.
  #urgency(sequence: Sequence): number {
    const { classDelayMs, overtakeMsPerToken } = this.#bounds;
    return (
      sequence.submitMs +
      classDelayMs[sequence.request.priority] +
      sequence.remainingCount * overtakeMsPerToken
    );
  }

  // A reader that is slow or gone must not keep others from their seats and blocks: its sequence stands up for whoever
  // found no room, and waits for its turn again when it is resumed.
  #standPaused(replica: number): boolean {
    const isHungry = (other: Sequence) => !other.paused && other.coldFetch?.ended !== false;
    if (!this.#waiting.some(isHungry)) return false;
    const paused = this.#seats[replica]!.filter((seated) => seated?.paused && !seated.inFlight);
    for (const sequence of paused) if (sequence?.departure === null) this.preempt(sequence);
    return paused.length > 0;
  }

  // The replica with the most free seats; when there is none, a lesser and less urgent class stands up.
  #replicaFor(sequence: Sequence): number {
    const { slotCount, replicaCount } = this.#limits;
    let best = -1;
    if (this.#runningCount < replicaCount * slotCount) {
      for (let replica = 0; replica < replicaCount; replica++) {
        if (this.#seatedCounts[replica]! >= slotCount) continue;
        if (best === -1 || this.#seatedCounts[replica]! < this.#seatedCounts[best]!) best = replica;
        if (this.#seatedCounts[best] === 0) break; // none can have fewer
      }
    }
    if (best !== -1) return best;
    const rank = classRank(sequence);
    if (!this.#runningByClass.some((count, other) => other > rank && count > 0)) return -1;
    const urgency = this.#urgency(sequence);
    const victim = this.#victim(
      sequence,
      (other) => classRank(other) > rank && this.#urgency(other) > urgency,
    );
    if (victim === null) return -1;
    const { replica } = victim;
    this.preempt(victim);
    return replica;
  }

  // Blocks for all its tokens must be there (found or free), or it would only be preempted again. With nobody
  // seated everything unused is available, and admission has made sure that one sequence always fits.
  #hasRoom(sequence: Sequence): boolean {
    const blockCount = Math.ceil((sequence.tokenCount + 1) / this.#limits.blockSize);
    const shortCount = blockCount - (this.#cache.availableCount - this.#promisedCount);
    if (shortCount <= 0 || (this.runningCount === 0 && !this.#cold?.fetching)) return true;
    // Blocks that others hold already cost nothing; idle ones found again are taken from the available ones.
    const root = this.#cache.root(sequence.request.cacheSalt);
    return (
      this.#cache.heldCount(root, sequence.tokens, matchLimit(sequence, this.#bounds.prefillChunkTokens)) >=
      shortCount
    );
  }

  #isFetching(sequence: Sequence): boolean {
    if (this.#cold === null) return false;
    const spareCount = this.#cache.availableCount - this.#promisedCount;
    return this.#cold.holdsUp(sequence, {
      limit: matchLimit(sequence, this.#bounds.prefillChunkTokens),
      spareCount,
    });
  }

  // Blocks for `tokenCount` tokens are spoken for, beyond those it has: whoever comes next must not count on them.
  #promise(sequence: Sequence, tokenCount: number): void {
    const blockCount = Math.ceil(tokenCount / this.#limits.blockSize);
    this.#promisedCount += sequence.promise(Math.max(0, blockCount - sequence.blocks.length));
  }

  #sit(sequence: Sequence, replica: number, nowMs: number): void {
    const seats = this.#seats[replica]!;
    const slot = seats.indexOf(null); // the lowest: devices batch contiguous seats
    seats[slot] = sequence;
    this.#seatedCounts[replica]!++;
    this.#runningByClass[classRank(sequence)]!++;
    this.#runningCount++;
    const first = sequence.seatedMs < 0;
    sequence.sit({ replica, slot }, this.#cache.root(sequence.request.cacheSalt), nowMs);
    const foundCount = this.#match(sequence);
    this.#promise(sequence, sequence.tokenCount + 1);
    if (first) sequence.credit(foundCount);
  }

  /** Tokens that the prefix cache has of what comes next. */
  #match(sequence: Sequence): number {
    const found: number[] = [];
    const range = {
      from: sequence.computedCount,
      limit: matchLimit(sequence, this.#bounds.prefillChunkTokens),
    };
    const node = this.#cache.match(sequence.node!, sequence.tokens, range, found);
    const tokenCount = found.length * this.#limits.blockSize;
    sequence.find(node, found, tokenCount);
    return tokenCount;
  }

  // Another sequence may have computed our next blocks since we sat down (equal prompts that came together).
  #matchLate(sequence: Sequence): void {
    if (sequence.computedCount !== sequence.registeredCount * this.#limits.blockSize) return;
    if (sequence.blocks.length !== sequence.registeredCount) return;
    const foundCount = this.#match(sequence);
    if (foundCount === 0) return;
    this.#promise(sequence, sequence.tokenCount + 1);
    if (sequence.outputCount === 0) sequence.credit(foundCount); // some of it for the second time
  }

  /** False if the sequence had to stand up itself for want of blocks. */
  #addRow(sequence: Sequence, { count, rounds }: { count: number; rounds: number }, step: Step): boolean {
    const draftCount = sequence.draft?.tokens.length ?? 0;
    if (!this.#reserve(sequence, sequence.computedCount + count + draftCount + rounds - 1)) return false;
    const { blockSize } = this.#limits;
    const { computedCount, presentCount, slot } = sequence;
    if (presentCount < computedCount) {
      const blocks = sequence.blocks.slice(presentCount / blockSize, computedCount / blockSize);
      step.restores.push({ slot, position: presentCount, blocks });
    }
    const end = computedCount + count;
    step.rows.push(newRow(sequence, end));
    // Only what is certain is kept: a drafted token may turn out wrong.
    while ((sequence.savedCount + 1) * blockSize < end + rounds) {
      const index = sequence.save();
      step.saves.push({ slot, position: index * blockSize, block: sequence.blocks[index]! });
    }
    return true;
  }

  // Blocks for tokens [0, tokenCount). When none is left, the least urgent of the others stands up, or else we do.
  #reserve(sequence: Sequence, tokenCount: number): boolean {
    const blockCount = Math.ceil(tokenCount / this.#limits.blockSize);
    while (sequence.blocks.length < blockCount) {
      const block = this.#cache.allocate();
      if (block !== -1) {
        if (sequence.hold(block)) this.#promisedCount--;
        continue;
      }
      const urgency = this.#urgency(sequence);
      const victim = this.#victim(sequence, (other) => other.paused || this.#urgency(other) > urgency);
      this.preempt(victim ?? sequence);
      if (victim === null) return false;
    }
    return true;
  }

  // The least urgent seated sequence that may stand up and is not in flight; paused ones first.
  #victim(forWhom: Sequence, allowed: (other: Sequence) => boolean): Sequence | null {
    let victim: Sequence | null = null;
    for (const seats of this.#seats) {
      for (const other of seats) {
        if (other === null || other === forWhom || other.inFlight || !allowed(other)) continue;
        if (victim === null || this.#lessUrgent(other, victim)) victim = other;
      }
    }
    return victim;
  }

  #lessUrgent(a: Sequence, b: Sequence): boolean {
    if (a.paused !== b.paused) return a.paused;
    return this.#urgency(a) > this.#urgency(b);
  }

  #stand(sequence: Sequence): void {
    assert(sequence.phase === 'running' && !sequence.inFlight);
    this.#seats[sequence.replica]![sequence.slot] = null;
    this.#seatedCounts[sequence.replica]!--;
    this.#runningByClass[classRank(sequence)]!--;
    this.#runningCount--;
    this.#releaseSlot(sequence.replica, sequence.slot);
    sequence.stand();
    const ofTurn = sequence.request.priority === 'turn';
    for (let block = sequence.giveBack(); block !== undefined; block = sequence.giveBack())
      this.#cache.release(block, ofTurn); // last to first
    this.#promise(sequence, 0);
  }
}

const classRanks: Readonly<Record<Priority, number>> = { turn: 0, side: 1, background: 2 };

function classRank(sequence: Sequence): number {
  return classRanks[sequence.request.priority];
}
