// Values of flags: text in, checked value out, for commander. Each says what it would have accepted.
import { InvalidArgumentError } from 'commander';
import { parseDeviceName, type WeightsPlace } from '../../kernels/sim/device.ts';
import type { WindowedKv } from '../../kernels/sim/gpu/roofline.ts';
import {
  KV_PRECISIONS,
  PRECISIONS,
  type SimKvPrecision,
  type SimPrecision,
} from '../../kernels/sim/precision.ts';
import type { SchedulerName } from './simulation.ts';

const tokensMax = 1e9;
const peopleMax = 65_536; // seats, users: each has a place in tables
const amountMax = 1e6; // rates per second, milliseconds, prices: beyond it a run tells nothing

/** Tokens, or requests of a whole run. */
export const count = wholeUpTo(tokensMax);

/** Users, seats, chips. */
export const people = wholeUpTo(peopleMax);

function wholeUpTo(max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new InvalidArgumentError(`expected a whole number from 1 to ${max}`);
  };
}

export function positive(text: string): number {
  const value = Number(text);
  if (value >= 1 / amountMax && value <= amountMax) return value;
  throw new InvalidArgumentError(`expected a number from ${1 / amountMax} to ${amountMax}`);
}

export function notNegative(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= amountMax) return value;
  throw new InvalidArgumentError(`expected a number from 0 to ${amountMax}`);
}

export function precision(text: string): SimPrecision {
  const found = PRECISIONS.find((name) => name === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`expected one of ${PRECISIONS.join(', ')}`);
}

export function kvPrecision(text: string): SimKvPrecision {
  const found = KV_PRECISIONS.find((name) => name === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`expected one of ${KV_PRECISIONS.join(', ')}`);
}

export function scheduler(text: string): SchedulerName {
  if (text === 'published' || text === 'served') return text;
  throw new InvalidArgumentError('expected published or served');
}

export function placement(text: string): 'optimised' | 'equal' {
  if (text === 'optimised' || text === 'equal') return text;
  throw new InvalidArgumentError('expected optimised or equal');
}

/** A share that is neither none nor all. */
export function chance(text: string): number {
  const value = Number(text);
  if (value >= 0.01 && value <= 0.99) return value;
  throw new InvalidArgumentError('expected a share from 0.01 to 0.99');
}

/** Guesses before each verification. */
export const draftTokens = wholeUpTo(64);

export function windowedKv(text: string): WindowedKv {
  if (text === 'whole' || text === 'window') return text;
  throw new InvalidArgumentError('expected whole or window');
}

export function weightsPlace(text: string): WeightsPlace {
  if (text === 'resident' || text === 'streamed') return text;
  throw new InvalidArgumentError('expected resident or streamed');
}

export function region(text: string): { columns: number; rows: number } {
  const match = /^([1-9]\d{0,3})x([1-9]\d{0,3})$/.exec(text);
  if (match !== null) return { columns: Number(match[1]), rows: Number(match[2]) };
  throw new InvalidArgumentError('expected columns and rows of cores, such as 660x660');
}

export function prices(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const part of text.split(',')) {
    const [name, value] = part.split('=');
    found.set(parseDeviceName(name ?? '').chip, positive(value ?? ''));
  }
  return found;
}
