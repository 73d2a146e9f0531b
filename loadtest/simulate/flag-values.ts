// Values of flags: text in, checked value out, for commander. Each says what it would have accepted.
import { InvalidArgumentError } from 'commander';
import { parseDeviceName } from '../../kernels/sim/device.ts';
import { PRECISIONS, type Precision } from '../../kernels/sim/shapes.ts';

const countMax = 1e9;

export function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= countMax) return value;
  throw new InvalidArgumentError(`expected a whole number from 1 to ${countMax}`);
}

export function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('expected a number above 0');
}

export function notNegative(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError('expected a number from 0');
}

export function precision(text: string): Precision {
  const found = PRECISIONS.find((name) => name === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`expected one of ${PRECISIONS.join(', ')}`);
}

export function placement(text: string): 'optimised' | 'equal' {
  if (text === 'optimised' || text === 'equal') return text;
  throw new InvalidArgumentError('expected optimised or equal');
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
