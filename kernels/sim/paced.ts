// PacedBackend: another backend's tokens at a simulated device's pace: the real model answers, the clock says what the
// simulated hardware would have taken. Seats and blocks are the inner backend's. A step is answered when both are
// done, so hardware slower than simulated shows as such in deviceMs. Its blocks can be copied as the inner backend's can. It gives no costs, hence no tokens are drafted:
// the inner device would judge them by its own costs and the simulated one take the time.
import type { Backend, BackendLimits, StepOutcome, StepPlan } from '../backend.ts';
import type { Clock } from '../clock.ts';
import type { DevicePlan } from '../device-plan.ts';
import { type CostModel, costPace, type StepPace } from './cost-model.ts';

export class PacedBackend implements Backend {
  readonly name: string;
  readonly limits: BackendLimits;
  readonly plan: DevicePlan;
  readonly #inner: Backend;
  readonly #pace: StepPace;
  readonly #clock: Clock;

  constructor(
    name: string,
    inner: Backend,
    { timing, clock, plan }: { timing: CostModel | StepPace; clock: Clock; plan: DevicePlan },
  ) {
    this.name = name;
    this.limits = { ...inner.limits, roundsMax: 1 }; // each round would take its simulated time
    this.plan = plan;
    this.#inner = inner;
    this.#pace = 'start' in timing ? timing : costPace(timing, clock);
    this.#clock = clock;
  }

  get computedBy(): string {
    return this.#inner.computedBy ?? this.#inner.name;
  }

  get blockBytes(): number {
    return this.#inner.blockBytes ?? 0;
  }

  readBlock(block: number, into: Uint8Array): void {
    this.#inner.readBlock!(block, into);
  }

  writeBlock(block: number, content: Uint8Array): void {
    this.#inner.writeBlock!(block, content);
  }

  get busyMs(): ArrayLike<number> {
    return this.#pace.busyMs ?? [];
  }

  step(plan: StepPlan, done: (outcome: StepOutcome) => void): void {
    const startMs = this.#clock.nowMs();
    let answered: StepOutcome | null = null;
    let paced = false;
    const finish = (): void => {
      if (answered === null || !paced) return;
      done(answered.ok ? { ...answered, deviceMs: this.#clock.nowMs() - startMs } : answered);
    };
    this.#pace.start(plan, () => {
      paced = true;
      finish();
    });
    this.#inner.step(plan, (outcome) => {
      answered = outcome;
      finish();
    });
  }

  releaseSlot(replica: number, slot: number): void {
    this.#inner.releaseSlot(replica, slot);
    this.#pace.releaseSlot(replica, slot);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
