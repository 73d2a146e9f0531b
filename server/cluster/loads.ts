// GET /v1/loads: how loaded this node is, in the shape of SGLang's gateway. Owns the rate of tokens between two questions; the
// other numbers are the engine's latest report.
import type { Clock } from '../../kernels/clock.ts';
import type { KvReport } from '../engine/observer.ts';
import { type Route, routesIn } from '../http/route.ts';
import { kvUsage } from './engine-gauges.ts';

const table = routesIn('health');

export interface LoadsParts {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly epochMs: () => number;
  readonly version: string;
  readonly blockSize: () => number; // tokens
  readonly seatCount: () => number;
  readonly report: () => KvReport | null;
  readonly totals: () => TokenTotals;
}

/** Since the start. */
export interface TokenTotals {
  readonly decodedTokens: number;
  readonly promptTokens: number; // of ended sequences
  readonly cachedTokens: number; // of these
}

const RATE_SPAN_MIN_MS = 1000; // a shorter one says nothing

export function loadsRoute(parts: LoadsParts): Route {
  const rate = new TokenRate(parts.clock);
  // that is when a router has to know
  return table.get(
    '/v1/loads',
    {
      summary: 'How loaded this node is, as SGLang tells it',
      query: { include: 'ignored: core and queues are always told' },
      whenFull: true,
    },
    (call) => call.reply(200, loadsOf(parts, rate)),
  );
}

function loadsOf({ epochMs, version, blockSize, seatCount, report, totals }: LoadsParts, rate: TokenRate) {
  const kv = report();
  const { decodedTokens, promptTokens, cachedTokens } = totals();
  const running = kv?.runningCount ?? 0;
  const waiting = kv?.waitingCount ?? 0;
  const usage = kvUsage(kv);
  const used = (kv?.inUseCount ?? 0) * blockSize();
  const throughput = rate.since(decodedTokens);
  const load = {
    dp_rank: 0,
    num_running_reqs: running,
    num_waiting_reqs: waiting,
    num_total_reqs: running + waiting,
    num_used_tokens: used,
    max_total_num_tokens: (kv?.blockCount ?? 0) * blockSize(),
    max_running_requests: seatCount(),
    token_usage: usage,
    gen_throughput: throughput,
    cache_hit_rate: promptTokens === 0 ? 0 : cachedTokens / promptTokens,
    utilization: Math.min(1, running / seatCount()),
    queues: { waiting, grammar: 0, paused: kv?.pausedCount ?? 0, retracted: 0 },
  };
  return {
    timestamp: new Date(epochMs()).toISOString(),
    version,
    dp_rank_count: 1,
    loads: [load],
    aggregate: {
      total_running_reqs: running,
      total_waiting_reqs: waiting,
      total_reqs: running + waiting,
      total_used_tokens: used,
      avg_token_usage: usage,
      avg_throughput: throughput,
      avg_utilization: load.utilization,
    },
  };
}

/** Tokens per second since the question before, or the one before that where it was only just asked. */
class TokenRate {
  readonly #clock: Pick<Clock, 'nowMs'>;
  #from: { readonly atMs: number; readonly tokens: number };
  #rate = 0;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
    this.#from = { atMs: clock.nowMs(), tokens: 0 };
  }

  since(tokens: number): number {
    const nowMs = this.#clock.nowMs();
    const spanMs = nowMs - this.#from.atMs;
    if (spanMs < RATE_SPAN_MIN_MS) return this.#rate;
    this.#rate = (1000 * (tokens - this.#from.tokens)) / spanMs;
    this.#from = { atMs: nowMs, tokens };
    return this.#rate;
  }
}
