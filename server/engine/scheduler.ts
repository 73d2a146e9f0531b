// Scheduler: who sits, who computes how much, and who must stand up when seats or blocks run short. Pure bookkeeping: no
// time, no I/O; the engine calls seat() and plan() between steps and carries the plan to the backend. These two are the whole
// schedule; what stands below them says how.
import assert from 'node:assert/strict';
import {
  type Backend,
  type BackendLimits,
  judgedTokensMax,
  type StepCosts,
  type StepPlan,
  type StepRow,
} from '../../kernels/backend.ts';
import { chunkCount, matchLimit, pieceCount, tokensBesideDecodes } from './chunks.ts';
import type { ColdTier } from './cold-tier.ts';
import { PrefillPace } from './prefill-pace.ts';
import type { PrefixCache, PrefixNode } from './prefix-cache.ts';
import type { Priority } from './request.ts';
import { roundsOf } from './rounds.ts';
import { classRank, type Seating } from './seating.ts';
import type { Sequence } from './sequence.ts';
import { draftOf, mayDraft } from './sequence-draft.ts';
import { dropRows, newRow, type Step } from './step-row.ts';
import { WaitingLine } from './waiting-line.ts';

export interface SchedulerBounds {
  readonly prefillChunkTokens: number; // longest prefill row; chunks end at absolute multiples of it
  readonly prefillTokensPerStep: number; // all prefill rows of one step; bounds what decode rows wait for
  /**
   * A prompt may be overtaken by one that came so much later per token shorter; where the device's prompts have shown to cost
   * more, by as much as that. 0: whatever it costs, first come, first served.
   */
  readonly overtakeMsPerToken: number;
  readonly overtakeMsMax?: number; // by none that came this much later, however long it is; absent: no bound
  readonly classDelayMs: Readonly<Record<Priority, number>>; // how long a class waits before it ranks with fresh turns
}

interface SchedulerParts {
  readonly cache: PrefixCache;
  readonly cold: ColdTier | null;
  readonly seating: Seating;
}

const urgentTurn = 4; // of so many steps one begins with the most urgent prompt

export class Scheduler {
  readonly #limits: BackendLimits;
  readonly #bounds: SchedulerBounds;
  readonly #costs: StepCosts | null;
  readonly #cache: PrefixCache;
  readonly #cold: ColdTier | null;
  readonly #waiting = new WaitingLine<Sequence>();
  readonly #seating: Seating;
  readonly #pace = new PrefillPace();
  readonly #turns: Uint8Array; // [replica] steps that could begin with the shortest prompt, modulo urgentTurn
  #promisedCount = 0; // blocks that seated sequences have been let in for and have not taken yet
  #preemptedCount = 0;
  #seatMs = 0; // when seat() was called last
  #complete: Sequence[] = [];

  constructor(backend: Backend, bounds: SchedulerBounds, { cache, cold, seating }: SchedulerParts) {
    const { limits } = backend;
    assert(limits.rowTokensMax >= bounds.prefillChunkTokens);
    assert(bounds.prefillTokensPerStep >= bounds.prefillChunkTokens);
    assert(limits.stepTokensMax >= limits.slotCount + bounds.prefillTokensPerStep);
    this.#limits = limits;
    this.#bounds = bounds;
    this.#cache = cache;
    this.#cold = cold;
    this.#costs = backend.costs ?? null;
    this.#seating = seating;
    this.#turns = new Uint8Array(limits.replicaCount);
  }

  /** Seats waiting sequences, most urgent first; a lesser class may have to stand up for a turn. */
  seat(nowMs: number): void {
    this.#seatMs = nowMs;
    for (let index = 0; index < this.#waiting.length; ) {
      const sequence = this.#waiting.at(index);
      // Those behind need not wait for a reader that is slow, nor for blocks that are on their way.
      if (sequence.paused || this.#isFetching(sequence)) {
        index++;
        continue;
      }
      const replica = this.#replicaFor(sequence);
      // Whoever is most urgent waits for room before anybody behind it gets some: nobody starves.
      if (replica === -1 || !this.#hasRoom(sequence)) return;
      this.#waiting.removeAt(index);
      this.#sit(sequence, replica, nowMs);
    }
  }

  /** The next step of a replica without one in flight, or null if nothing there can compute. */
  plan(replica: number): StepPlan | null {
    if (this.#seating.isEmpty(replica)) return null;
    if (this.#standPaused(replica)) this.seat(this.#seatMs);
    const { decodes, prefills } = this.#computing(replica);
    const step: Step = { rows: [], restores: [], saves: [] };
    // Whoever decodes is in every step, with guesses where they pay, and for several rounds where nobody else waits.
    this.#draft(decodes);
    const rounds = prefills.length === 0 ? roundsOf(decodes, this.#limits, this.#spareCount) : 1;
    for (const sequence of decodes) {
      if (sequence.phase === 'running') this.#addRow(sequence, { count: 1, rounds }, step);
    }
    // Prompts fill what is left of it, in chunks: the most urgent first, or the shortest.
    this.#order(prefills, replica);
    this.#addPrefills(prefills, step);
    // Whoever had to stand up meanwhile for somebody's blocks is not in it after all.
    const seats = this.#seating.at(replica);
    dropRows(step, seats);
    const { rows, restores, saves } = step;
    if (rows.length === 0) return null;
    return rounds > 1 ? { replica, rows, restores, saves, rounds } : { replica, rows, restores, saves };
  }

  /** Puts a sequence where its urgency belongs in the queue. */
  enqueue(sequence: Sequence): void {
    const urgency = this.#urgency(sequence);
    this.#waiting.insert(sequence, (other) => urgency < this.#urgency(other));
    sequence.wait();
  }

  /**
   * Takes a sequence out of the queue or its seat and gives its blocks back. `sound`: what it has computed may stay in the
   * seat. Not while it is in flight.
   */
  remove(sequence: Sequence, sound: boolean): void {
    assert(!sequence.inFlight);
    if (sequence.phase === 'waiting') this.#waiting.remove(sequence);
    else this.#stand(sequence, sound);
    sequence.leave();
  }

  /** Back to the queue: its KV in the seat is gone; blocks that the prefix cache knows may be found again. */
  preempt(sequence: Sequence): void {
    this.#stand(sequence, false);
    sequence.forget();
    this.#preemptedCount++;
    this.enqueue(sequence);
  }

  /** A step has run: what computing costs. */
  learn(rows: readonly StepRow[], deviceMs: number): void {
    this.#pace.learn(rows, deviceMs);
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  get runningCount(): number {
    return this.#seating.count;
  }

  get preemptedCount(): number {
    return this.#preemptedCount;
  }

  /** The first replica from `from` on where somebody sits and no step is in flight; −1: there is none. */
  nextReady(from: number): number {
    return this.#seating.nextReady(from);
  }

  /** A step of the replica is in flight, or is not any more. */
  stepping(replica: number, inFlight: boolean): void {
    this.#seating.stepping(replica, inFlight);
  }

  /** Everyone in a seat of the replica. */
  seated(replica: number): Sequence[] {
    return this.#seating.at(replica).filter((sequence) => sequence !== null);
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

  /** Empties the queue; who waited, most urgent first. */
  takeWaiting(): Sequence[] {
    return this.#waiting.takeAll();
  }

  // One number orders everything: the time a sequence came, plus what its class and its length make it wait.
  // It is bounded, and newcomers' grows with time, so whoever waits long enough is more urgent than all of them.
  #urgency(sequence: Sequence): number {
    const { classDelayMs, overtakeMsPerToken, overtakeMsMax = Number.POSITIVE_INFINITY } = this.#bounds;
    const tokenMs = overtakeMsPerToken === 0 ? 0 : Math.max(overtakeMsPerToken, this.#pace.tokenMs ?? 0);
    const lengthMs = Math.min(overtakeMsMax, sequence.remainingCount * tokenMs);
    return sequence.submitMs + classDelayMs[sequence.request.priority] + lengthMs;
  }

  // A long prompt that is the most urgent at last, having waited for as long as it is, would hold up everybody who comes for
  // as long as the rest of it takes. So three steps of four begin with the shortest of its class: short ones wait for a few
  // chunks of it as long as they take less than what that leaves, and it has a fourth of the steps whatever comes.
  #order(prefills: Sequence[], replica: number): void {
    if (prefills.length < 2) return;
    prefills.sort((a, b) => this.#urgency(a) - this.#urgency(b));
    if (this.#bounds.overtakeMsPerToken === 0) return;
    const rank = classRank(prefills[0]!);
    let at = 0;
    for (let index = 1; index < prefills.length; index++) {
      const other = prefills[index]!;
      if (other.remainingCount < prefills[at]!.remainingCount && classRank(other) <= rank) at = index;
    }
    if (at === 0) return;
    this.#turns[replica] = (this.#turns[replica]! + 1) % urgentTurn;
    if (this.#turns[replica] !== 0) prefills.unshift(...prefills.splice(at, 1));
  }

  // Who can compute: whose next token is due, and whose prompt is not through.
  #computing(replica: number): { readonly decodes: Sequence[]; readonly prefills: Sequence[] } {
    const decodes: Sequence[] = [];
    const prefills: Sequence[] = [];
    for (const sequence of this.#seating.at(replica)) {
      if (sequence === null || sequence.paused || sequence.departure !== null) continue;
      if (sequence.remainingCount !== 1 || sequence.outputCount === 0) prefills.push(sequence);
      else decodes.push(sequence);
    }
    return { decodes, prefills };
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

  #addPrefills(prefills: readonly Sequence[], step: Step): void {
    const { prefillChunkTokens, prefillTokensPerStep } = this.#bounds;
    const { blockSize } = this.#limits;
    let budget = tokensBesideDecodes(step.rows.length, this.#costs, prefillTokensPerStep, blockSize);
    const unit = budget < prefillTokensPerStep ? blockSize : 0;
    for (const sequence of prefills) {
      if (sequence.phase !== 'running') continue; // preempted for the blocks of somebody more urgent
      this.#matchLate(sequence);
      if (sequence.remainingCount === 0) {
        this.#complete.push(sequence);
        continue;
      }
      const chunkTokens = sequence.judging
        ? Math.min(judgedTokensMax(this.#limits), prefillChunkTokens)
        : prefillChunkTokens;
      const count = pieceCount(chunkCount(sequence, chunkTokens), budget, unit);
      if (count > 0 && this.#addRow(sequence, { count, rounds: 1 }, step)) budget -= count;
    }
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
    // With its guesses, as if all came true: what was not so is saved once more (savedOnly), and found by nobody.
    const reached = end + draftCount + rounds - 1;
    while (!sequence.judgesPrompt && (sequence.savedCount + 1) * blockSize <= reached) {
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
      const victim = this.#victim(
        (other) => other !== sequence && (other.paused || this.#urgency(other) > urgency),
      );
      this.preempt(victim ?? sequence);
      if (victim === null) return false;
    }
    return true;
  }

  // A reader that is slow or gone must not keep others from their seats and blocks: its sequence stands up for whoever
  // found no room, and waits for its turn again when it is resumed.
  #standPaused(replica: number): boolean {
    if (!this.#waiting.some((other) => !other.paused && other.coldFetch?.ended !== false)) return false;
    const paused = this.#seating.at(replica).filter((seated) => seated?.paused && !seated.inFlight);
    for (const sequence of paused) if (sequence?.departure === null) this.preempt(sequence);
    return paused.length > 0;
  }

  // The replica with the most free seats; when there is none, a lesser and less urgent class stands up.
  #replicaFor(sequence: Sequence): number {
    const free = this.#seating.freest();
    if (free !== -1) return free;
    const rank = classRank(sequence);
    if (!this.#seating.hasBelow(rank)) return -1;
    const urgency = this.#urgency(sequence);
    const victim = this.#victim((other) => classRank(other) > rank && this.#urgency(other) > urgency);
    if (victim === null) return -1;
    const { replica } = victim;
    this.preempt(victim);
    return replica;
  }

  // The least urgent, paused ones first.
  #victim(allowed: (other: Sequence) => boolean): Sequence | null {
    return this.#seating.victim(allowed, (a, b) =>
      a.paused === b.paused ? this.#urgency(a) > this.#urgency(b) : a.paused,
    );
  }

  // Blocks for all its tokens must be there (found or free), or it would only be preempted again. With nobody
  // seated everything unused is available, and admission has made sure that one sequence always fits.
  #hasRoom(sequence: Sequence): boolean {
    const blockCount = Math.ceil((sequence.tokenCount + 1) / this.#limits.blockSize);
    const shortCount = blockCount - this.#spareCount;
    if (shortCount <= 0 || (this.runningCount === 0 && !this.#cold?.fetching)) return true;
    // Blocks that others hold already cost nothing; idle ones found again are taken from the available ones.
    const root = this.#cache.root(sequence.request.cacheSalt);
    return this.#cache.heldCount(root, sequence.tokens, this.#matchLimit(sequence)) >= shortCount;
  }

  #isFetching(sequence: Sequence): boolean {
    if (this.#cold === null) return false;
    return this.#cold.holdsUp(sequence, { limit: this.#matchLimit(sequence), spareCount: this.#spareCount });
  }

  /** Blocks that nobody has been promised. */
  get #spareCount(): number {
    return this.#cache.availableCount - this.#promisedCount;
  }

  #matchLimit(sequence: Sequence): number {
    return matchLimit(sequence, this.#bounds.prefillChunkTokens);
  }

  // Blocks for `tokenCount` tokens are spoken for, beyond those it has: whoever comes next must not count on them.
  #promise(sequence: Sequence, tokenCount: number): void {
    const blockCount = Math.ceil(tokenCount / this.#limits.blockSize);
    this.#promisedCount += sequence.promise(Math.max(0, blockCount - sequence.blocks.length));
  }

  #sit(sequence: Sequence, replica: number, nowMs: number): void {
    const first = sequence.seatedMs < 0;
    const found = this.#match(sequence, this.#cache.root(sequence.request.cacheSalt));
    sequence.sit(this.#seating.take(sequence, replica, found.blocks), nowMs);
    sequence.find(found.node, found.blocks, found.tokenCount);
    this.#promise(sequence, sequence.tokenCount + 1);
    if (first) sequence.credit(found.tokenCount);
  }

  /** What the prefix cache has, after `from`, of what comes next. */
  #match(sequence: Sequence, from: PrefixNode) {
    const blocks: number[] = [];
    const range = { from: sequence.computedCount, limit: this.#matchLimit(sequence) };
    const node = this.#cache.match(from, sequence.tokens, range, blocks);
    return { node, blocks, tokenCount: blocks.length * this.#limits.blockSize };
  }

  // Another sequence may have computed our next blocks since we sat down (equal prompts that came together).
  #matchLate(sequence: Sequence): void {
    if (sequence.computedCount !== sequence.registeredCount * this.#limits.blockSize) return;
    if (sequence.blocks.length !== sequence.registeredCount) return;
    const found = this.#match(sequence, sequence.node!);
    sequence.find(found.node, found.blocks, found.tokenCount);
    if (found.tokenCount === 0) return;
    this.#promise(sequence, sequence.tokenCount + 1);
    if (sequence.outputCount === 0) sequence.credit(found.tokenCount); // some of it for the second time
  }

  #stand(sequence: Sequence, sound: boolean): void {
    assert(sequence.phase === 'running' && !sequence.inFlight);
    this.#seating.leave(sequence, sound);
    sequence.stand();
    const ofTurn = sequence.request.priority === 'turn';
    for (let block = sequence.giveBack(); block !== undefined; block = sequence.giveBack())
      this.#cache.release(block, ofTurn); // last to first
    this.#promise(sequence, 0);
  }
}
