// Recorder: observations on their way to the store. Owns the bounded queue between the request's path and the disk: what it
// has no room for is dropped and counted, nobody ever waits for it. Before it: tracker.ts and routes.ts; after it:
// store-port.ts.
import type { Clock, Timer } from '../../kernels/clock.ts';
import type { Log } from '../base/log.ts';
import type { OutcomeMetrics } from './outcome-metrics.ts';
import type { StoreAnswer, StoreCall, StorePort, StoreValues } from './store-port.ts';
import type { Observation } from './task-store.ts';

export interface RecorderParts {
  readonly port: StorePort;
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  readonly log: Log;
  readonly metrics: OutcomeMetrics;
  readonly queueLengthMax: number; // observations, those on their way to the disk included
}

const BATCH_DELAY_MS = 200; // a report that is this old is fresh enough
const BATCH_MAX = 512; // observations in one transaction: some milliseconds of the store's thread
const CALLS_MAX = 256; // of clients that wait for the store
const COMPLAIN_EVERY_MS = 60_000;

export class Recorder {
  readonly #parts: RecorderParts;
  #queue: Observation[] = [];
  #writingCount = 0; // observations on their way
  #callCount = 0;
  #timer: Timer | null = null;
  #closed = false; // who still has something to say at the end is not heard
  #complainedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: RecorderParts) {
    this.#parts = parts;
  }

  /** Takes no time and never fails; false: dropped. */
  observe(observation: Observation): boolean {
    const { queueLengthMax, metrics, clock } = this.#parts;
    if (this.#closed) return false;
    if (this.#queue.length + this.#writingCount >= queueLengthMax) {
      metrics.onLoss('queue-full', 1);
      return false;
    }
    this.#queue.push(observation);
    metrics.onQueue(this.#queue.length + this.#writingCount);
    this.#timer ??= clock.schedule(BATCH_DELAY_MS, () => {
      this.#timer = null;
      this.#write();
    });
    return true;
  }

  /** After all that was observed before. False: too many wait already, nothing was asked. */
  call<C extends StoreCall>(call: C, done: (answer: StoreAnswer<StoreValues[C['kind']]>) => void): boolean {
    if (this.#callCount >= CALLS_MAX) return false;
    while (this.#queue.length > 0) this.#write();
    return this.compute(call, done);
  }

  /** Whatever was observed before. False, and counted: too many wait already. */
  compute<C extends StoreCall>(
    call: C,
    done: (answer: StoreAnswer<StoreValues[C['kind']]>) => void,
  ): boolean {
    if (this.#callCount >= CALLS_MAX) {
      this.#parts.metrics.onLoss('queue-full', 1);
      return false;
    }
    this.#callCount++;
    this.#parts.port.call(call, (answer) => {
      this.#callCount--;
      this.#heard(answer);
      done(answer);
    });
    return true;
  }

  /** Writes what waits and closes the store. */
  close(done: () => void): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = null;
    while (this.#queue.length > 0) this.#write();
    this.#parts.port.close(done);
  }

  #write(): void {
    const observations = this.#queue.splice(0, BATCH_MAX);
    if (observations.length === 0) return;
    const { port, epochMs, metrics } = this.#parts;
    this.#writingCount += observations.length;
    port.call({ kind: 'record', observations, nowMs: epochMs() }, (answer) => {
      this.#writingCount -= observations.length;
      metrics.onQueue(this.#queue.length + this.#writingCount);
      if (answer.ok) metrics.onLoss('task-gone', answer.value);
      else metrics.onLoss('store-failed', observations.length);
      this.#heard(answer);
      if (this.#timer === null && this.#queue.length > 0) this.#write();
    });
  }

  #heard(answer: StoreAnswer<unknown>): void {
    const { clock, log, metrics } = this.#parts;
    if (answer.ok) {
      metrics.onRows(answer.rowCount);
      return;
    }
    if (clock.nowMs() - this.#complainedMs < COMPLAIN_EVERY_MS) return;
    this.#complainedMs = clock.nowMs();
    log.error('tasks cannot be recorded', { reason: answer.message });
  }
}
