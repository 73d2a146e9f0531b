// The latencies a run reports: their keys, names and formulas, printed beside every result. One table, so that a
// number can never be shown without saying what it is. Data only.

export const LATENCIES = {
  ttft: {
    name: 'TTFT',
    formula: 'first token − intended send; reasoning tokens count, and the name of a tool that is called',
  },
  ttfo: { name: 'TTFO', formula: 'first non-reasoning token − intended send' },
  itlToken: {
    name: 'ITL per token',
    formula:
      'every gap between two tokens of an answer; k tokens that arrive together are one gap of the burst and k − 1 gaps of 0',
  },
  itlBurst: {
    name: 'ITL per burst',
    formula: 'every gap between two bursts; a burst is what arrives within 0.1 ms',
  },
  tpot: {
    name: 'TPOT',
    formula: '(last burst − first burst) / (tokens − 1), per answer: a mean, not a latency of a token',
  },
  stall: { name: 'Longest stall', formula: 'the longest gap between two bursts, per answer' },
  e2e: {
    name: 'E2E',
    formula: 'end of the answer − intended send; of answers only (ok, or stopped as planned)',
  },
  failure: {
    name: 'Until failure',
    formula:
      'end − intended send of turns without an answer: refused, cut off, empty, timed out; in no other row’s E2E',
  },
  queue: { name: 'Queue wait', formula: 'as the server reports it: submitted → first seat' },
  ttftFromSent: {
    name: 'TTFT from wire',
    formula:
      'first token − last byte of the request sent; hides what waited in the client, never the headline',
  },
  stopToSilence: { name: 'Stop to silence', formula: 'last token received − stop pressed; 0 if none came' },
  steerToFirst: { name: 'Steer to first token', formula: 'first token of the steered answer − stop pressed' },
  firstUsefulDiff: {
    name: 'First useful diff',
    formula: 'first complete hunk that changes the real text and applies to it − intended send',
  },
  makespan: {
    name: 'Session makespan',
    formula: 'end of the last answer − first intended send, sessions played to the end',
  },
  sessionWait: { name: 'Session wait', formula: 'makespan − tool gaps − human gaps' },
  toolGaps: { name: 'Tool gaps', formula: 'sum of the gaps in which a tool ran, per session' },
  humanGaps: {
    name: 'Human gaps',
    formula: 'sum of the gaps in which the person read or typed, per session',
  },
  dispatchLag: {
    name: 'Dispatch lag',
    formula: 'dispatched − intended send: the load generator’s own delay',
  },
  wireLag: {
    name: 'Wire lag',
    formula: 'last byte handed to the system − dispatched: connecting, encoding, a full socket',
  },
  loopDelay: { name: 'Event-loop delay', formula: 'how late a 5 ms timer of the load generator fired' },
} as const satisfies Record<string, { readonly name: string; readonly formula: string }>;

export type LatencyKey = keyof typeof LATENCIES;
export const LATENCY_KEYS = Object.keys(LATENCIES) as LatencyKey[];

/** The other numbers of the report. */
export const FORMULAS: Readonly<Record<string, string>> = {
  window:
    'end of warm-up → the later of the planned end and the last counted answer’s end; that answer’s end where sessions ran out before',
  warmup:
    'turns intended before the end of warm-up are played and not counted; so are sessions that began before it',
  'request throughput': 'turns that ended ok or were interrupted as planned / window',
  'token throughput':
    'output tokens of counted turns / window; unknown where nobody counted the tokens of one of them',
  quantile:
    'the smallest value with at least that share of the values at or below it; of an even count, p50 is the middle of the two in the middle',
  goodput:
    'good turns / window; good = ended ok (or interrupted as planned) inside every objective. Errors, rejections, truncations and timeouts are misses',
  'good share': 'good turns / counted turns',
  'session good share': 'sessions whose every played turn was good / counted sessions',
  'served cache share': 'Σ cached tokens reported / Σ prompt tokens reported',
  'ideal cache share':
    'Σ tokens an unbounded prefix cache could serve / Σ prompt tokens planned, of the same turns',
  'wasted tokens': 'tokens generated (or, where the server does not say, received) after the stop',
  'accepted per step':
    'output tokens / (output tokens − accepted draft tokens): tokens a decoding step yields with speculation',
  interval:
    '95 %, percentile bootstrap over whole sessions, 200 to 1000 resamples, seeded; where all sessions agree, the exact bound of a share; of gaps and lags: ranks of the order statistics, taken as independent',
  'refused quantile':
    'p is stated only with n ≥ ln 0.025 / ln p samples: 36 for p90, 72 for p95, 368 for p99',
};
