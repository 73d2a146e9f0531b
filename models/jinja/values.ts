// What a template computes with: Python's values, as far as templates meet them. Owns their truth, equality, order,
// iteration and printing, which are Python's, since templates are written and trained with Python's Jinja. Used by
// everything in models/jinja/ that computes.
import { JinjaError } from './jinja-error.ts';

/** A dict is a Map, a list an array; a number is an int if it is whole. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Undefined
  | Float
  | Tuple
  | View
  | Namespace
  | Callable
  | readonly Value[]
  | Dict;

export type Dict = ReadonlyMap<Value, Value>;

/** Named arguments come by name. */
export type Call = (positional: readonly Value[], named: ReadonlyMap<string, Value>) => Value;

/** Something that is not there: prints as nothing, is false, and whose members cannot be asked for. */
export class Undefined {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** A float that is whole, such as 2.0: as a bare number it would be an int. */
export class Float {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export class Tuple {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** What a dict's keys(), values() and items() give: iterable, no list. */
export class View {
  readonly kind: 'dict_keys' | 'dict_values' | 'dict_items' | 'range';
  readonly items: readonly Value[];

  constructor(kind: View['kind'], items: readonly Value[]) {
    this.kind = kind;
    this.items = items;
  }
}

/** `namespace()`, `loop` and the like: members that statements may set. */
export class Namespace {
  readonly members = new Map<string, Value>();
}

export class Callable {
  readonly call: Call;

  constructor(call: Call) {
    this.call = call;
  }
}

/** A float, whole or not. */
export function float(value: number): Value {
  return Number.isInteger(value) ? new Float(value) : value;
}

export function isFloat(value: Value): boolean {
  return value instanceof Float || (typeof value === 'number' && !isInteger(value));
}

/** Beyond 2^63 a whole JavaScript number was a float where it came from. */
export function isInteger(value: Value): value is number {
  return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 63;
}

/** Null for what is no number. True and false are 1 and 0. */
export function toNumber(value: Value): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : null;
}

/** JSON's values as a template's; undefined members are left out. */
export function fromJson(json: unknown): Value {
  if (json === null || typeof json === 'boolean' || typeof json === 'number' || typeof json === 'string') {
    return json;
  }
  if (Array.isArray(json)) return json.map(fromJson);
  if (typeof json === 'function') return new Callable(json as Call);
  if (typeof json !== 'object') return new Undefined('a value that is no JSON');
  if (json instanceof Callable || json instanceof Undefined) return json;
  const dict = new Map<Value, Value>();
  for (const [name, value] of Object.entries(json)) if (value !== undefined) dict.set(name, fromJson(value));
  return dict;
}

export function isDict(value: Value): value is Dict {
  return value instanceof Map;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function isTrue(value: Value): boolean {
  if (value instanceof Undefined || value === null) return false;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  if (isDict(value)) return value.size > 0;
  if (isList(value)) return value.length > 0;
  if (value instanceof Namespace || value instanceof Callable) return true;
  return Boolean(value);
}

/** In Python's words, for messages. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (value instanceof Undefined) return 'Undefined';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'string') return 'str';
  if (toNumber(value) !== null) return isInteger(value) ? 'int' : 'float';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof View) return value.kind;
  if (isDict(value)) return 'dict';
  return isList(value) ? 'list' : 'object';
}

/** Items in order: characters of a string, keys of a dict. Throws JinjaError. */
export function iterate(value: Value): readonly Value[] {
  if (isList(value)) return value;
  if (typeof value === 'string') return [...value];
  if (value instanceof Undefined) return [];
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (isDict(value)) return [...value.keys()];
  throw new JinjaError(`'${typeName(value)}' object is not iterable`);
}

/** Throws JinjaError for what has none. */
export function lengthOf(value: Value): number {
  if (typeof value === 'string') return hasPairs(value) ? [...value].length : value.length;
  if (isDict(value)) return value.size;
  if (isList(value) || value instanceof Undefined || value instanceof Tuple || value instanceof View) {
    return iterate(value).length;
  }
  throw new JinjaError(`object of type '${typeName(value)}' has no len()`);
}

/** Whether counting UTF-16 units is not counting characters. */
export function hasPairs(text: string): boolean {
  return /[\ud800-\udbff][\udc00-\udfff]/.test(text);
}

export function equals(a: Value, b: Value): boolean {
  if (a === b) return true;
  const [x, y] = [toNumber(a), toNumber(b)];
  if (x !== null || y !== null) return x === y;
  if (a instanceof Undefined) return b instanceof Undefined;
  if (isList(a)) return isList(b) && sameItems(a, b);
  if (a instanceof Tuple) return b instanceof Tuple && sameItems(a.items, b.items);
  if (a instanceof View) return b instanceof View && a.kind === b.kind && sameItems(a.items, b.items);
  if (!isDict(a) || !isDict(b) || a.size !== b.size) return false;
  for (const [key, value] of a) if (!b.has(key) || !equals(value, b.get(key)!)) return false;
  return true;
}

function sameItems(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, index) => equals(item, b[index]!));
}

/** Below 0 if `a` comes first. Throws JinjaError for values without an order. */
export function compareValues(a: Value, b: Value): number {
  const [x, y] = [toNumber(a), toNumber(b)];
  if (x !== null && y !== null) return x - y;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(a, b);
  const [left, right] = [itemsInOrder(a), itemsInOrder(b)];
  if (!left || !right || isList(a) !== isList(b)) {
    throw new JinjaError(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
  }
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    if (!equals(left[i]!, right[i]!)) return compareValues(left[i]!, right[i]!);
  }
  return left.length - right.length;
}

function itemsInOrder(value: Value): readonly Value[] | null {
  if (isList(value)) return value;
  return value instanceof Tuple ? value.items : null;
}

/** By code points. */
function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  if (!hasPairs(a) && !hasPairs(b)) return a < b ? -1 : 1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b)); // UTF-8 keeps their order
}

/** Throws JinjaError for what contains nothing. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === 'string') {
    if (typeof item === 'string') return container.includes(item);
    throw new JinjaError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (isDict(container)) return container.has(item);
  if (container instanceof Namespace) return false;
  return iterate(container).some((entry) => equals(entry, item));
}

/** As Python's str(). */
export function print(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return '';
  return represent(value);
}

/** As Python's repr(). */
export function represent(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return quote(value);
  if (value instanceof Undefined) return 'Undefined';
  const number = toNumber(value);
  if (number !== null) return isInteger(value) ? String(BigInt(value)) : printFloat(number);
  if (value instanceof Tuple) return tupleText(value.items.map(represent));
  if (isDict(value)) {
    return `{${[...value].map(([key, item]) => `${represent(key)}: ${represent(item)}`).join(', ')}}`;
  }
  if (value instanceof View) {
    if (value.kind === 'range') return rangeText(value.items);
    return `${value.kind}([${value.items.map(represent).join(', ')}])`;
  }
  if (isList(value)) return `[${value.map(represent).join(', ')}]`;
  throw new JinjaError('a function or namespace has no text');
}

function tupleText(items: readonly string[]): string {
  return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
}

function rangeText(items: readonly Value[]): string {
  const [first = 0, second] = items as readonly number[];
  const step = second === undefined ? 1 : second - first;
  const stop = first + step * items.length;
  return step === 1 ? `range(${first}, ${stop})` : `range(${first}, ${stop}, ${step})`;
}

export function printFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= -5 && exponent <= 16) {
    const [mantissa, power] = value.toExponential().split('e');
    const exact = Number(power);
    if (exact >= -4 && exact < 16) {
      const text = String(value).includes('e') ? value.toFixed(mantissa!.length + 4) : String(value);
      return text.includes('.') ? text : `${text}.0`;
    }
  }
  const [mantissa, power] = value.toExponential().split('e');
  const sign = power!.startsWith('-') ? '-' : '+';
  return `${mantissa}e${sign}${power!.slice(1).padStart(2, '0')}`;
}

const shortEscapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\\p{C}\p{Z}'"]/gu, (character) => {
    if (character === ' ' || character === '"') return character;
    if (character === "'") return mark === "'" ? "\\'" : "'";
    const short = shortEscapes[character];
    if (short) return short;
    const code = character.codePointAt(0)!;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
    return `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return mark + escaped + mark;
}
