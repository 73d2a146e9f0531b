// Lengths in tokens as a person states them: fixed, a range, normal, lognormal. Pure given a Random.
import type { Random } from '../../kernels/random.ts';
import { FlagError } from '../base/flag-error.ts';
import { normal } from './arrival.ts';

/** A range is uniform; the others are cut at 1 and at LENGTH_MAX. */
export type Lengths =
  | { readonly min: number; readonly max: number }
  | { readonly kind: 'normal'; readonly mean: number; readonly deviation: number }
  | { readonly kind: 'lognormal'; readonly median: number; readonly sigma: number };

const LENGTH_MAX = 10_000_000; // tokens
const EXPECTED = 'TOKENS, MIN..MAX, normal:MEAN,DEVIATION or lognormal:MEDIAN,SIGMA';

/** Throws FlagError. */
export function parseLengths(flag: string, text: string): Lengths {
  const fail = (): never => {
    throw new FlagError(flag, text, EXPECTED);
  };
  const number = (part: string | undefined, min: number, max: number): number => {
    const value = part === undefined || part.trim() === '' ? Number.NaN : Number(part);
    return value >= min && value <= max ? value : fail();
  };
  const whole = (part: string | undefined): number => {
    const value = number(part, 1, LENGTH_MAX);
    return Number.isInteger(value) ? value : fail();
  };
  const [, kind, first, second] = /^(normal|lognormal):([^,]+),([^,]+)$/.exec(text) ?? [];
  if (kind === 'normal')
    return { kind, mean: number(first, 1, LENGTH_MAX), deviation: number(second, 0, LENGTH_MAX) };
  if (kind === 'lognormal')
    return { kind, median: number(first, 1, LENGTH_MAX), sigma: number(second, 0, 5) };
  const range = text.split('..');
  if (range.length > 2) return fail();
  const [min, max = min] = range.map(whole);
  return max! < min! ? fail() : { min: min!, max: max! };
}

export function drawLength(lengths: Lengths, random: Random): number {
  if (!('kind' in lengths)) return random.integer(lengths.min, lengths.max);
  const drawn =
    lengths.kind === 'normal'
      ? lengths.mean + lengths.deviation * normal(random)
      : lengths.median * Math.exp(lengths.sigma * normal(random));
  return Math.min(LENGTH_MAX, Math.max(1, Math.round(drawn)));
}
