// What happened lately, for the page: points of two seconds with percentiles, the latest prompts with why they were computed,
// and what steps cost. Bounded in memory however long it runs; hears the engine beside the metrics. Before it: engine/engine.ts (by
// way of observer-pair.ts); after it: live-state.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { EngineObserver, KvReport, StepReport } from '../engine/observer.ts';
import type { LiveCosts, LivePoint, LivePrompt } from './page/live-report.ts';
import { Samples } from './samples.ts';

export const POINT_MS = 2000;
const POINTS_MAX = 300; // ten minutes
const PROMPTS_MAX = 24;
const SAMPLES_MAX = 1024; // of one point; more are thinned out
const STEP_SAMPLES_MAX = 64; // of each batch size
const ROWS_MAX = 64; // batch sizes that are told apart

type Ignored = 'onRefusal' | 'onPreemption' | 'onEviction' | 'onCold' | 'onStepFailure' | 'onRequestError';

export class LiveRecorder implements Omit<EngineObserver, Ignored> {
  readonly #clock: Clock;
  readonly #points: LivePoint[] = [];
  readonly #prompts: LivePrompt[] = []; // the latest last
  readonly #ttft = new Samples(SAMPLES_MAX);
  readonly #itl = new Samples(SAMPLES_MAX);
  readonly #stepMsByRows = new Map<number, Samples>();
  readonly #prefillMsPerToken = new Samples(STEP_SAMPLES_MAX);
  readonly #planMs = new Samples(STEP_SAMPLES_MAX);
  #counts = noCounts();
  #kv: KvReport | null = null;
  #pointEndMs: number;
  #pointCount = 0; // since the start

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#pointEndMs = clock.nowMs() + POINT_MS;
  }

  /** The latest ones, the oldest first. */
  get points(): readonly LivePoint[] {
    this.#roll();
    return this.#points;
  }

  /** How many points there have been: whoever has heard of as many has missed none. */
  get pointCount(): number {
    this.#roll();
    return this.#pointCount;
  }

  get pausedCount(): number {
    return this.#kv?.pausedCount ?? 0;
  }

  /** The latest first. */
  get prompts(): readonly LivePrompt[] {
    return this.#prompts.toReversed();
  }

  get costs(): LiveCosts | null {
    if (this.#stepMsByRows.size === 0 && this.#prefillMsPerToken.count === 0) return null;
    const byRows = [...this.#stepMsByRows]
      .sort(([a], [b]) => a - b)
      .map(([rows, samples]) => ({ rows, stepMs: samples.quantile(0.5)!, count: samples.count }));
    const [prefillMsPerToken, planMs] = [this.#prefillMsPerToken.quantile(0.5), this.#planMs.quantile(0.5)];
    return { byRows, prefillMsPerToken, planMs };
  }

  onSeat(report: Parameters<EngineObserver['onSeat']>[0]): void {
    const { promptTokens, cachedTokens, missReason, queueMs } = report;
    this.#prompts.push({ atMs: this.#clock.nowMs(), promptTokens, cachedTokens, why: missReason, queueMs });
    if (this.#prompts.length > PROMPTS_MAX) this.#prompts.shift();
  }

  onFirstToken({ ttftMs }: { readonly ttftMs: number }): void {
    this.#roll();
    this.#ttft.add(ttftMs);
  }

  onTokenGap(gapMs: number, tokenCount: number): void {
    this.#roll();
    this.#itl.add(gapMs);
    for (let i = 1; i < tokenCount; i++) this.#itl.add(0); // they came together
  }

  onEnd({ acceptedDraftTokens, rejectedDraftTokens }: Parameters<EngineObserver['onEnd']>[0]): void {
    this.#counts.acceptedDrafts += acceptedDraftTokens;
    this.#counts.rejectedDrafts += rejectedDraftTokens;
  }

  onStep({ rowCount, prefillTokens, decodeTokens, planMs, stepMs }: StepReport): void {
    this.#roll();
    this.#counts.decodeTokens += decodeTokens;
    this.#counts.prefillTokens += prefillTokens;
    if (planMs > 0) this.#planMs.add(planMs); // rounds after a step's first are not planned
    if (decodeTokens === 0 && prefillTokens > 0) this.#prefillMsPerToken.add(stepMs / prefillTokens);
    if (prefillTokens > 0 || decodeTokens !== rowCount || rowCount > ROWS_MAX) return; // of drafts and mixed steps
    const samples = this.#stepMsByRows.get(rowCount) ?? new Samples(STEP_SAMPLES_MAX);
    this.#stepMsByRows.set(rowCount, samples);
    samples.add(stepMs);
  }

  onKv(report: KvReport): void {
    this.#kv = report;
    this.#counts.running = Math.max(this.#counts.running, report.runningCount);
    this.#counts.waiting = Math.max(this.#counts.waiting, report.waitingCount);
  }

  /** Another device: what steps cost on the one before says nothing about it. */
  forgetCosts(): void {
    this.#stepMsByRows.clear();
    this.#prefillMsPerToken.clear();
    this.#planMs.clear();
  }

  /** Closes the points whose time is over. After a long silence only as many as are kept. */
  #roll(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#pointEndMs) return;
    const missed = Math.floor((nowMs - this.#pointEndMs) / POINT_MS);
    if (missed > POINTS_MAX) {
      this.#pointEndMs += (missed - POINTS_MAX) * POINT_MS;
      this.#pointCount += missed - POINTS_MAX;
    }
    while (this.#pointEndMs <= nowMs) this.#close();
  }

  #close(): void {
    const point: LivePoint = {
      atMs: this.#pointEndMs,
      ttftMsP50: this.#ttft.quantile(0.5),
      ttftMsP95: this.#ttft.quantile(0.95),
      itlMsP50: this.#itl.quantile(0.5),
      itlMsP95: this.#itl.quantile(0.95),
      ...this.#counts,
    };
    this.#points.push(point);
    if (this.#points.length > POINTS_MAX) this.#points.shift();
    this.#pointCount++;
    this.#pointEndMs += POINT_MS;
    this.#ttft.clear();
    this.#itl.clear();
    const { runningCount: running, waitingCount: waiting } = this.#kv ?? { runningCount: 0, waitingCount: 0 };
    this.#counts = { ...noCounts(), running, waiting };
  }
}

function noCounts() {
  return {
    ...{ decodeTokens: 0, prefillTokens: 0, running: 0, waiting: 0 },
    ...{ acceptedDrafts: 0, rejectedDrafts: 0 },
  };
}
