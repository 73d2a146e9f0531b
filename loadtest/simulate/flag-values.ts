// Values of flags: text in, checked value out, for commander. Each says what it would have accepted.
import { InvalidArgumentError } from 'commander';
import { parseDeviceName } from '../../kernels/sim/device.ts';
import { KV_PRECISIONS, PRECISIONS } from '../../kernels/sim/precision.ts';

const tokensMax = 1e9;
const peopleMax = 65_536; // seats, users: each has a place in tables
const amountMax = 1e6; // rates per second, milliseconds, prices: beyond it a run tells nothing

/** Tokens, or requests of a whole run. */
export const whole = wholeUpTo(tokensMax);

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

function oneOf<const Name extends string>(...names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`expected one of ${names.join(', ')}`);
  };
}

export const precision = oneOf(...PRECISIONS);
export const kvPrecision = oneOf(...KV_PRECISIONS);
export const scheduler = oneOf('published', 'served');
export const placement = oneOf('optimised', 'equal');
export const windowedKv = oneOf('whole', 'window');
export const weightsPlace = oneOf('resident', 'streamed');

/** A share that is neither none nor all. */
export function chance(text: string): number {
  const value = Number(text);
  if (value >= 0.01 && value <= 0.99) return value;
  throw new InvalidArgumentError('expected a share from 0.01 to 0.99');
}

/** Guesses before each verification. */
export const draftTokens = wholeUpTo(64);

export function region(text: string): { columns: number; rows: number } {
  const match = /^([1-9]\d{0,3})x([1-9]\d{0,3})$/.exec(text);
  if (match !== null) return { columns: Number(match[1]), rows: Number(match[2]) };
  throw new InvalidArgumentError('expected columns and rows of cores, such as 660x660');
}

export function prices(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const part of text.split(',')) {
    const [name = '', value = ''] = part.split('=').map((text) => text.trim());
    found.set(chipOf(name), positive(value));
  }
  return found;
}

// A chip of the list, or one's own by the name in its file.
function chipOf(name: string): string {
  if (name === '') throw new InvalidArgumentError('expected chips and prices, such as h100=2.5,wse3=60');
  try {
    return parseDeviceName(name).chip;
  } catch {
    return name;
  }
}
