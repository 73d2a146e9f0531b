// Tally: what happened in a simulation, as numbers in fixed memory. Listens to the engine as its observer; the
// clients' own times come from simulation.ts. Counts only while `counting`, so that a warm-up can be left out.
import type { EngineObserver, KvReport, StepReport } from '../../server/engine/observer.ts';
import type { RefusalReason } from '../../server/engine/request.ts';
import { Histogram } from '../statistics/histogram.ts';

/** Good = first token and mean time per token inside these. */
export interface SloBounds {
  readonly ttftMsMax: number;
  readonly tpotMsMax: number;
}

/** One look at the device; see Tally.samples. */
export interface Sample {
  readonly atMs: number;
  readonly runningCount: number;
  readonly waitingCount: number;
  readonly kvInUseShare: number; // held by running sequences
  readonly kvCachedShare: number; // idle, but findable
  readonly rowCount: number; // mean rows of a step since the last sample
  readonly prefillTokens: number; // mean per step since the last sample
  readonly stageBusyShare: readonly number[] | null; // [stage] of a pipeline, since the last sample
}

const samplesMax = 512;

export class Tally implements EngineObserver {
  readonly ttft = new Histogram();
  readonly itl = new Histogram();
  readonly tpot = new Histogram();
  readonly e2e = new Histogram();
  readonly queue = new Histogram();
  readonly refusals = new Map<RefusalReason, number>();
  counting = true;
  requestCount = 0; // ended
  goodCount = 0;
  failedCount = 0;
  promptTokens = 0;
  cachedTokens = 0;
  outputTokens = 0; // drawn while counting
  stepCount = 0;
  rowCount = 0;
  deviceMs = 0;
  preemptionCount = 0;
  evictionCount = 0;
  kvShareMax = 0;
  runningMax = 0;
  samples: Sample[] = [];
  readonly #nowMs: () => number;
  readonly #stageBusyMs: (() => Readonly<Float64Array>) | null;
  #countingSinceMs = 0;
  #lastKvMs = 0;
  #lastKvShare = 0;
  #kvShareMs = 0; // integral of the share in use over time
  #kv: KvReport | null = null;
  #sampleEveryMs = 1;
  #sampledMs = 0;
  #sampledSteps = { count: 0, rows: 0, prefill: 0 };
  #sampledBusyMs: Float64Array | null = null;

  constructor(nowMs: () => number, stageBusyMs: (() => Readonly<Float64Array>) | null) {
    this.#nowMs = nowMs;
    this.#stageBusyMs = stageBusyMs;
  }

  /** Forgets what was counted, and counts from now on. */
  restart(): void {
    this.counting = true;
    this.#countingSinceMs = this.#nowMs();
    this.#lastKvMs = this.#countingSinceMs;
    this.#kvShareMs = 0;
    this.kvShareMax = 0;
    this.runningMax = 0;
  }

  get elapsedMs(): number {
    return this.#nowMs() - this.#countingSinceMs;
  }

  /** Time-weighted mean share of KV blocks in use. */
  get kvShareMean(): number {
    const elapsed = this.#lastKvMs - this.#countingSinceMs;
    return elapsed <= 0 ? this.#lastKvShare : this.#kvShareMs / elapsed;
  }

  onRefusal(reason: RefusalReason): void {
    if (this.counting) this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
  }

  onSeat({ queueMs }: { readonly queueMs: number }): void {
    if (this.counting) this.queue.record(queueMs);
  }

  onFirstToken(): void {
    if (this.counting) this.outputTokens++;
  }

  onTokenGap(gapMs: number, tokenCount: number): void {
    if (!this.counting) return;
    this.outputTokens += tokenCount;
    this.itl.record(gapMs);
    if (tokenCount > 1) this.itl.record(0, tokenCount - 1);
  }

  onEnd(): void {}

  onPreemption(): void {
    if (this.counting) this.preemptionCount++;
  }

  onEviction(blockCount: number): void {
    if (this.counting) this.evictionCount += blockCount;
  }

  onCold(): void {}

  onStep(report: StepReport): void {
    const sampled = this.#sampledSteps;
    sampled.count++;
    sampled.rows += report.rowCount;
    sampled.prefill += report.prefillTokens;
    if (this.counting) {
      this.stepCount++;
      this.rowCount += report.rowCount;
      this.deviceMs += report.deviceMs;
    }
    if (this.#nowMs() - this.#sampledMs >= this.#sampleEveryMs) this.#sample();
  }

  onStepFailure(): void {}
  onRequestError(error: Error): void {
    throw error;
  }

  onKv(report: KvReport): void {
    const nowMs = this.#nowMs();
    const share = report.inUseCount / report.blockCount;
    this.#kvShareMs += this.#lastKvShare * (nowMs - this.#lastKvMs);
    this.#lastKvMs = nowMs;
    this.#lastKvShare = share;
    if (share > this.kvShareMax) this.kvShareMax = share;
    if (report.runningCount > this.runningMax) this.runningMax = report.runningCount;
    this.#kv = report;
  }

  // Twice as rare whenever there are too many: a day fits into the same memory as a second.
  #sample(): void {
    const kv = this.#kv;
    if (kv === null) return;
    const nowMs = this.#nowMs();
    const steps = this.#sampledSteps;
    this.samples.push({
      atMs: nowMs,
      runningCount: kv.runningCount,
      waitingCount: kv.waitingCount,
      kvInUseShare: kv.inUseCount / kv.blockCount,
      kvCachedShare: kv.idleCachedCount / kv.blockCount,
      rowCount: steps.rows / steps.count,
      prefillTokens: steps.prefill / steps.count,
      stageBusyShare: this.#stageBusyShare(nowMs - this.#sampledMs),
    });
    this.#sampledMs = nowMs;
    this.#sampledSteps = { count: 0, rows: 0, prefill: 0 };
    if (this.samples.length < samplesMax) return;
    this.samples = this.samples.filter((_, index) => index % 2 === 1);
    this.#sampleEveryMs *= 2;
  }

  #stageBusyShare(elapsedMs: number): number[] | null {
    if (this.#stageBusyMs === null) return null;
    const busyMs = this.#stageBusyMs();
    this.#sampledBusyMs ??= new Float64Array(busyMs.length);
    const before = this.#sampledBusyMs;
    const shares: number[] = [];
    for (let stage = 0; stage < busyMs.length; stage++) {
      shares.push(Math.min(1, (busyMs[stage]! - before[stage]!) / elapsedMs));
    }
    before.set(busyMs);
    return shares;
  }
}
