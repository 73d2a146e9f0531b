// SleepingBackend: a device that is opened when the first step comes, with limits that are known before. Owns the steps that
// wait for it. Before it: the engine; after it: decoder-device.ts, which opens the real one and hands it in.
import type {
  Backend,
  BackendLimits,
  RoundOutcome,
  StepCosts,
  StepOutcome,
  StepPlan,
} from '../../kernels/backend.ts';

export class SleepingBackend implements Backend {
  readonly name: string;
  readonly limits: BackendLimits;
  readonly #wake: () => Promise<string | null>;
  #inner: Backend | null = null;

  /** `wake`: resolves once attach() was called, or with why it cannot be; never rejects. */
  constructor(name: string, limits: BackendLimits, wake: () => Promise<string | null>) {
    this.name = name;
    this.limits = limits;
    this.#wake = wake;
  }

  attach(inner: Backend): void {
    this.#inner = inner;
  }

  get costs(): StepCosts | null {
    return this.#inner?.costs ?? null;
  }

  get adapter(): string | undefined {
    return this.#inner?.adapter;
  }

  get carriedBytes(): NonNullable<Backend['carriedBytes']> {
    return this.#inner?.carriedBytes ?? { toDevice: 0, fromDevice: 0 };
  }

  step(
    plan: StepPlan,
    done: (outcome: StepOutcome) => void,
    onRounds?: (outcomes: readonly RoundOutcome[]) => void,
  ): void {
    if (this.#inner !== null) {
      this.#inner.step(plan, done, onRounds);
      return;
    }
    void this.#wake().then((reason) => {
      if (this.#inner !== null) this.#inner.step(plan, done, onRounds);
      else {
        const message = reason ?? 'the model is not in memory';
        done({ ok: false, failure: { code: 'step-failed', message, lost: 'all' } });
      }
    });
  }

  interrupt(replica: number): void {
    this.#inner?.interrupt?.(replica);
  }

  releaseSlot(replica: number, slot: number): void {
    this.#inner?.releaseSlot(replica, slot);
  }

  keepSlot(replica: number, slot: number, tokenCount: number): boolean {
    return this.#inner?.keepSlot?.(replica, slot, tokenCount) ?? false;
  }

  async close(): Promise<void> {
    const inner = this.#inner;
    this.#inner = null; // whoever still holds this must not hold the device
    await inner?.close();
  }
}
