// SharedRun: one run played by several threads, each with its own connections and its own part of the sessions; this thread plays
// nothing and counts everything, turn by turn as if it had played them. Before it: measure/campaign.ts; after it: worker-thread.ts.
import { startThread } from '../../../models/thread-entry.ts';
import { Histogram } from '../../statistics/histogram.ts';
import type { WorkShare } from '../../workload/share.ts';
import type { RunReport } from '../runs/report-schema.ts';
import { type ActiveRun, type RunParts, type RunPlan, RunRecorder, settledReport } from '../runs/run.ts';
import { RunStatistics } from '../runs/run-statistics.ts';
import type { Flags } from '../settings.ts';
import { turnOf, type WorkerMessage } from './turn-message.ts';

export interface SharedBy {
  readonly workers: number;
  readonly flags: Flags; // with the model's name, so that nobody asks for it again
  readonly apiKey: string | null;
}

/** What a thread is given. */
export interface PlayedPart {
  readonly flags: Flags;
  readonly apiKey: string | null;
  readonly share: WorkShare;
  readonly run: Pick<RunPlan, 'load' | 'salt' | 'sessionsMax'>; // of all of them together
  readonly inFlight: Int32Array; // [thread] turns under way, shared
}

/** Threads begin together, once all of them are ready. */
export function startSharedRun(
  plan: RunPlan,
  parts: RunParts,
  { workers, flags, apiKey }: SharedBy,
  onReport: (report: RunReport) => void,
): ActiveRun {
  const { load, salt, sessionsMax } = plan;
  const count = load.kind === 'closed' ? Math.min(workers, load.users) : workers;
  const inFlight = new Int32Array(new SharedArrayBuffer(4 * count));
  const statistics = new RunStatistics(plan.slo, plan.warmupMs);
  const { clock } = parts;
  let stopReason: string | null = null;
  let startMs = Number.NaN;
  let readyCount = 0;
  let openCount = count;
  let ranOut = true; // everywhere
  let worst: Histogram | null = null; // of the thread that was held up most: a mean would hide it
  const recorder = new RunRecorder(statistics, plan, parts.onTurn, (reason) => stop(reason));
  const threads = Array.from({ length: count }, (_, index) => {
    const workerData: PlayedPart = {
      ...{ flags, apiKey, share: { index, count }, run: { load, salt, sessionsMax }, inFlight },
    };
    return startThread('worker-thread', { from: import.meta.url, name: `loadtest ${index}`, workerData });
  });
  const tellAll = (word: 'go' | 'stop') => {
    for (const thread of threads) thread.postMessage(word);
  };
  const stop = (reason: string): void => {
    stopReason ??= reason;
    tellAll('stop');
  };
  const end = (): void => {
    const elapsedMs = Number.isNaN(startMs) ? 0 : clock.nowMs() - startMs;
    const over = { loopDelay: worst ?? new Histogram(), stopReason, elapsedMs, ranOut };
    onReport(settledReport(plan, parts, recorder, over));
  };
  const hear = (message: WorkerMessage): void => {
    if (message.kind === 'ready') {
      if (++readyCount < count) return;
      startMs = clock.nowMs();
      tellAll('go');
    } else if (message.kind === 'finished') {
      for (const turn of message.turns) recorder.onTurn(turnOf(turn));
      for (const session of message.sessions) recorder.onSession(session);
      for (let shed = message.shed; shed > 0; shed--) recorder.onShed();
    } else {
      if (message.kind === 'failed') stop(`a worker failed: ${message.message}`);
      else {
        worst = worseOf(worst, message.loopDelay);
        ranOut &&= message.ranOut;
      }
      if (--openCount === 0) end();
    }
  };
  for (const thread of threads) {
    thread.on('message', hear);
    thread.on('error', ({ message }: Error) => hear({ kind: 'failed', message }));
  }
  const driver = {
    get elapsedMs(): number {
      return Number.isNaN(startMs) ? 0 : clock.nowMs() - startMs;
    },
    get turnsInFlight(): number {
      return inFlight.reduce((sum, turns) => sum + turns, 0);
    },
  };
  return { statistics, driver, stop: () => stop('stopped by hand') };
}

function worseOf(worst: Histogram | null, data: Histogram['data']): Histogram {
  const other = new Histogram();
  other.add(data);
  const p99 = (histogram: Histogram): number => histogram.quantileMs(0.99) ?? 0;
  return worst === null || p99(other) > p99(worst) ? other : worst;
}
