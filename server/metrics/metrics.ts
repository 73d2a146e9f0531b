// What the server measures about itself, as Prometheus metrics in a registry of its own. Implements the engine's
// observer and takes the edge's counts; never reads a clock, every number comes with its duration.
// On the hot path (one call per token and stream) it does one observation without labels, about 0.6 µs.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Backend, DeviceFailureCode } from '../../kernels/backend.ts';
import type { ArchiveObserver } from '../archive/archive-observer.ts';
import type { EngineObserver, KvReport, StepReport } from '../engine/observer.ts';
import type { BlockWatch } from '../engine/prefix-cache.ts';
import type { FinishReason, Priority, RefusalReason } from '../engine/request.ts';

// From a cached token on a fast device to a long prompt on a slow one; about three per decade where it matters.
const LATENCY_BUCKETS = [
  0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60,
]; // seconds
const ENGINE_BUCKETS = [0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01]; // seconds
const ROW_BUCKETS = [1, 2, 4, 8, 12, 16, 24, 32, 64, 128];

export type ConnectionKind = 'http' | 'websocket';

type WatchedDevice = Pick<Backend, 'name'> &
  Partial<Pick<Backend, 'adapter' | 'carriedBytes' | 'blockBytes'>>;

export class ServerMetrics implements EngineObserver, ArchiveObserver {
  readonly #registry = new Registry();
  readonly #queueWait = this.#histogram('queue_wait_seconds', 'Submit to first seat', ['priority']);
  readonly #ttft = this.#histogram('ttft_seconds', 'Submit to first output token', ['priority']);
  readonly #itl = this.#histogram('itl_seconds', 'Gap between two output tokens of a sequence');
  readonly #tpot = this.#histogram('tpot_seconds', '(last token - first token) / (tokens - 1) of a sequence');
  readonly #stepSeconds = this.#histogram('step_seconds', 'Plan sent to answer in hand');
  readonly #deviceSeconds = this.#histogram('step_device_seconds', 'The part of a step spent on the device');
  readonly #planSeconds = this.#histogram('step_plan_seconds', 'Engine time per step', [], ENGINE_BUCKETS);
  readonly #stepRows = this.#histogram('step_rows', 'Batch size: sequences in a step', [], ROW_BUCKETS);
  readonly #stepTokens = this.#counter('step_tokens_total', 'Tokens computed', ['kind']);
  readonly #requestErrors = this.#counter(
    'request_errors_total',
    'Requests that a fault of the server ended',
  );
  readonly #stepFailures = this.#counter('step_failures_total', 'Steps that the device failed', ['code']);
  readonly #draftLosses = this.#counter('draft_model_losses_total', 'Draft models switched off', ['code']);
  readonly #promptTokens = this.#counter('prompt_tokens_total', 'Prompt tokens of ended sequences');
  readonly #cachedTokens = this.#counter('cached_tokens_total', 'Prompt tokens found in the prefix cache');
  readonly #keptTokens = this.#counter('kept_tokens_total', 'Of these, found in the seat at the first seat');
  readonly #outputTokens = this.#counter('output_tokens_total', 'Output tokens of ended sequences');
  readonly #sequences = this.#counter('sequences_total', 'Ended sequences', ['reason']);
  readonly #refusals = this.#counter('refusals_total', 'Sequences refused at the door', ['reason']);
  readonly #preemptions = this.#counter('preemptions_total', 'Sequences that lost their seat for want of KV');
  readonly #evictions = this.#counter('evicted_blocks_total', 'Cached KV blocks given up', ['reason']);
  readonly #restores = this.#counter('restored_blocks_total', 'Cached KV blocks brought into a seat');
  readonly #httpRequests = this.#counter('http_requests_total', 'Answered requests', ['route', 'status']);
  readonly #httpSeconds = this.#histogram('http_request_seconds', 'Request to end of answer', ['route']);
  readonly #connections = this.#gauge('open_connections', 'Open requests and sockets', ['kind']);
  readonly #kvBlocks = this.#gauge('kv_blocks', 'KV blocks by state', ['state'], () => this.#collectKv());
  readonly #kvTouched = this.#gauge('kv_touched_blocks', 'KV blocks ever used: what the store has taken', []);
  readonly #seated = this.#gauge('sequences', 'Sequences now; paused ones count twice', ['state']);
  readonly #diskBytes = this.#counter('kv_disk_bytes_total', 'KV blocks to and from disk', ['way']);
  readonly #diskLosses = this.#counter('kv_disk_lost_blocks_total', 'KV blocks not kept on disk', ['reason']);
  readonly #diskSize = this.#gauge('kv_disk_size_bytes', 'KV blocks on disk', []);
  readonly #coldBlocks = this.#counter('cold_blocks_total', 'Archived KV blocks that were wanted', ['way']);
  readonly #recomputed = this.#counter('recomputed_tokens_total', 'Tokens computed once more after a loss');
  readonly #hits = this.#counter('cache_hit_tokens_total', 'Prompt tokens found at the first seat', ['tier']);
  readonly #memoryHits = this.#hits.labels('memory');
  readonly #diskHits = this.#hits.labels('disk');
  readonly #prefillTokens = this.#stepTokens.labels('prefill');
  readonly #decodeTokens = this.#stepTokens.labels('decode');
  #onRequestError: (error: Error) => void = () => {};
  #archiveSize = 0;
  #decodedTokens = 0;
  #endedPromptTokens = 0;
  #endedCachedTokens = 0;
  /** Set before the engine is made: who else hears of blocks. */
  blocks: BlockWatch | null = null;
  readonly #kv = new Map<string, KvReport>(); // the latest of each model; turned into gauges when somebody asks

  /** `nodeMetrics` adds memory, garbage collection and event-loop lag of this Node process. */
  constructor(options: { readonly nodeMetrics: boolean }) {
    if (options.nodeMetrics) collectDefaultMetrics({ register: this.#registry, prefix: 'sparklane_' });
  }

  /** For parts of the server with metrics of their own. */
  get registry(): Registry {
    return this.#registry;
  }

  /** Prometheus text format. */
  async render(): Promise<{ readonly contentType: string; readonly text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  onRefusal(reason: RefusalReason): void {
    this.#refusals.inc({ reason });
  }

  onSeat(report: Parameters<EngineObserver['onSeat']>[0]): void {
    const { priority, queueMs, cachedTokens, coldTokens, keptTokens } = report;
    this.#queueWait.observe({ priority }, queueMs / 1000);
    this.#keptTokens.inc(keptTokens);
    this.#memoryHits.inc(cachedTokens - coldTokens);
    this.#diskHits.inc(coldTokens);
  }

  onFirstToken({ priority, ttftMs }: { readonly priority: Priority; readonly ttftMs: number }): void {
    this.#ttft.observe({ priority }, ttftMs / 1000);
  }

  onTokenGap(gapMs: number, tokenCount: number): void {
    this.#itl.observe(gapMs / 1000);
    for (let i = 1; i < tokenCount; i++) this.#itl.observe(0); // they came together
  }

  onEnd(report: Parameters<EngineObserver['onEnd']>[0]): void {
    this.#sequences.inc({ reason: report.reason satisfies FinishReason });
    this.#promptTokens.inc(report.promptTokens);
    this.#cachedTokens.inc(report.cachedTokens);
    this.#endedPromptTokens += report.promptTokens;
    this.#endedCachedTokens += report.cachedTokens;
    this.#outputTokens.inc(report.outputTokens);
    if (report.tpotMs !== null) this.#tpot.observe(report.tpotMs / 1000);
  }

  onPreemption(): void {
    this.#preemptions.inc();
  }

  onEviction(blockCount: number, reason: 'capacity' | 'device-lost'): void {
    this.#evictions.inc({ reason }, blockCount);
  }

  onCold({ fetchedBlocks, skippedBlocks }: Parameters<EngineObserver['onCold']>[0]): void {
    this.#coldBlocks.inc({ way: 'fetched' }, fetchedBlocks);
    this.#coldBlocks.inc({ way: 'recomputed' }, skippedBlocks);
  }

  onArchived(_blockCount: number, bytes: number): void {
    this.#diskBytes.inc({ way: 'written' }, bytes);
  }

  onUnarchived(_blockCount: number, bytes: number): void {
    this.#diskBytes.inc({ way: 'restored' }, bytes);
  }

  onArchiveLoss(reason: 'busy' | 'size' | 'damaged' | 'unwritable', blockCount: number): void {
    this.#diskLosses.inc({ reason }, blockCount);
  }

  /** Bytes of KV on disk. */
  get archiveSize(): number {
    return this.#archiveSize;
  }

  onArchiveSize(bytes: number): void {
    this.#archiveSize = bytes;
    this.#diskSize.set(bytes);
  }

  onStep(report: StepReport): void {
    this.#stepRows.observe(report.rowCount);
    this.#stepSeconds.observe(report.stepMs / 1000);
    this.#deviceSeconds.observe(report.deviceMs / 1000);
    this.#planSeconds.observe(report.planMs / 1000);
    this.#prefillTokens.inc(report.prefillTokens);
    this.#decodeTokens.inc(report.decodeTokens);
    this.#decodedTokens += report.decodeTokens;
    this.#restores.inc(report.restoredBlocks);
    this.#recomputed.inc(report.recomputedTokens);
  }

  onStepFailure(code: DeviceFailureCode): void {
    this.#stepFailures.inc({ code });
  }

  onRequestError(error: Error): void {
    this.#requestErrors.inc();
    this.#onRequestError(error);
  }

  /** Who writes them down. */
  watchRequestErrors(note: (error: Error) => void): void {
    this.#onRequestError = note;
  }

  onDraftModelLost(code: DeviceFailureCode): void {
    this.#draftLosses.inc({ code });
  }

  /** A gauge that is read when somebody asks: entries of a table, bytes of a store. */
  watch(name: string, help: string, read: () => number): void {
    const gauge: Gauge = this.#gauge(name, help, [], () => gauge.set(read()));
  }

  /** Which device computes, and what goes to and fro where it has memory of its own. */
  watchDevice(read: () => WatchedDevice): void {
    const info: Gauge = this.#gauge('device_info', 'The device that computes', ['backend', 'adapter'], () => {
      const { name, adapter = '' } = read();
      info.reset();
      info.set({ backend: name, adapter }, 1);
    });
    this.watch('kv_block_bytes', 'Memory of one KV block', () => read().blockBytes ?? 0);
    const help = 'Bytes of inputs, answers and KV carried to the device and back since it was opened';
    const carried: Gauge = this.#gauge('device_carried_bytes', help, ['way'], () => {
      const { toDevice, fromDevice } = read().carriedBytes ?? { toDevice: 0, fromDevice: 0 };
      carried.set({ way: 'to_device' }, toDevice);
      carried.set({ way: 'from_device' }, fromDevice);
    });
  }

  /** The latest report of blocks and sequences, of all models together; null before the first. */
  get kv(): KvReport | null {
    if (this.#kv.size === 0) return null;
    const sum = (field: keyof KvReport) => [...this.#kv.values()].reduce((all, kv) => all + kv[field], 0);
    return {
      blockCount: sum('blockCount'),
      inUseCount: sum('inUseCount'),
      idleCachedCount: sum('idleCachedCount'),
      touchedCount: sum('touchedCount'),
      runningCount: sum('runningCount'),
      waitingCount: sum('waitingCount'),
      pausedCount: sum('pausedCount'),
    };
  }

  /** Tokens since the start: drawn ones, and the prompts of ended sequences. */
  get tokens() {
    return {
      decodedTokens: this.#decodedTokens,
      promptTokens: this.#endedPromptTokens,
      cachedTokens: this.#endedCachedTokens,
    };
  }

  onKv(report: KvReport): void {
    this.#kv.set('', report);
  }

  /** For the engine of another model: counted together, KV added up. */
  observerOf(model: string): EngineObserver {
    return {
      onRefusal: (reason) => this.onRefusal(reason),
      onSeat: (report) => this.onSeat(report),
      onFirstToken: (report) => this.onFirstToken(report),
      onTokenGap: (gapMs, tokenCount) => this.onTokenGap(gapMs, tokenCount),
      onEnd: (report) => this.onEnd(report),
      onPreemption: () => this.onPreemption(),
      onEviction: (blockCount, reason) => this.onEviction(blockCount, reason),
      onCold: (report) => this.onCold(report),
      onStep: (report) => this.onStep(report),
      onStepFailure: (code) => this.onStepFailure(code),
      onRequestError: (error) => this.onRequestError(error),
      onKv: (report) => void this.#kv.set(model, report),
    };
  }

  /** `route` is a pattern from the route table, never a path that a caller made up. */
  onHttpAnswer(answer: {
    readonly route: string;
    readonly status: number;
    readonly durationMs: number;
  }): void {
    this.#httpRequests.inc({ route: answer.route, status: answer.status });
    this.#httpSeconds.observe({ route: answer.route }, answer.durationMs / 1000);
  }

  onConnection(kind: ConnectionKind, change: 1 | -1): void {
    this.#connections.inc({ kind }, change);
  }

  #collectKv(): void {
    const { kv } = this;
    if (kv === null) return;
    const { blockCount, inUseCount, idleCachedCount, touchedCount } = kv;
    const { runningCount, waitingCount, pausedCount } = kv;
    this.#kvBlocks.set({ state: 'in_use' }, inUseCount);
    this.#kvBlocks.set({ state: 'cached' }, idleCachedCount);
    this.#kvBlocks.set({ state: 'free' }, blockCount - inUseCount - idleCachedCount);
    this.#kvTouched.set(touchedCount);
    this.#seated.set({ state: 'paused' }, pausedCount);
    this.#seated.set({ state: 'running' }, runningCount);
    this.#seated.set({ state: 'waiting' }, waitingCount);
  }

  #counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    return new Counter({
      name: `sparklane_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
    });
  }

  #histogram(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
    buckets: readonly number[] = LATENCY_BUCKETS,
  ): Histogram {
    return new Histogram({
      name: `sparklane_${name}`,
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers: [this.#registry],
    });
  }

  #gauge(name: string, help: string, labelNames: readonly string[], collect?: () => void): Gauge {
    return new Gauge({
      name: `sparklane_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
      ...(collect !== undefined && { collect }),
    });
  }
}
