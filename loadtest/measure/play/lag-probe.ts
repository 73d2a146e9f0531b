// LagProbe: is the load generator itself on time? It asks the clock to be called every few milliseconds and records how
// late the call comes: that is the delay which any timer or socket of this process would have seen. Runs beside driver.ts.
import type { Clock, Timer } from '../../../kernels/clock.ts';
import { Histogram } from '../../statistics/histogram.ts';

const PERIOD_MS = 5;

export class LagProbe {
  readonly histogram = new Histogram();
  readonly #clock: Clock;
  #timer: Timer | null = null;
  #dueMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  start(): void {
    this.#dueMs = this.#clock.nowMs() + PERIOD_MS;
    this.#timer = this.#clock.schedule(PERIOD_MS, () => this.#tick());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #tick(): void {
    if (this.#timer === null) return;
    const lateMs = Math.max(0, this.#clock.nowMs() - this.#dueMs);
    // One long pause swallows many ticks; each of them would have been late, by less and less.
    for (let overdueMs = lateMs; ; overdueMs -= PERIOD_MS) {
      this.histogram.record(Math.max(0, overdueMs));
      if (overdueMs < PERIOD_MS) break;
    }
    this.#dueMs = this.#clock.nowMs() + PERIOD_MS;
    this.#timer = this.#clock.schedule(PERIOD_MS, () => this.#tick());
  }
}
