// A value as JSON text, as Python's json.dumps writes it: separators, indentation, floats. Used by filters.ts.
import { JinjaError } from './jinja-error.ts';
import {
  type Dict,
  Float,
  isDict,
  isInteger,
  isList,
  print,
  printFloat,
  Tuple,
  toNumber,
  typeName,
  type Value,
} from './values.ts';

export interface JsonStyle {
  readonly indent: string | null; // of one level; null: on one line
  readonly separators: readonly [string, string]; // between items, after a key
  readonly ascii: boolean;
  readonly sorted: boolean;
}

/** Throws JinjaError for what is no JSON. */
export function jsonText(value: Value, style: JsonStyle, level = 0): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return stringText(value, style.ascii);
  if (typeof value === 'boolean') return String(value);
  const number = toNumber(value);
  if (number !== null) {
    if (isInteger(value)) return print(value);
    return Number.isFinite(number) ? printFloat(number) : specialNumber(number);
  }
  const items = isList(value) ? value : value instanceof Tuple ? value.items : null;
  if (items) {
    const texts = items.map((item) => jsonText(item, style, level + 1));
    return wrapped('[', texts, ']', style, level);
  }
  if (!isDict(value)) throw new JinjaError(`Object of type ${typeName(value)} is not JSON serializable`);
  const texts = entriesOf(value, style.sorted).map(
    ([key, item]) =>
      `${stringText(keyText(key), style.ascii)}${style.separators[1]}${jsonText(item, style, level + 1)}`,
  );
  return wrapped('{', texts, '}', style, level);
}

function wrapped(
  open: string,
  texts: readonly string[],
  close: string,
  { indent, separators }: JsonStyle,
  level: number,
): string {
  if (texts.length === 0) return open + close;
  if (indent === null) return open + texts.join(separators[0]) + close;
  const line = `\n${indent.repeat(level + 1)}`;
  return `${open}${line}${texts.join(separators[0] + line)}\n${indent.repeat(level)}${close}`;
}

function entriesOf(dict: Dict, sorted: boolean): [Value, Value][] {
  const entries = [...dict];
  return sorted ? entries.sort(([a], [b]) => (keyText(a) < keyText(b) ? -1 : 1)) : entries;
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null) return 'null';
  if (typeof key === 'boolean') return String(key);
  if (key instanceof Float || typeof key === 'number') return print(key);
  throw new JinjaError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function specialNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? 'Infinity' : '-Infinity';
}

function stringText(text: string, ascii: boolean): string {
  const json = JSON.stringify(text);
  if (!ascii) return json;
  return json.replace(/[\u007f-\uffff]/g, (unit) =>
    unit === '\u007f' ? unit : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
