// Replica: one worker and what is known of it. Owns the step in flight, the watch over it and the worker's replacement
// after a fault; a sequence's seat stays with its replica. Before it: backend.ts; after it: worker-link.ts and the
// frame, through plan-writer.ts.
//
// What a fault costs. Seats in shared memory (C API) survive a worker that died, because it can write no more; one
// that hangs may write whenever it wakes, so its seats and its frame are left to it and new ones are allocated. It
// can never reach the block store again: to save a block it must turn the frame's phase from computing to saving,
// and the watch turns it from computing to discarded, whichever comes first.
import assert from 'node:assert/strict';
import type { DeviceFailure, RoundOutcome, StepOutcome, StepPlan } from '../backend.ts';
import type { Clock, Timer } from '../clock.ts';
import { schedulePatiently } from '../patience.ts';
import type { RareSampling, WorkerAnswer, WorkerFault, WorkerSetup } from './messages.ts';
import { PlanWriter } from './plan-writer.ts';
import type { Traffic } from './runtime.ts';
import { carriedWords, controlWords, phases } from './step-frame.ts';
import { WorkerLink } from './worker-link.ts';

export interface ReplicaLog {
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface ReplicaParts {
  readonly index: number;
  /** Fresh seats and a fresh frame; the session and the block store are the same every time. */
  readonly createSetup: () => WorkerSetup;
  /** What createSetup made is used by no thread any more. */
  readonly dropSetup?: (setup: WorkerSetup) => void;
  readonly fromFirst?: boolean; // see SeatedTokens in row-groups.ts
  readonly stepTimeoutMs: number;
  readonly openTimeoutMs: number; // to start a thread and open the device in it
  readonly clock: Clock;
  readonly log: ReplicaLog;
}

interface StepInFlight {
  readonly plan: StepPlan;
  readonly rare: readonly RareSampling[] | null;
  readonly done: (outcome: StepOutcome) => void;
  readonly onRounds: (outcomes: readonly RoundOutcome[]) => void;
  roundCount: number; // told
}

// A thread in native code cannot be ended, and each hung one keeps its seats' memory. Past this many the replica
// refuses every step: only a new process helps.
const hungWorkersMax = 3;

const savingGraceMs = 1000; // copying a step's blocks takes a few ms; this is how often we look again

export class Replica {
  readonly #parts: ReplicaParts;
  #setup: WorkerSetup;
  #writer: PlanWriter;
  #link: WorkerLink | null = null;
  #opening: Promise<string> | null = null;
  #isOpen = false;
  #lacksSeats = false; // those that it has are a hung thread's
  #areSeatsLost = false; // with no step in flight to say so: the next one does
  #inFlight: StepInFlight | null = null;
  #watch: Timer | null = null;
  #watchedCount = 0; // rounds that the step in flight had told when the watch began
  #fault: WorkerFault = 'none';
  #discardedCount = 0; // threads told to end that have not ended
  #closing: Promise<void> | null = null;
  #carriedBefore: Traffic = { toDevice: 0, fromDevice: 0 }; // with frames that were given up
  #onIdle: (() => void) | null = null;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
    this.#setup = parts.createSetup();
    this.#writer = this.#createWriter();
  }

  /** Threads that were given up and still run; while there are any, the session must not be released. */
  get discardedCount(): number {
    return this.#discardedCount;
  }

  /** Bytes that this replica's steps have carried to a device and back. */
  get carriedBytes(): Traffic {
    const { carried } = this.#setup.frame;
    return {
      toDevice: this.#carriedBefore.toDevice + carried[carriedWords.toDevice]!,
      fromDevice: this.#carriedBefore.fromDevice + carried[carriedWords.fromDevice]!,
    };
  }

  /** Makes a worker ready; answers ONNX Runtime's version. Rejects if the device cannot be opened in it. */
  open(): Promise<string> {
    this.#opening ??= this.#openLink();
    return this.#opening;
  }

  step(plan: StepPlan, done: StepInFlight['done'], onRounds: StepInFlight['onRounds'] = nothing): void {
    assert(this.#inFlight === null, `replica ${this.#parts.index} has a step in flight`);
    assert(this.#closing === null, `replica ${this.#parts.index} is closing`);
    if (this.#refuse(plan, done)) return;
    const step = { plan, rare: this.#writer.write(plan), done, onRounds, roundCount: 0 };
    this.#inFlight = step;
    if (this.#isOpen) this.#send(step);
    else this.#openAndSend(step);
  }

  interrupt(): void {
    Atomics.store(this.#setup.frame.control, controlWords.interrupted, 1);
  }

  releaseSlot(slot: number): void {
    this.#writer.releaseSlot(slot);
  }

  /** False: it does not lie there. */
  keepSlot(slot: number, tokenCount: number): boolean {
    return !this.#areSeatsLost && !this.#lacksSeats && this.#writer.keepSlot(slot, tokenCount);
  }

  /** For tests: the worker does this in the middle of its next step. */
  injectFault(fault: WorkerFault): void {
    this.#fault = fault;
  }

  /** For tests: ends the thread from outside, as an operator's tool might. */
  async terminateWorker(): Promise<void> {
    await this.#link?.terminate();
  }

  /** Waits for the step in flight, then ends the worker. Idempotent; never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#inFlight !== null) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await this.#opening?.catch(nothing);
    const link = this.#link;
    if (link === null) return;
    this.#discardedCount++;
    const closed = link.close().then(() => {
      this.#discardedCount--;
    });
    await this.#within(this.#parts.openTimeoutMs, closed).catch(() => {
      void link.discard(); // it hangs; the backend says so
    });
  }

  /** Answers a step that cannot be sent; false if it can. */
  #refuse(plan: StepPlan, done: StepInFlight['done']): boolean {
    const { index, clock } = this.#parts;
    let failure: DeviceFailure;
    if (this.#areSeatsLost) {
      this.#areSeatsLost = false;
      failure = { code: 'worker-died', message: `replica ${index}: died between two steps`, lost: 'slots' };
    } else if (!this.#isOpen && this.#discardedCount > hungWorkersMax) {
      const message = `replica ${index}: ${this.#discardedCount} hung workers have not ended`;
      failure = { code: 'worker-hung', message, lost: 'rows' };
    } else if (this.#lacksSeats && !this.#renewSetup()) {
      failure = { code: 'worker-hung', message: `replica ${index}: no memory for new seats`, lost: 'rows' };
    } else {
      return false;
    }
    const step = { plan, rare: null, done, onRounds: nothing, roundCount: 0 };
    this.#inFlight = step;
    clock.defer(() => this.#fail(step, failure));
    return true;
  }

  #openAndSend(step: StepInFlight): void {
    this.open().then(
      () => {
        if (this.#inFlight === step) this.#send(step);
      },
      (error) => {
        if (this.#inFlight !== step) return;
        this.#areSeatsLost = false;
        this.#fail(step, {
          code: 'worker-died',
          message: `no new worker: ${messageOf(error)}`,
          lost: 'slots',
        });
      },
    );
  }

  #send(step: StepInFlight): void {
    this.#watchFor(this.#parts.stepTimeoutMs);
    const fault = this.#fault;
    this.#fault = 'none';
    this.#link!.send(step.rare, fault);
  }

  #onAnswer(answer: WorkerAnswer): void {
    const inFlight = this.#inFlight;
    if (inFlight === null) {
      // Whatever it is computing, it is not what we think: it and its seats are not trusted any more.
      this.#replace('worker-died', `answered ${answer.kind} with no step in flight`, 'slots');
      return;
    }
    if (answer.kind === 'rounds') {
      this.#tellRounds(inFlight, answer.count);
      return;
    }
    this.#watch?.cancel();
    if (answer.kind === 'failed') {
      this.#fail(inFlight, { code: 'step-failed', message: answer.message, lost: 'rows' });
      return;
    }
    assert(answer.kind === 'stepped', `a step was answered with ${answer.kind}`);
    this.#tellRounds(inFlight, answer.count - 1);
    this.#settle(inFlight, this.#writer.read(inFlight.plan, answer.count - 1));
  }

  #tellRounds(inFlight: StepInFlight, count: number): void {
    const { plan, onRounds } = inFlight;
    const outcomes: RoundOutcome[] = [];
    while (inFlight.roundCount < count) outcomes.push(this.#writer.read(plan, inFlight.roundCount++));
    if (outcomes.length > 0) onRounds(outcomes);
  }

  #onDeath(error: unknown): void {
    this.#watch?.cancel();
    this.#replace('worker-died', messageOf(error), this.#keepsSeats ? 'rows' : 'slots');
  }

  #watchFor(delayMs: number): void {
    this.#watchedCount = this.#inFlight!.roundCount;
    this.#watch = schedulePatiently(this.#parts.clock, delayMs, () => this.#onTimeout());
  }

  #onTimeout(): void {
    if (this.#inFlight!.roundCount > this.#watchedCount) {
      this.#watchFor(this.#parts.stepTimeoutMs); // cheaper than a new watch for every round
      return;
    }
    const { control } = this.#setup.frame;
    const phase = Atomics.compareExchange(control, controlWords.phase, phases.computing, phases.discarded);
    if (phase === phases.saving) {
      this.#watchFor(savingGraceMs);
      return;
    }
    this.#replace('worker-hung', `no answer within ${this.#parts.stepTimeoutMs} ms`, 'slots');
  }

  /** Gives the worker up, fails the step and opens another worker at once, so that the next step need not wait. */
  #replace(code: DeviceFailure['code'], message: string, lost: 'rows' | 'slots'): void {
    this.#parts.log.warn('worker replaced', { replica: this.#parts.index, code, reason: message, lost });
    const ended = this.#discard();
    if (lost === 'slots') this.#renewSeats(ended);
    if (this.#closing === null && !this.#lacksSeats && this.#discardedCount <= hungWorkersMax) {
      this.open().catch((error) => {
        this.#parts.log.warn('no new worker', { replica: this.#parts.index, error: messageOf(error) });
      });
    }
    const step = this.#inFlight;
    if (step === null) this.#areSeatsLost ||= lost === 'slots';
    else this.#fail(step, { code, message: `replica ${this.#parts.index}: ${message}`, lost });
  }

  #fail(step: StepInFlight, failure: DeviceFailure): void {
    this.#settle(step, { ok: false, failure });
  }

  /**
   * Answers the step, once. Several things may end one (its worker's answer, its death, a worker that does not open),
   * and whichever comes later must not end the step that has taken its place: that one is being computed.
   */
  #settle(step: StepInFlight, outcome: StepOutcome): void {
    if (this.#inFlight !== step) return;
    this.#inFlight = null;
    const onIdle = this.#onIdle;
    step.done(outcome);
    onIdle?.();
  }

  get #keepsSeats(): boolean {
    return this.#setup.runtime.kind !== 'binding';
  }

  async #openLink(): Promise<string> {
    const link = new WorkerLink(this.#setup, {
      onAnswer: (answer) => {
        if (this.#link === link) this.#onAnswer(answer);
      },
      onDeath: (error) => {
        if (this.#link === link) this.#onDeath(error);
      },
    });
    this.#link = link;
    try {
      const version = await this.#within(this.#parts.openTimeoutMs, link.opened);
      this.#isOpen = true;
      return version;
    } catch (error) {
      if (this.#link === link) {
        const ended = this.#discard(); // the next step tries again
        this.#renewSeats(ended); // a thread that is only slow must not find work
        this.#areSeatsLost = true;
      }
      throw error;
    } finally {
      this.#opening = null;
    }
  }

  /** `ended`: when the thread that has the old ones can write to them no more. */
  #renewSeats(ended: Promise<void>): void {
    const old = this.#setup;
    this.#carriedBefore = this.carriedBytes;
    void ended.then(() => this.#parts.dropSetup?.(old));
    this.#renewSetup();
  }

  /** False where there is no memory: a device may have none beside what a hung thread keeps. The next step tries again. */
  #renewSetup(): boolean {
    try {
      this.#setup = this.#parts.createSetup();
    } catch (error) {
      this.#lacksSeats = true;
      this.#parts.log.warn('no new seats', { replica: this.#parts.index, error: messageOf(error) });
      return false;
    }
    this.#lacksSeats = false;
    this.#writer = this.#createWriter();
    return true;
  }

  #createWriter(): PlanWriter {
    const { frame, limits } = this.#setup;
    return new PlanWriter(frame, limits, this.#parts.fromFirst);
  }

  async #discard(): Promise<void> {
    this.#isOpen = false;
    const link = this.#link;
    this.#link = null;
    if (link === null) return;
    this.#discardedCount++;
    await link.discard().then(() => {
      this.#discardedCount--;
    });
  }

  /** Rejects after `delayMs`; what it waited for goes on unheard. */
  #within<T>(delayMs: number, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`no answer within ${delayMs} ms`));
      const timer = schedulePatiently(this.#parts.clock, delayMs, late);
      promise.finally(() => timer.cancel()).then(resolve, reject);
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function nothing(): void {}
