// Simulation: the engine that serves real traffic, on a simulated device and a virtual clock. Plays a load, keeps
// nothing but a tally. Deterministic: the same device, load and options give the same report, byte for byte.
import { greedySampling } from '../../kernels/backend.ts';
import { VirtualClock } from '../../kernels/clock.ts';
import { type SimDevice, simBackend } from '../../kernels/sim/device.ts';
import { PlainTokens } from '../../kernels/sim/token-source.ts';
import { WaferPace } from '../../kernels/sim/wafer/wafer-device.ts';
import { Engine, type EngineBounds } from '../../server/engine/engine.ts';
import { PUBLISHED_POLICY, SERVED_POLICY } from '../../server/engine/policy.ts';
import type { SequenceEnd, SequenceSink } from '../../server/engine/request.ts';
import { outputIdMin, promptTokens, type SimClient, type SimLoad, type SimTurn } from './load.ts';
import { type SloBounds, Tally } from './tally.ts';

/** Whose order of waiting requests: the published systems' (first come, first served), or what this server does. */
export type SchedulerName = 'published' | 'served';

export interface SimulationOptions {
  readonly device: SimDevice;
  readonly load: SimLoad;
  readonly slo: SloBounds;
  readonly hostMs: number; // per request, before the engine sees it: HTTP, template, tokenizer
  readonly warmupRequests: number; // ended before counting begins
  readonly countedRequests: number; // then the simulation ends; Infinity: when the load does
  readonly scheduler?: SchedulerName | undefined; // whose order of waiting requests; default: published
  readonly queueLengthMax: number; // the engine's; further requests are refused
}

export interface SimulationResult {
  readonly tally: Tally;
  readonly elapsedMs: number; // virtual, while counting
  readonly pace: WaferPace | null; // of a wafer, to look into its pipeline and KV
  readonly eventCount: number;
  readonly requestCount: number; // ended, warm-up included
}

/** Turns of a virtual hour and more pass in seconds. Throws what the device's plan throws. */
export function simulate(options: SimulationOptions): SimulationResult {
  const clock = new VirtualClock();
  const { device } = options;
  const timing = device.timing(clock);
  const pace = timing instanceof WaferPace ? timing : null;
  const tokens = new PlainTokens({ idMin: outputIdMin, idCount: outputIdMin - 1 });
  const backend = simBackend(device, timing, { clock, tokens });
  const tally = new Tally(() => clock.nowMs(), pace === null ? null : () => pace.pipeline.busyMs);
  const engine = new Engine(backend, clock, engineBounds(options), tally);
  const stage = new Stage(options, { clock, engine, tally });
  stage.open();
  let eventCount = 0;
  while (!stage.closed && clock.step()) eventCount++;
  return { tally, elapsedMs: tally.elapsedMs, pace, eventCount, requestCount: stage.endedCount };
}

const retryAfterMs = 1000; // that a refused client waits before its next turn

function engineBounds({ device, queueLengthMax, scheduler }: SimulationOptions): EngineBounds {
  return {
    prefillChunkTokens: device.prefillChunkTokens,
    prefillTokensPerStep: device.prefillTokensPerStep,
    ...(scheduler === 'served' ? SERVED_POLICY : PUBLISHED_POLICY),
    queueLengthMax,
    retryAfterMs,
  };
}

interface SimulationParts {
  readonly clock: VirtualClock;
  readonly engine: Engine;
  readonly tally: Tally;
}

// Where clients come on, one after the other, and are counted when they leave.
class Stage {
  readonly options: SimulationOptions;
  readonly parts: SimulationParts;
  readonly #clients: Iterator<SimClient>;
  #presentCount = 0; // clients that have come and not left
  #exhausted = false;
  #seed = 1;
  endedCount = 0;
  closed = false;

  constructor(options: SimulationOptions, parts: SimulationParts) {
    this.options = options;
    this.parts = parts;
    this.#clients = options.load.clients();
    parts.tally.counting = options.warmupRequests === 0;
  }

  /** Takes the next client on when its time comes: one is waiting in the wings, whatever the load's length. */
  open(): void {
    const next = this.#clients.next();
    if (next.done) {
      this.#exhausted = true;
      if (this.#presentCount === 0) this.closed = true;
      return;
    }
    const { atMs, turns } = next.value;
    this.parts.clock.schedule(atMs - this.parts.clock.nowMs(), () => {
      this.#presentCount++;
      this.nextTurn(turns);
      this.open();
    });
  }

  nextTurn(turns: Iterator<SimTurn>): void {
    const next = turns.next();
    if (next.done) {
      this.#presentCount--;
      if (this.#exhausted && this.#presentCount === 0) this.closed = true;
      return;
    }
    const turn = next.value;
    const { clock } = this.parts;
    const { hostMs } = this.options;
    if (turn.gapMs === 0 && hostMs === 0) this.#send(turn, turns, clock.nowMs());
    else {
      const intendedMs = clock.nowMs() + turn.gapMs;
      clock.schedule(turn.gapMs + hostMs, () => this.#send(turn, turns, intendedMs));
    }
  }

  turnEnded(end: SequenceEnd, times: { readonly intendedMs: number; readonly firstMs: number }): void {
    this.endedCount++;
    if (this.parts.tally.counting) this.#count(end, times);
    this.#closeWhenCounted();
  }

  #closeWhenCounted(): void {
    const { warmupRequests, countedRequests } = this.options;
    if (this.endedCount === warmupRequests) this.parts.tally.restart();
    if (this.endedCount >= warmupRequests + countedRequests) this.closed = true;
  }

  #send(turn: SimTurn, turns: Iterator<SimTurn>, intendedMs: number): void {
    const sink = new TurnSink(this, turns, intendedMs);
    const result = this.parts.engine.submit(
      {
        tokens: promptTokens(turn),
        maxTokens: turn.outputTokens,
        sampling: { ...greedySampling, seed: this.#seed++ },
        constraint: null,
        speculation: null,
        ignoreStopTokens: true,
        priority: 'turn',
        cacheSalt: '',
        deadlineMs: null,
      },
      sink,
    );
    if (result.ok) return;
    // Counted as a refusal by the tally. The client goes on with its next turn after a while: at once, an endless client
    // of refused turns would never let time pass.
    this.endedCount++;
    this.#closeWhenCounted();
    this.parts.clock.schedule(retryAfterMs, () => this.nextTurn(turns));
  }

  #count(
    end: SequenceEnd,
    { intendedMs, firstMs }: { readonly intendedMs: number; readonly firstMs: number },
  ): void {
    const { tally, clock } = this.parts;
    const { slo } = this.options;
    const endMs = clock.nowMs();
    const { promptTokens, cachedTokens, outputTokens } = end.usage;
    tally.requestCount++;
    if (end.reason === 'failed') {
      tally.failedCount++;
      return;
    }
    const ttftMs = firstMs - intendedMs;
    const tpotMs = outputTokens < 2 ? 0 : (endMs - firstMs) / (outputTokens - 1);
    tally.promptTokens += promptTokens;
    tally.cachedTokens += cachedTokens;
    tally.ttft.record(ttftMs);
    if (outputTokens > 1) tally.tpot.record(tpotMs);
    tally.e2e.record(endMs - intendedMs);
    if (ttftMs <= slo.ttftMsMax && tpotMs <= slo.tpotMsMax) tally.goodCount++;
  }
}

class TurnSink implements SequenceSink {
  readonly #stage: Stage;
  readonly #turns: Iterator<SimTurn>;
  readonly #intendedMs: number;
  #firstMs = 0;

  constructor(stage: Stage, turns: Iterator<SimTurn>, intendedMs: number) {
    this.#stage = stage;
    this.#turns = turns;
    this.#intendedMs = intendedMs;
  }

  onTokens(_tokens: readonly number[], index: number): void {
    if (index === 0) this.#firstMs = this.#stage.parts.clock.nowMs();
  }

  onEnd(end: SequenceEnd): void {
    this.#stage.turnEnded(end, { intendedMs: this.#intendedMs, firstMs: this.#firstMs });
    this.#stage.nextTurn(this.#turns);
  }
}

// The seed keeps answers apart: equal prompts with equal answers would share KV that real users do not share.
