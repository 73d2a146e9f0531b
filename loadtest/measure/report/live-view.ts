// LiveView: tells another process twice a second how the run is going; that process draws (measure/live/main.ts), so that a slow
// terminal cannot delay a request. Owns the snapshots; the child process is made by main.ts.
import type { Clock, Timer } from '../../../kernels/clock.ts';
import type { ActiveRun } from '../runs/run.ts';

const PERIOD_MS = 500;

export interface Snapshot {
  readonly title: string;
  readonly elapsedMs: number;
  readonly plannedMs: number;
  readonly isWarmup: boolean;
  readonly turns: number; // counted
  readonly inFlight: number;
  readonly requestsPerSecond: number; // over the last period
  readonly tokensPerSecond: number;
  readonly goodShare: number | null;
  readonly ttftMs: readonly [number | null, number | null]; // p50, p90
  readonly itlMs: readonly [number | null, number | null]; // per burst: p50, p99
  readonly errors: readonly (readonly [string, number])[]; // most frequent kinds
}

/** Takes snapshots; `close` after the last run. */
export interface LiveScreen {
  show(snapshot: Snapshot): void;
  close(): void;
}

/** Shows `run` until the result is called. */
export function watch(
  run: ActiveRun,
  about: { readonly title: string; readonly plannedMs: number; readonly warmupMs: number },
  screen: LiveScreen,
  clock: Clock,
): () => void {
  let timer: Timer | null = null;
  let last = { atMs: clock.nowMs(), turns: 0, tokens: 0 };
  const tick = () => {
    const nowMs = clock.nowMs();
    const { counters, latencies, errors } = run.statistics;
    const turns = counters.turns + counters.warmupTurns;
    const seconds = Math.max(0.001, (nowMs - last.atMs) / 1000);
    screen.show({
      ...about,
      elapsedMs: run.driver.elapsedMs,
      isWarmup: run.driver.elapsedMs < about.warmupMs,
      turns: counters.turns,
      inFlight: run.driver.turnsInFlight,
      requestsPerSecond: (turns - last.turns) / seconds,
      tokensPerSecond: (counters.outputTokens - last.tokens) / seconds,
      goodShare: counters.turns === 0 ? null : counters.good / counters.turns,
      ttftMs: [latencies.ttft.quantileMs(0.5), latencies.ttft.quantileMs(0.9)],
      itlMs: [latencies.itlBurst.quantileMs(0.5), latencies.itlBurst.quantileMs(0.99)],
      errors: [...errors].sort((a, b) => b[1] - a[1]).slice(0, 3),
    });
    last = { atMs: nowMs, turns, tokens: counters.outputTokens };
    timer = clock.schedule(PERIOD_MS, tick);
  };
  timer = clock.schedule(PERIOD_MS, tick);
  return () => timer?.cancel();
}
