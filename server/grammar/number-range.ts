// JSON numbers within bounds, or multiples of something, as byte expressions: digits are compared from the left, as on
// paper. Bounded numbers are written without exponent. Before it: json-schema.ts; after it: byte-regex.ts.
import type { Regex, RegexTable } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import {
  anyFraction,
  digit,
  fractionDigitsMax,
  integerDigitsMax,
  naturalNumber,
  plainDecimal,
} from './json-terminals.ts';

export interface NumberRange {
  readonly integer: boolean;
  readonly min: NumberBound | null;
  readonly max: NumberBound | null;
  readonly multipleOf: number | null; // > 0
}

export interface NumberBound {
  readonly value: number; // finite
  readonly exclusive: boolean;
}

const divisorMax = 10_000;
const exactDigitsMax = 15; // significant decimal digits that a double keeps

/** May match nothing (min > max). Throws GrammarError 'unsupported' for bounds and divisors that digits cannot express. */
export function numberInRange(range: NumberRange, at: { table: RegexTable; path: string }): Regex {
  const { table } = at;
  // Decimals just beyond an open bound may be rounded onto it when they are read, so the next number is the bound.
  const min = range.min?.exclusive ? closed(range.min.value, 1) : range.min;
  const max = range.max?.exclusive ? closed(range.max.value, -1) : range.max;
  const divisible = range.multipleOf === null ? [] : [multipleOf(range.multipleOf, at), exactDecimal(table)];
  const unsigned = (low: NumberBound | null, high: NumberBound | null): Regex => {
    const parts = [...divisible, range.integer ? naturalNumber(table) : plainDecimal(table)];
    if (low !== null) parts.push(compare(low, { ...at, integer: range.integer, side: 'above' }));
    if (high !== null) parts.push(compare(high, { ...at, integer: range.integer, side: 'below' }));
    return table.and(parts);
  };
  const positive =
    max !== null && max.value < 0 ? table.never : unsigned(min !== null && isPositive(min) ? min : null, max);
  // −x is in [min, max] when x is in [−max, −min]; "-0" is left out, 0 is enough.
  const low = max === null || max.value > 0 ? aboveZero : max.value === 0 ? aboveZero : negated(max);
  const negative =
    min !== null && min.value >= 0 ? table.never : unsigned(low, min === null ? null : negated(min));
  return table.or([positive, table.concat(table.text('-'), negative)]);
}

const aboveZero: NumberBound = { value: 0, exclusive: true };

/** The next number above (1) or below (−1), as a closed bound. */
function closed(value: number, direction: 1 | -1): NumberBound {
  if (value === 0) return { value, exclusive: true }; // no decimal we write is rounded to 0
  const float = new Float64Array([value]);
  const bits = new BigInt64Array(float.buffer);
  bits[0]! += BigInt(value > 0 ? direction : -direction);
  return { value: float[0]!, exclusive: false };
}

/** Few enough digits that no reader rounds them. */
function exactDecimal(table: RegexTable): Regex {
  return table.repeat(table.or([digit(table), table.text('.')]), 1, exactDigitsMax);
}

function isPositive({ value, exclusive }: NumberBound): boolean {
  return value > 0 || (value === 0 && exclusive);
}

function negated({ value, exclusive }: NumberBound): NumberBound {
  return { value: -value, exclusive };
}

interface Decimal {
  readonly whole: string; // no leading zeros but '0'
  readonly fraction: string; // no trailing zeros
}

/** Of a finite number ≥ 0, exactly as JavaScript prints it. */
function decimalOf(value: number): Decimal {
  const [mantissa, exponent = '0'] = String(value).split('e');
  const [whole, fraction = ''] = mantissa!.split('.');
  const shift = Number(exponent);
  const digits = whole! + fraction;
  const point = whole!.length + shift;
  const padded = point > 0 ? digits.padEnd(point, '0') : '0'.repeat(1 - point) + digits;
  const cut = Math.max(point, 1);
  return {
    whole: padded.slice(0, cut).replace(/^0+(?=\d)/, ''),
    fraction: padded.slice(cut).replace(/0+$/, ''),
  };
}

/** To as many digits as we write, away from what is forbidden. */
function rounded({ whole, fraction }: Decimal, side: 'above' | 'below'): Decimal {
  const places = fractionDigitsMax - 1;
  if (fraction.length <= places) return { whole, fraction };
  const units = BigInt(whole + fraction.slice(0, places)) + (side === 'above' ? 1n : 0n);
  const digits = String(units).padStart(places + 1, '0');
  return { whole: digits.slice(0, -places), fraction: digits.slice(-places).replace(/0+$/, '') };
}

interface Comparison {
  readonly table: RegexTable;
  readonly path: string;
  readonly integer: boolean;
  readonly side: 'above' | 'below'; // of the bound
}

/** Unsigned decimals on one side of a bound ≥ 0. */
function compare({ value, exclusive }: NumberBound, { table, path, integer, side }: Comparison): Regex {
  const { whole, fraction } = rounded(decimalOf(value), side);
  if (whole.length > integerDigitsMax) {
    if (side === 'below') return table.anything;
    throw new GrammarError('unsupported', `numbers beyond ${integerDigitsMax} digits are never written`, {
      path,
    });
  }
  const any = integer ? table.empty : anyFraction(table);
  const wholeMatches = side === 'above' ? wholeAbove(whole, table) : wholeBelow(whole, table);
  const equalWhole = integer
    ? equalInteger(side, { fraction, exclusive, table })
    : side === 'above'
      ? fractionAbove(fraction, { exclusive, table })
      : fractionBelow(fraction, { exclusive, table });
  return table.or([table.concat(wholeMatches, any), table.concat(table.text(whole), equalWhole)]);
}

/** Whether the bound's whole part itself, as an integer, is on the right side. */
function equalInteger(
  side: 'above' | 'below',
  { fraction, exclusive, table }: { fraction: string; exclusive: boolean; table: RegexTable },
): Regex {
  const fits = fraction === '' ? !exclusive : side === 'below';
  return fits ? table.empty : table.never;
}

function digits(count: number, table: RegexTable): Regex {
  return table.repeat(digit(table), count, count);
}

function wholeAbove(whole: string, table: RegexTable): Regex {
  const found: Regex[] = [];
  if (whole.length < integerDigitsMax) {
    found.push(
      table.concat(table.range(0x31, 0x39), table.repeat(digit(table), whole.length, integerDigitsMax - 1)),
    );
  }
  for (let i = 0; i < whole.length; i++) {
    const byte = whole.charCodeAt(i);
    found.push(
      table.sequence(
        table.text(whole.slice(0, i)),
        table.range(byte + 1, 0x39),
        digits(whole.length - i - 1, table),
      ),
    );
  }
  return table.or(found);
}

function wholeBelow(whole: string, table: RegexTable): Regex {
  const found: Regex[] = [];
  if (whole.length > 1) {
    const many = table.concat(table.range(0x31, 0x39), table.repeat(digit(table), 0, whole.length - 2));
    found.push(table.or([table.text('0'), many]));
  }
  for (let i = 0; i < whole.length; i++) {
    const least = i === 0 && whole.length > 1 ? 0x31 : 0x30;
    const below = table.range(least, whole.charCodeAt(i) - 1);
    found.push(table.sequence(table.text(whole.slice(0, i)), below, digits(whole.length - i - 1, table)));
  }
  return table.or(found);
}

interface FractionBound {
  readonly exclusive: boolean;
  readonly table: RegexTable;
}

/** Perhaps a point and digits, worth at least 0.fraction. */
function fractionAbove(fraction: string, { exclusive, table }: FractionBound): Regex {
  const some = table.repeat(digit(table), 0, fractionDigitsMax - 1);
  const zeros = table.repeat(table.text('0'), 0, fractionDigitsMax - 1);
  const more = table.sequence(zeros, table.range(0x31, 0x39), some);
  if (fraction === '') return exclusive ? table.concat(table.text('.'), more) : anyFraction(table);
  let above = exclusive ? more : some;
  for (let i = fraction.length - 1; i >= 0; i--) {
    const byte = fraction.charCodeAt(i);
    above = table.or([
      table.concat(table.range(byte + 1, 0x39), some),
      table.concat(table.range(byte, byte), above),
    ]);
  }
  return table.concat(table.text('.'), above);
}

/** Perhaps a point and digits, worth at most 0.fraction. */
function fractionBelow(fraction: string, { exclusive, table }: FractionBound): Regex {
  const some = table.repeat(digit(table), 0, fractionDigitsMax - 1);
  const zeros = table.repeat(table.text('0'), 0, fractionDigitsMax - 1);
  if (fraction === '') {
    const none = table.concat(table.text('.'), table.concat(table.text('0'), zeros));
    return exclusive ? table.never : table.repeat(none, 0, 1);
  }
  let below = exclusive ? table.never : zeros;
  for (let i = fraction.length - 1; i >= 0; i--) {
    const byte = fraction.charCodeAt(i);
    const less = table.concat(table.range(0x30, byte - 1), some);
    const inside = i === fraction.length - 1 ? below : table.or([table.empty, below]);
    below = table.or([less, table.concat(table.range(byte, byte), inside)]);
  }
  return table.repeat(table.concat(table.text('.'), below), 0, 1);
}

function multipleOf(value: number, { table, path }: { table: RegexTable; path: string }): Regex {
  const { whole, fraction } = decimalOf(value);
  const divisor = Number(whole + fraction);
  if (divisor > divisorMax) {
    throw new GrammarError('unsupported', `more than ${divisorMax} units in the last place`, {
      path,
      keyword: 'multipleOf',
    });
  }
  return table.multiple({ divisor, scale: fraction.length, remainder: 0, fractionLeft: null });
}
