// From points and reports to what the live pane says in numbers. Pure. Used by live-pane.tsx.
import type { LivePoint, LiveReport } from './live-report.ts';

export interface Headline {
  readonly tokensPerSecond: number; // decoded, over the last points
  readonly prefillPerSecond: number;
  readonly ttftMs: number | null; // median of the latest point that has one
  readonly itlMs: number | null;
  readonly kvShare: number; // of the blocks, in use
  readonly cachedShare: number | null; // of the latest prompts' tokens
  readonly draftShare: number | null; // of the drafts that were tried lately, accepted
}

const RECENT = 5; // points

export function headlineOf(points: readonly LivePoint[], pointMs: number, report: LiveReport): Headline {
  const recent = points.slice(-RECENT);
  const seconds = Math.max(1, recent.length) * (pointMs / 1000);
  const sum = (key: 'decodeTokens' | 'prefillTokens'): number =>
    recent.reduce((total, point) => total + point[key], 0);
  const [accepted, rejected] = points.reduce(
    ([a, r], point) => [a + point.acceptedDrafts, r + point.rejectedDrafts],
    [0, 0],
  );
  const { kv, prompts } = report;
  const blocks = kv.freeBlocks + kv.keptBlocks + kv.inUseBlocks;
  const promptTokens = prompts.reduce((total, prompt) => total + prompt.promptTokens, 0);
  const cachedTokens = prompts.reduce((total, prompt) => total + prompt.cachedTokens, 0);
  return {
    tokensPerSecond: sum('decodeTokens') / seconds,
    prefillPerSecond: sum('prefillTokens') / seconds,
    ttftMs: points.findLast(({ ttftMsP50 }) => ttftMsP50 !== null)?.ttftMsP50 ?? null,
    itlMs: points.findLast(({ itlMsP50 }) => itlMsP50 !== null)?.itlMsP50 ?? null,
    kvShare: blocks === 0 ? 0 : kv.inUseBlocks / blocks,
    cachedShare: promptTokens === 0 ? null : cachedTokens / promptTokens,
    draftShare: accepted + rejected === 0 ? null : accepted / (accepted + rejected),
  };
}

/** Columns for a chart: seconds before now, then the values. */
export function columnsOf(
  points: readonly LivePoint[],
  nowMs: number,
  values: readonly ((point: LivePoint) => number | null)[],
): (number | null)[][] {
  const times = points.map(({ atMs }) => (atMs - nowMs) / 1000);
  return [times, ...values.map((value) => points.map(value))];
}

export const MISS_WORDS = {
  none: 'all of it was cached',
  new: 'nothing like it was known',
  grown: 'new text after all that is known',
  differs: 'differs from here from what is cached',
  evicted: 'was cached, and given up for room',
} as const;
