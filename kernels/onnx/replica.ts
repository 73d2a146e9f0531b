// Replica: one worker thread behind a Piscina pool of one, so that a sequence's seat stays where it is. Owns the
// step in flight, the watch over it and the worker's replacement after a fault. Before it: backend.ts; after it:
// worker.ts, through plan-writer.ts and the frame.
//
// What a fault costs. Seats in shared memory (C API) survive a worker that died, because it can write no more; one
// that hangs may write whenever it wakes, so its seats and its frame are left to it and new ones are allocated. It
// can never reach the block store again: to save a block it must turn the frame's phase from computing to saving,
// and the watch turns it from computing to discarded, whichever comes first.
import assert from 'node:assert/strict';
import type { DeviceFailure, StepOutcome, StepPlan } from '../backend.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Fault, RareSampling, WorkerAnswer, WorkerSetup, WorkerTask } from './messages.ts';
import { PlanWriter } from './plan-writer.ts';
import { controlWords, phases } from './step-frame.ts';
import { createWorkerPool, type WorkerPool } from './worker-pool.ts';

export interface ReplicaLog {
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface ReplicaWorld {
  readonly index: number;
  /** Fresh seats and a fresh frame; the session and the block store are the same every time. */
  readonly createSetup: () => WorkerSetup;
  readonly stepTimeoutMs: number;
  readonly openTimeoutMs: number; // to start a thread and open the device in it
  readonly clock: Clock;
  readonly log: ReplicaLog;
}

type Done = (outcome: StepOutcome) => void;

interface StepInFlight {
  readonly plan: StepPlan;
  readonly rare: readonly RareSampling[] | null;
  readonly done: Done;
}

// Hung threads cannot be ended while they are in native code, and each keeps its seats' memory. Past this many the
// replica refuses every step: only a new process helps.
const hungWorkersMax = 3;

const savingGraceMs = 1000; // copying a step's blocks takes a few ms; this is how often we look again

export class Replica {
  readonly #world: ReplicaWorld;
  #setup: WorkerSetup;
  #writer: PlanWriter;
  #pool: WorkerPool;
  #opening: Promise<string> | null = null;
  #isOpen = false;
  #inFlight: StepInFlight | null = null;
  #watch: Timer | null = null;
  #fault: Fault | null = null;
  #generation = 0; // of the pool; what an earlier one says is not heard
  #discardedCount = 0; // threads told to end that have not ended
  #closing: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;

  constructor(world: ReplicaWorld) {
    this.#world = world;
    this.#setup = world.createSetup();
    this.#writer = new PlanWriter(this.#setup.frame, this.#setup.limits);
    this.#pool = this.#createPool();
  }

  /** Threads that were given up and still run; while there are any, the session must not be released. */
  get discardedCount(): number {
    return this.#discardedCount;
  }

  /** Makes the worker ready; answers ONNX Runtime's version. Rejects if the device cannot be opened in it. */
  open(): Promise<string> {
    this.#opening ??= this.#openDevice(this.#generation);
    return this.#opening;
  }

  step(plan: StepPlan, done: Done): void {
    assert(this.#inFlight === null, `replica ${this.#world.index} has a step in flight`);
    assert(this.#closing === null, `replica ${this.#world.index} is closing`);
    const step = { plan, rare: this.#writer.write(plan), done };
    this.#inFlight = step;
    if (this.#isOpen) this.#send(step);
    else this.#openAndSend(step);
  }

  releaseSlot(slot: number): void {
    this.#writer.releaseSlot(slot);
  }

  /** For tests: the worker does this in the middle of its next step. */
  injectFault(fault: Fault): void {
    this.#fault = fault;
  }

  /** For tests: ends the thread from outside, as an operator's tool might. */
  async terminateWorker(): Promise<void> {
    await Promise.all(this.#pool.threads.map((thread) => thread.terminate()));
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
    const { openTimeoutMs } = this.#world;
    if (this.#isOpen) await this.#within(openTimeoutMs, this.#pool.run({ kind: 'close' })).catch(nothing);
    await this.#within(openTimeoutMs, this.#discard()).catch(nothing); // a hung thread: the backend says so
  }

  #openAndSend(step: StepInFlight): void {
    if (this.#discardedCount > hungWorkersMax) {
      const message = `replica ${this.#world.index}: ${this.#discardedCount} hung workers have not ended`;
      this.#world.clock.defer(() => this.#fail({ code: 'worker-hung', message, lost: 'rows' }));
      return;
    }
    this.open().then(
      () => this.#send(step),
      (error) => {
        const lost = this.#keepsSeats ? 'rows' : 'slots';
        this.#fail({ code: 'worker-died', message: `no new worker: ${messageOf(error)}`, lost });
      },
    );
  }

  #send(step: StepInFlight): void {
    Atomics.store(this.#setup.frame.control, controlWords.phase, phases.computing);
    this.#watchFor(this.#world.stepTimeoutMs);
    const generation = this.#generation;
    this.#pool.run(this.#takeTask(step)).then(
      (answer) => {
        if (generation === this.#generation) this.#onAnswer(step, answer);
      },
      (error) => {
        if (generation === this.#generation) this.#onDeath(error);
      },
    );
  }

  #takeTask({ rare }: StepInFlight): WorkerTask {
    const fault = this.#fault;
    this.#fault = null;
    return { kind: 'step', rare, fault };
  }

  #onAnswer(step: StepInFlight, answer: WorkerAnswer): void {
    this.#watch?.cancel();
    switch (answer.kind) {
      case 'stepped':
        this.#settle({ ok: true, rows: this.#writer.read(step.plan), deviceMs: answer.deviceMs });
        return;
      case 'failed':
        this.#fail({ code: 'step-failed', message: answer.message, lost: 'rows' });
        return;
      default:
        this.#onStranger(step, answer.kind);
    }
  }

  /** The worker died between two steps and the pool put a new one in its place, which has computed nothing. */
  #onStranger(step: StepInFlight, kind: WorkerAnswer['kind']): void {
    assert(kind === 'not-open', `a step was answered with ${kind}`);
    this.#isOpen = false;
    this.#world.log.warn('a worker died between two steps', { replica: this.#world.index });
    if (this.#keepsSeats) this.#openAndSend(step);
    else this.#replace('worker-died', 'the worker died between two steps', 'slots');
  }

  #onDeath(error: unknown): void {
    this.#watch?.cancel();
    this.#replace('worker-died', messageOf(error), this.#keepsSeats ? 'rows' : 'slots');
  }

  #watchFor(delayMs: number): void {
    this.#watch = this.#world.clock.schedule(delayMs, () => this.#onTimeout());
  }

  #onTimeout(): void {
    const { control } = this.#setup.frame;
    const phase = Atomics.compareExchange(control, controlWords.phase, phases.computing, phases.discarded);
    if (phase === phases.saving) {
      this.#watchFor(savingGraceMs);
      return;
    }
    const message = `no answer within ${this.#world.stepTimeoutMs} ms`;
    this.#replace('worker-hung', message, 'slots');
  }

  /** Gives the worker up, fails the step and opens another worker at once, so that the next step need not wait. */
  #replace(code: DeviceFailure['code'], message: string, lost: 'rows' | 'slots'): void {
    this.#world.log.warn('worker replaced', { replica: this.#world.index, code, message, lost });
    void this.#discard();
    if (lost === 'slots') {
      this.#setup = this.#world.createSetup();
      this.#writer = new PlanWriter(this.#setup.frame, this.#setup.limits);
    }
    if (this.#closing === null) {
      this.#pool = this.#createPool();
      this.open().catch((error) => {
        this.#world.log.warn('no new worker', { replica: this.#world.index, error: messageOf(error) });
      });
    }
    this.#fail({ code, message: `replica ${this.#world.index}: ${message}`, lost });
  }

  #fail(failure: DeviceFailure): void {
    this.#settle({ ok: false, failure });
  }

  #settle(outcome: StepOutcome): void {
    const inFlight = this.#inFlight;
    assert(inFlight, 'an answer to no step');
    this.#inFlight = null;
    const onIdle = this.#onIdle;
    inFlight.done(outcome);
    onIdle?.();
  }

  get #keepsSeats(): boolean {
    return this.#setup.runtime.kind === 'c-api';
  }

  async #openDevice(generation: number): Promise<string> {
    try {
      const task = this.#pool.run({ kind: 'open', setup: this.#setup });
      const answer = await this.#within(this.#world.openTimeoutMs, task);
      assert(answer.kind === 'opened', `open was answered with ${answer.kind}`);
      assert(generation === this.#generation, 'the worker was replaced while it opened');
      this.#isOpen = true;
      return answer.version;
    } catch (error) {
      if (generation === this.#generation && this.#closing === null) {
        void this.#discard();
        this.#pool = this.#createPool(); // the next step tries again
      }
      throw error;
    } finally {
      if (generation === this.#generation) this.#opening = null;
    }
  }

  /** Ends the pool's thread. May never resolve: a thread in native code ends when that returns. */
  async #discard(): Promise<void> {
    this.#generation++;
    this.#isOpen = false;
    this.#opening = null;
    this.#discardedCount++;
    await this.#pool.destroy();
    this.#discardedCount--;
  }

  /** Rejects after `delayMs`; what it waited for goes on unheard. */
  #within<T>(delayMs: number, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#world.clock.schedule(delayMs, () =>
        reject(new Error(`no answer within ${delayMs} ms`)),
      );
      promise.finally(() => timer.cancel()).then(resolve, reject);
    });
  }

  #createPool(): WorkerPool {
    const { index, openTimeoutMs, log } = this.#world;
    const pool = createWorkerPool(openTimeoutMs);
    // A thread that dies without a task has nobody else to tell.
    pool.on('error', (error) => log.warn('idle worker failed', { replica: index, error: messageOf(error) }));
    return pool;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function nothing(): void {}
