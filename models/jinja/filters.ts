// Jinja's filters on texts, numbers and values as a whole. Owns their meanings, which are Python's. list-filters.ts has
// those on lists. Used by expressions.ts.
import type { Parameters } from './arguments.ts';
import { type Filter, taking } from './filter.ts';
import { percentFormatted } from './formatting.ts';
import { JinjaError } from './jinja-error.ts';
import { jsonText } from './json-text.ts';
import { listFilters } from './list-filters.ts';
import { capitalized, replaced, stripped } from './methods.ts';
import {
  float,
  hasPairs,
  isDict,
  isInteger,
  isTrue,
  iterate,
  lengthOf,
  print,
  Tuple,
  toNumber,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { bearable } from './weight.ts';

const indentMax = 1000; // spaces of one level

const filters: Readonly<Record<string, Filter>> = {
  ...listFilters,
  abs: taking([], (value) => mapNumber(value, Math.abs)),
  capitalize: taking([], (value) => capitalized(print(value))),
  center: taking(['width'], (value, given) => {
    const text = print(value);
    const missing = Math.max(0, Math.min(given.integer('width', 80), indentMax) - lengthOf(text));
    return `${' '.repeat((missing >> 1) + (missing & given.integer('width', 80) & 1))}${text}`.padEnd(
      text.length + missing,
    );
  }),
  default: taking(['default_value', 'boolean'], (value, given) => {
    const isMissing = value instanceof Undefined || (isTrue(given.get('boolean', false)) && !isTrue(value));
    return isMissing ? given.get('default_value', '') : value;
  }),
  escape: taking([], (value) => escaped(print(value))),
  float: taking(['default'], (value, given) => {
    const number = typeof value === 'string' ? readFloat(value) : toNumber(value);
    return number === null ? given.get('default', float(0)) : float(number);
  }),
  format: (value, args, named) =>
    percentFormatted(print(value), named.size > 0 ? new Map(named) : new Tuple(args)),
  indent: taking(['width', 'first', 'blank'], (value, given) => {
    const width = given.get('width', 4);
    const margin =
      typeof width === 'string' ? width : ' '.repeat(Math.min(given.integer('width', 4), indentMax));
    const [first = '', ...rest] = `${print(value)}\n`.split('\n').slice(0, -1);
    bearable(rest.length * margin.length);
    const isBlank = isTrue(given.get('blank', false));
    const lines = rest.map((line) => (line !== '' || isBlank ? margin + line : line));
    return [isTrue(given.get('first', false)) ? margin + first : first, ...lines].join('\n');
  }),
  int: taking(['default', 'base'], (value, given) => readInteger(value, given)),
  items: taking([], (value) => {
    if (value instanceof Undefined) return [];
    if (isDict(value)) return [...value].map((entry) => new Tuple(entry));
    throw new JinjaError(`Can only get item pairs from a mapping, not ${typeName(value)}`);
  }),
  length: taking([], lengthOf),
  lower: taking([], (value) => print(value).toLowerCase()),
  replace: taking(['old', 'new', 'count'], (value, given) => {
    const [from, to] = [print(given.get('old')), print(given.get('new'))];
    return replaced(print(value), from, to, given.get('count', null) === null ? -1 : given.integer('count'));
  }),
  round: taking(['precision', 'method'], (value, given) =>
    rounded(value, given.integer('precision', 0), given.text('method', 'common')),
  ),
  safe: taking([], (value) => value),
  string: taking([], print),
  title: taking([], (value) =>
    print(value).replace(/[^-\s({[<]+/g, (word) => {
      const [first = '', ...rest] = word;
      return first.toUpperCase() + rest.join('').toLowerCase();
    }),
  ),
  tojson: taking(['ensure_ascii', 'indent', 'separators', 'sort_keys'], toJson),
  trim: taking(['chars'], (value, given) => {
    const chars = given.get('chars', null);
    return stripped(print(value), chars === null ? [] : [chars], true, true);
  }),
  truncate: taking(['length', 'killwords', 'end', 'leeway'], truncated),
  upper: taking([], (value) => print(value).toUpperCase()),
  urlencode: taking([], (value) =>
    encodeURIComponent(print(value))
      .replaceAll('%2F', '/')
      .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`),
  ),
  wordcount: taking([], (value) => print(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
};

const otherNames: Readonly<Record<string, string>> = {
  count: 'length',
  d: 'default',
  e: 'escape',
  forceescape: 'escape',
};

/** Null when Jinja has no such filter, or none that chat templates use. */
export function filterNamed(name: string): Filter | null {
  const known = otherNames[name] ?? name;
  return Object.hasOwn(filters, known) ? filters[known]! : null;
}

function toJson(value: Value, given: Parameters): Value {
  const indent = given.get('indent', null);
  const unit =
    indent === null
      ? null
      : typeof indent === 'string'
        ? indent
        : ' '.repeat(Math.min(given.integer('indent'), indentMax));
  const separators = given.get('separators', null);
  const [item, key] =
    separators === null ? [unit === null ? ', ' : ',', ': '] : iterate(separators).map(print);
  return jsonText(value, {
    indent: unit,
    separators: [item!, key!],
    ascii: isTrue(given.get('ensure_ascii', false)),
    sorted: isTrue(given.get('sort_keys', false)),
  });
}

function mapNumber(value: Value, compute: (number: number) => number): Value {
  const number = toNumber(value);
  if (number === null) throw new JinjaError(`a number is required, not ${typeName(value)}`);
  return isInteger(value) || typeof value === 'boolean' ? compute(number) : float(compute(number));
}

function rounded(value: Value, precision: number, method: string): Value {
  const number = toNumber(value);
  if (number === null) throw new JinjaError(`a number is required, not ${typeName(value)}`);
  const scale = 10 ** precision;
  const scaled = number * scale;
  if (method === 'ceil') return float(Math.ceil(scaled) / scale);
  if (method === 'floor') return float(Math.floor(scaled) / scale);
  if (method !== 'common') throw new JinjaError('method must be common, ceil or floor');
  const isTie = Math.abs(scaled % 1) === 0.5;
  const near = isTie ? 2 * Math.round(scaled / 2) : Math.round(scaled); // half to even, as Python's round()
  const result = near / scale;
  return isInteger(value) ? result : float(result);
}

function readFloat(text: string): number | null {
  const trimmed = text.trim();
  return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(trimmed) ? Number(trimmed) : null;
}

function readInteger(value: Value, given: Parameters): Value {
  if (typeof value === 'string') {
    const trimmed = value.trim().replaceAll('_', '');
    const base = given.integer('base', 10);
    if (base === 10 && /^[+-]?\d+$/.test(trimmed)) return Number(trimmed);
    if (base === 16 && /^[+-]?(0[xX])?[\da-fA-F]+$/.test(trimmed)) return Number.parseInt(trimmed, 16);
    const number = readFloat(trimmed);
    return number === null ? given.get('default', 0) : Math.trunc(number);
  }
  const number = toNumber(value);
  return number === null || !Number.isFinite(number) ? given.get('default', 0) : Math.trunc(number) + 0;
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    "'": '&#39;',
    '"': '&#34;',
  };
  return text.replace(/[&<>'"]/g, (sign) => entities[sign]!);
}

function truncated(value: Value, given: Parameters): Value {
  const text = print(value);
  const characters = hasPairs(text) ? [...text] : text.split('');
  const length = given.integer('length', 255);
  const end = given.text('end', '...');
  if (characters.length <= length + (given.get('leeway', null) === null ? 5 : given.integer('leeway')))
    return text;
  const cut = characters.slice(0, length - end.length).join('');
  if (isTrue(given.get('killwords', false))) return cut + end;
  const at = cut.lastIndexOf(' ');
  return (at < 0 ? cut : cut.slice(0, at)) + end;
}
