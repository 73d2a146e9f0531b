// When sessions begin: arrival processes as lazy streams of intended times, and the loads that a person can ask for.
// Pure given a Random; never sees a clock.
import type { Random } from '../../kernels/random.ts';
import { FlagError } from '../base/flag-error.ts';

export type Load =
  | { readonly kind: 'closed'; readonly users: number } // each user starts a session when the last one is over
  | { readonly kind: 'constant'; readonly perSecond: number }
  | { readonly kind: 'poisson'; readonly perSecond: number }
  | { readonly kind: 'gamma'; readonly perSecond: number; readonly cv: number } // cv > 1: bursty
  | { readonly kind: 'ramp'; readonly fromPerSecond: number; readonly toPerSecond: number }
  | { readonly kind: 'trace'; readonly timeScale: number }; // 2 = twice as fast as recorded

export type OpenLoad = Exclude<Load, { kind: 'closed' | 'trace' }>;

const RATE_MAX = 1e6; // sessions per second; a bound against typing errors
const USERS_MAX = 100_000;

/** `closed:4`, `constant:2`, `poisson:2`, `gamma:2,cv=3`, `ramp:1..10`, `trace`, `trace:2`. Throws FlagError. */
export function parseLoad(text: string): Load {
  const [kind, rest = ''] = splitOnce(text, ':');
  const value = rest.replace(/\/s$/, '');
  switch (kind) {
    case 'closed':
      return { kind, users: numberIn(text, value, { min: 1, max: USERS_MAX, whole: true }) };
    case 'constant':
    case 'poisson':
      return { kind, perSecond: numberIn(text, value, { min: 1e-6, max: RATE_MAX }) };
    case 'gamma': {
      const [rate, cv] = splitOnce(value, ',');
      if (cv === undefined || !cv.startsWith('cv='))
        throw new FlagError('load', text, 'gamma:RATE,cv=NUMBER');
      const perSecond = numberIn(text, rate.replace(/\/s$/, ''), { min: 1e-6, max: RATE_MAX });
      return { kind, perSecond, cv: numberIn(text, cv.slice(3), { min: 0.01, max: 100 }) };
    }
    case 'ramp': {
      const [from, to] = splitOnce(value, '..');
      if (to === undefined) throw new FlagError('load', text, 'ramp:FROM..TO, sessions per second');
      const fromPerSecond = numberIn(text, from, { min: 0, max: RATE_MAX });
      return { kind, fromPerSecond, toPerSecond: numberIn(text, to, { min: 1e-6, max: RATE_MAX }) };
    }
    case 'trace':
      return { kind, timeScale: value === '' ? 1 : numberIn(text, value, { min: 1e-6, max: 1e6 }) };
    default:
      throw new FlagError(
        'load',
        text,
        'closed:USERS, constant:RATE, poisson:RATE, gamma:RATE,cv=N, ramp:A..B, trace[:SPEED]',
      );
  }
}

/** The same load at another rate; what sweeps and searches turn. Closed loads take it as a number of users. */
export function withRate(load: Load, rate: number): Load {
  switch (load.kind) {
    case 'closed':
      return { kind: 'closed', users: Math.max(1, Math.round(rate)) };
    case 'constant':
    case 'poisson':
      return { ...load, perSecond: rate };
    case 'gamma':
      return { ...load, perSecond: rate };
    case 'ramp':
      return { kind: 'poisson', perSecond: rate };
    case 'trace':
      return { kind: 'trace', timeScale: rate };
  }
}

export function describeLoad(load: Load): string {
  switch (load.kind) {
    case 'closed':
      return `closed loop, ${load.users} user${load.users === 1 ? '' : 's'}`;
    case 'constant':
      return `constant, ${short(load.perSecond)} sessions/s`;
    case 'poisson':
      return `Poisson, ${short(load.perSecond)} sessions/s`;
    case 'gamma':
      return `gamma, ${short(load.perSecond)} sessions/s, CV ${load.cv}`;
    case 'ramp':
      return `ramp, ${short(load.fromPerSecond)} to ${short(load.toPerSecond)} sessions/s`;
    case 'trace':
      return `trace arrivals, time ÷${short(load.timeScale)}`;
  }
}

/** What its number counts. */
export function loadNameOf({ kind }: Load): string {
  if (kind === 'closed') return 'users';
  return kind === 'trace' ? 'trace speed' : 'sessions/s';
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** Intended times in [0, durationMs), ascending. */
export function* arrivals(load: OpenLoad, durationMs: number, random: Random): Generator<number> {
  if (load.kind === 'ramp') {
    yield* rampArrivals(load, durationMs, random);
    return;
  }
  const meanGapMs = 1000 / load.perSecond;
  const gapMs = () => {
    if (load.kind === 'constant') return meanGapMs;
    if (load.kind === 'poisson') return exponential(random) * meanGapMs;
    const shape = 1 / (load.cv * load.cv);
    return (gamma(shape, random) / shape) * meanGapMs;
  };
  for (let atMs = load.kind === 'constant' ? 0 : gapMs(); atMs < durationMs; atMs += gapMs()) yield atMs;
}

// A Poisson process whose rate goes linearly from a to b over the duration T: its expected count by time t is
// Λ(t) = a·t + (b − a)·t² / 2T, and unit-rate arrivals pushed through Λ⁻¹ are its arrivals.
function* rampArrivals(
  load: Extract<Load, { kind: 'ramp' }>,
  durationMs: number,
  random: Random,
): Generator<number> {
  const a = load.fromPerSecond;
  const seconds = durationMs / 1000;
  const slope = (load.toPerSecond - a) / seconds;
  const total = ((a + load.toPerSecond) / 2) * seconds;
  for (let sum = exponential(random); sum < total; sum += exponential(random)) {
    const at = slope === 0 ? sum / a : (Math.sqrt(Math.max(0, a * a + 2 * slope * sum)) - a) / slope;
    yield at * 1000;
  }
}

/** Mean 1. */
function exponential(random: Random): number {
  return -Math.log(1 - random.next());
}

/** Mean `shape`, scale 1. Source: Marsaglia and Tsang, A simple method for generating gamma variables (2000). */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.next()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - random.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** Standard normal, by Box and Muller. */
export function normal(random: Random): number {
  return Math.sqrt(2 * exponential(random)) * Math.cos(2 * Math.PI * random.next());
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

function numberIn(
  whole: string,
  text: string,
  bounds: { min: number; max: number; whole?: boolean },
): number {
  const value = Number(text);
  const fits = text.trim() !== '' && Number.isFinite(value) && value >= bounds.min && value <= bounds.max;
  if (!fits || (bounds.whole === true && !Number.isInteger(value))) {
    throw new FlagError('load', whole, `a number from ${bounds.min} to ${bounds.max} after the colon`);
  }
  return value;
}
