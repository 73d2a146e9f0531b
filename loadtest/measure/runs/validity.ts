// Whether a run may be believed: a load generator that was late itself has measured itself. Pure.

import type { Histogram } from '../../statistics/histogram.ts';
import { steadyIndex } from '../../statistics/steady.ts';
import type { Slo } from '../play/slo.ts';
import type { RunReport } from './report-schema.ts';
import type { RunStatistics } from './run-statistics.ts';

const REFERENCE_MS = 1000; // stands in for an objective where there is none
/** Between tokens an objective below this cannot be told from the granularity of timers. */
const STALL_REFERENCE_MS = 100;

export interface ValidityInput {
  readonly statistics: RunStatistics;
  readonly loopDelay: Histogram;
  readonly slo: Slo;
  readonly voidShare: number; // of the objective, such as 0.1
}

/** The p99 of dispatch lag may take `voidShare` of the TTFT objective; the p99 of loop delay, of the tightest one. */
export function validityOf({ statistics, loopDelay, slo, voidShare }: ValidityInput): RunReport['validity'] {
  const ttftMs = Math.min(
    REFERENCE_MS,
    ...slo.filter(({ metric }) => metric === 'ttft').map(({ msMax }) => msMax),
  );
  const gapMs = Math.min(...slo.filter(({ metric }) => metric === 'stall').map(({ msMax }) => msMax), ttftMs);
  const lagMsMax = ttftMs * voidShare;
  const delayMsMax = Math.max(gapMs, STALL_REFERENCE_MS) * voidShare;
  const percent = `${Math.round(voidShare * 1000) / 10} %`;
  const reasons: string[] = [];
  const warnings: string[] = [];
  const lagMs = statistics.latencies.dispatchLag.quantileMs(0.99);
  if (lagMs !== null && lagMs > lagMsMax) {
    reasons.push(
      `the load generator was late: p99 dispatch lag ${lagMs.toFixed(1)} ms > ${percent} of ${ttftMs} ms`,
    );
  }
  const delayMs = loopDelay.quantileMs(0.99);
  if (delayMs !== null && delayMs > delayMsMax) {
    reasons.push(
      `the load generator's event loop stalled: p99 delay ${delayMs.toFixed(1)} ms > ${percent} of ${Math.max(gapMs, STALL_REFERENCE_MS)} ms`,
    );
  }
  const { counters, countedBy, outcomes } = statistics;
  if (counters.shedSessions > 0) {
    reasons.push(`${counters.shedSessions} sessions were shed: too many in flight for the load generator`);
  }
  if (counters.turns === 0) {
    const all = `: all ${counters.warmupTurns} began in the warm-up (--warmup 0s counts them)`;
    reasons.push(`no turn was counted${counters.warmupTurns > 0 ? all : ''}`);
  }
  const answers = (outcomes.get('ok') ?? 0) + (outcomes.get('interrupted') ?? 0);
  if (counters.turns > answers) {
    warnings.push(
      `${counters.turns - answers} of ${counters.turns} turns have no answer: E2E is of the ${answers} answers, the others are under "Until failure"`,
    );
  }
  const chunks = countedBy.get('chunks') ?? 0;
  if (chunks > 0)
    warnings.push(`in ${chunks} turns chunks were counted as tokens: the server told no counts`);
  if (counters.uncountedTurns > 0) {
    warnings.push(
      `in ${counters.uncountedTurns} turns tokens are unknown: chunks hold several, and the server told no counts; --tokenizer counts them`,
    );
  }
  if (counters.shortAnswers > 0) {
    warnings.push(
      `${counters.shortAnswers} answers ended before the length of the trace (end token not ignored)`,
    );
  }
  const { cachedTokens, reportedPromptTokens, idealCachedTokens, idealPromptTokens } = counters;
  if (cachedTokens * idealPromptTokens > 1.05 * idealCachedTokens * reportedPromptTokens) {
    warnings.push(
      'the cache served more than this trace allows: the server had seen this content before (use another --seed)',
    );
  }
  const drift = driftOf(statistics);
  if (drift !== null) warnings.push(drift);
  const truncated = outcomes.get('truncated') ?? 0;
  if (truncated > 0) warnings.push(`${truncated} answers were truncated and count as misses`);
  if (counters.skippedTurns > 0)
    warnings.push(`${counters.skippedTurns} turns were never sent: one before them failed`);
  return {
    isVoid: reasons.length > 0,
    reasons,
    warnings,
    rule: `void if p99 dispatch lag > ${lagMsMax} ms or p99 event-loop delay > ${delayMsMax} ms (${percent} of the objective), if a session was shed, or if nothing was counted`,
  };
}

const STEADY_TURNS_MIN = 80;

/** Whether TTFT had settled when counting began. */
function driftOf({ sample }: RunStatistics): string | null {
  const timed = sample.clusters
    .flat()
    .filter(({ ttftMs }) => ttftMs !== null)
    .sort((a, b) => a.intendedMs - b.intendedMs);
  if (timed.length < STEADY_TURNS_MIN) return null;
  const at = steadyIndex(timed.map(({ ttftMs }) => ttftMs!));
  if (at === null)
    return 'TTFT does not settle within the run: the load may be beyond the server, or the run too short';
  if (at < timed.length / 10) return null;
  const seconds = (timed[at]!.intendedMs / 1000).toFixed(1);
  return `TTFT settles ${seconds} s after the start only: what was counted before is warming up (see --warmup auto)`;
}
