// Python's two ways to put values into a text: "%s" % value, and "{}".format(value). Owns their small languages, as far
// as templates use them. Used by expressions.ts, filters.ts, methods.ts.
import { JinjaError } from './jinja-error.ts';
import {
  isDict,
  isInteger,
  isList,
  print,
  represent,
  Tuple,
  toNumber,
  typeName,
  type Value,
} from './values.ts';

const widthMax = 10_000; // characters

/** `text % value`. Throws JinjaError. */
export function percentFormatted(text: string, value: Value): string {
  const values = value instanceof Tuple ? value.items : [value];
  let used = 0;
  const pattern = /%(?:\(([^)]*)\))?([-+ 0#]*)(\d*)(?:\.(\d+))?([a-zA-Z%])/g;
  const formatted = text.replace(pattern, (_, name, flags: string, width, precision, type) => {
    if (type === '%') return '%';
    let item: Value | undefined;
    if (name === undefined) item = values[used++];
    else item = isDict(value) ? value.get(name) : undefined;
    if (item === undefined) throw new JinjaError('not enough arguments for format string');
    const body = formatted1(item, { type, precision: precision === undefined ? null : Number(precision) });
    const signed =
      flags.includes('+') && toNumber(item) !== null && !body.startsWith('-') ? `+${body}` : body;
    return pad(signed, {
      width: Number(width || 0),
      align: flags.includes('-') ? '<' : '>',
      zero: flags.includes('0'),
    });
  });
  const isMapping = isDict(value) || isList(value);
  if (used < values.length && !isMapping) {
    throw new JinjaError('not all arguments converted during string formatting');
  }
  return formatted;
}

/** `text.format(…)`. Throws JinjaError. */
export function formatBraces(
  text: string,
  positional: readonly Value[],
  named: ReadonlyMap<string, Value>,
): string {
  let next = 0;
  return text.replace(
    /\{\{|\}\}|\{([^{}:!]*)(?:!([rs]))?(?::([^{}]*))?\}/g,
    (whole, name, conversion, spec) => {
      if (whole === '{{') return '{';
      if (whole === '}}') return '}';
      const value =
        name === '' ? positional[next++] : /^\d+$/.test(name) ? positional[Number(name)] : named.get(name);
      if (value === undefined) throw new JinjaError(`format: there is no argument ${JSON.stringify(name)}`);
      const converted = conversion === 'r' ? represent(value) : conversion === 's' ? print(value) : value;
      return formatSpec(converted, spec ?? '');
    },
  );
}

function formatSpec(value: Value, spec: string): string {
  const match = /^(?:(.)?([<>^]))?([+]?)(0?)(\d*)(,?)(?:\.(\d+))?([a-zA-Z%]?)$/u.exec(spec);
  if (!match) throw new JinjaError(`format: ${JSON.stringify(spec)} is not supported`);
  const [, fill = ' ', align, sign, zero, width, comma, precision, type] = match;
  const isNumber = toNumber(value) !== null && typeof value !== 'boolean';
  let body = formatted1(value, {
    type: type || (isNumber && precision !== undefined ? 'g' : isNumber ? 'n' : 's'),
    precision: precision === undefined ? null : Number(precision),
  });
  if (comma) body = body.replace(/^-?\d+/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ','));
  if (sign && isNumber && !body.startsWith('-')) body = `+${body}`;
  return pad(body, {
    width: Number(width || 0),
    align: align ?? (isNumber ? '>' : '<'),
    zero: zero === '0',
    fill,
  });
}

function formatted1(value: Value, { type, precision }: { type: string; precision: number | null }): string {
  const number = toNumber(value);
  if (type === 's') {
    const text = print(value);
    return precision === null ? text : [...text].slice(0, precision).join('');
  }
  if (type === 'r') return represent(value);
  if (number === null) throw new JinjaError(`%${type} format: a number is required, not ${typeName(value)}`);
  switch (type) {
    case 'n':
      return print(value);
    case 'd':
    case 'i':
      return String(Math.trunc(number));
    case 'f':
    case 'F':
      return fixed(number, precision ?? 6);
    case '%':
      return `${fixed(number * 100, precision ?? 6)}%`;
    case 'e':
      return number.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, 'e$10$2');
    case 'g':
      return general(number, precision ?? 6);
    case 'x':
    case 'X':
    case 'o':
    case 'b':
      if (!isInteger(value)) throw new JinjaError(`%${type} format: an integer is required`);
      return inBase(number, type);
    default:
      throw new JinjaError(`format: type ${JSON.stringify(type)} is not supported`);
  }
}

function inBase(number: number, type: string): string {
  const digits = number.toString(type === 'o' ? 8 : type === 'b' ? 2 : 16);
  return type === 'X' ? digits.toUpperCase() : digits;
}

/** As C does it: a number exactly between two goes to the even one, where toFixed() goes up. */
function fixed(number: number, digits: number): string {
  const places = Math.min(digits, 60);
  const text = number.toFixed(places);
  const exact = number.toFixed(100);
  const behind = exact.slice(exact.indexOf('.') + 1 + places);
  if (!/^50*$/.test(behind)) return text;
  const lower = Math.trunc(number * 10 ** places) / 10 ** places;
  return Math.trunc(Math.abs(number) * 10 ** places) % 2 === 0 ? lower.toFixed(places) : text;
}

function general(number: number, precision: number): string {
  const text = number.toPrecision(Math.max(1, Math.min(precision, 100)));
  if (text.includes('e')) {
    const [mantissa, power] = text.split('e') as [string, string];
    const short = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
    return `${short}e${power[0]}${power.slice(1).padStart(2, '0')}`;
  }
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

function pad(
  text: string,
  { width, align, zero, fill = ' ' }: { width: number; align: string; zero: boolean; fill?: string },
): string {
  if (width > widthMax) throw new JinjaError(`a width of ${width} exceeds ${widthMax}`);
  const missing = Math.max(0, width - [...text].length);
  if (align === '<') return text + fill.repeat(missing);
  if (align === '^') return fill.repeat(missing >> 1) + text + fill.repeat(missing - (missing >> 1));
  const sign = zero && /^[+-]/.test(text) ? text[0]! : '';
  return sign + (zero ? '0' : fill).repeat(missing) + text.slice(sign.length);
}
