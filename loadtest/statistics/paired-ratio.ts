// Comparing two arms that played the same turns: the mean of ln(A/B) over turns, as a ratio, with a bootstrap interval
// over whole sessions. The two runs of one arm in the same ABBA block give the noise floor: the ratio that "no
// difference" had on that day.
import type { Random } from '../../kernels/random.ts';
import { type Interval, ratioInterval } from './bootstrap.ts';

export interface PairedRatio {
  readonly ratio: number; // geometric mean of A/B; below 1, A is faster
  readonly interval: Interval | null; // 95 %
  readonly turnCount: number;
  readonly sessionCount: number;
}

/** [session][pair]: values of A and of B for the same turn. Pairs without two positive values are left out. */
export type PairedSession = readonly { readonly a: number | null; readonly b: number | null }[];

/** Null when no pair can be compared. */
export function pairedRatio(sessions: readonly PairedSession[], random: Random): PairedRatio | null {
  const sums = sessions
    .map((pairs) => {
      const logs = pairs.map(logRatio).filter((value) => value !== null);
      return { numerator: logs.reduce((sum, value) => sum + value, 0), denominator: logs.length };
    })
    .filter(({ denominator }) => denominator > 0);
  const turnCount = sums.reduce((sum, { denominator }) => sum + denominator, 0);
  if (turnCount === 0) return null;
  const total = sums.reduce((sum, { numerator }) => sum + numerator, 0);
  const logs = ratioInterval(sums, random);
  return {
    ratio: Math.exp(total / turnCount),
    interval: logs === null ? null : { low: Math.exp(logs.low), high: Math.exp(logs.high) },
    turnCount,
    sessionCount: sums.length,
  };
}

function logRatio({ a, b }: PairedSession[number]): number | null {
  if (a === null || b === null || a <= 0 || b <= 0) return null;
  return Math.log(a / b);
}
