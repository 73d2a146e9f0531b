// Methods of strings and dicts, Python's, as far as they change nothing: the sandbox that templates run in forbids the
// others. Used by expressions.ts.
import { Parameters } from './arguments.ts';
import { formatBraces } from './formatting.ts';
import { JinjaError } from './jinja-error.ts';
import {
  Callable,
  type Dict,
  iterate,
  lengthOf,
  print,
  Tuple,
  typeName,
  type Value,
  View,
} from './values.ts';
import { bearable } from './weight.ts';

type TextMethod = (text: string, args: readonly Value[], named: ReadonlyMap<string, Value>) => Value;

const simple =
  (compute: (text: string) => Value): TextMethod =>
  (text, args, named) => {
    new Parameters([], args, named);
    return compute(text);
  };

const textMethods: Readonly<Record<string, TextMethod>> = {
  upper: simple((text) => text.toUpperCase()),
  lower: simple((text) => text.toLowerCase()),
  casefold: simple((text) => text.toLowerCase()),
  capitalize: simple(capitalized),
  title: simple(titled),
  swapcase: simple((text) =>
    [...text]
      .map((letter) => (letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase()))
      .join(''),
  ),
  isdigit: simple((text) => /^[\p{Nd}²³¹⁰⁴-⁹]+$/u.test(text)),
  isdecimal: simple((text) => /^\p{Nd}+$/u.test(text)),
  isnumeric: simple((text) => /^\p{N}+$/u.test(text)),
  isalpha: simple((text) => /^\p{L}+$/u.test(text)),
  isalnum: simple((text) => /^[\p{L}\p{N}]+$/u.test(text)),
  isspace: simple((text) => /^\s+$/.test(text)),
  isupper: simple((text) => /\p{Lu}/u.test(text) && text === text.toUpperCase()),
  islower: simple((text) => /\p{Ll}/u.test(text) && text === text.toLowerCase()),
  strip: (text, args) => stripped(text, args, true, true),
  lstrip: (text, args) => stripped(text, args, true, false),
  rstrip: (text, args) => stripped(text, args, false, true),
  split: (text, args, named) => splitText(text, new Parameters(['sep', 'maxsplit'], args, named), false),
  rsplit: (text, args, named) => splitText(text, new Parameters(['sep', 'maxsplit'], args, named), true),
  splitlines: (text, args, named) => {
    const keeps = new Parameters(['keepends'], args, named).get('keepends', false) === true;
    const lines = (text.match(linePattern) ?? []).filter((line) => line !== '');
    return keeps ? lines : lines.map((line) => line.replace(lineEnd, ''));
  },
  startswith: (text, args) => affixes(args).some((affix) => text.startsWith(affix)),
  endswith: (text, args) => affixes(args).some((affix) => text.endsWith(affix)),
  removeprefix: (text, args) => {
    const prefix = new Parameters(['prefix'], args).text('prefix');
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, args) => {
    const suffix = new Parameters(['suffix'], args).text('suffix');
    return suffix !== '' && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  replace: (text, args, named) => {
    const given = new Parameters(['old', 'new', 'count'], args, named);
    return replaced(text, given.text('old'), given.text('new'), given.integer('count', -1));
  },
  find: (text, args) => position(text, args, false),
  rfind: (text, args) => position(text, args, true),
  index: (text, args) => found(position(text, args, false)),
  rindex: (text, args) => found(position(text, args, true)),
  count: (text, args) => {
    const part = new Parameters(['sub'], args).text('sub');
    return part === '' ? lengthOf(text) + 1 : text.split(part).length - 1;
  },
  join: (text, args) => {
    const items = iterate(new Parameters(['iterable'], args).get('iterable'));
    bearable(items.length * text.length);
    return items
      .map((item) => {
        if (typeof item === 'string') return item;
        throw new JinjaError(`sequence item: expected str instance, ${typeName(item)} found`);
      })
      .join(text);
  },
  partition: (text, args) => {
    const sep = new Parameters(['sep'], args).text('sep');
    const at = text.indexOf(sep);
    if (at < 0) return new Tuple([text, '', '']);
    return new Tuple([text.slice(0, at), sep, text.slice(at + sep.length)]);
  },
  rpartition: (text, args) => {
    const sep = new Parameters(['sep'], args).text('sep');
    const at = text.lastIndexOf(sep);
    if (at < 0) return new Tuple(['', '', text]);
    return new Tuple([text.slice(0, at), sep, text.slice(at + sep.length)]);
  },
  center: (text, args) => padded(text, args, 'both'),
  ljust: (text, args) => padded(text, args, 'right'),
  rjust: (text, args) => padded(text, args, 'left'),
  zfill: (text, args) => {
    const width = new Parameters(['width'], args).integer('width');
    const sign = /^[+-]/.exec(text)?.[0] ?? '';
    return sign + text.slice(sign.length).padStart(boundedWidth(width) - sign.length, '0');
  },
  format: (text, args, named) => formatBraces(text, args, named),
};

/** The method of this name, or null. */
export function textMethod(text: string, name: string): Value | null {
  if (!Object.hasOwn(textMethods, name)) return null;
  return new Callable((args, named) => textMethods[name]!(text, args, named));
}

/** The method of this name, or null. */
export function dictMethod(dict: Dict, name: string): Value | null {
  switch (name) {
    case 'get':
      return new Callable((args) => {
        const given = new Parameters(['key', 'default'], args);
        const key = given.get('key');
        return dict.has(key) ? dict.get(key)! : given.get('default', null);
      });
    case 'items':
      return new Callable(
        () =>
          new View(
            'dict_items',
            [...dict].map((entry) => new Tuple(entry)),
          ),
      );
    case 'keys':
      return new Callable(() => new View('dict_keys', [...dict.keys()]));
    case 'values':
      return new Callable(() => new View('dict_values', [...dict.values()]));
    case 'copy':
      return new Callable(() => dict);
    case 'update':
    case 'pop':
    case 'setdefault':
    case 'clear':
    case 'popitem':
      return forbidden(name);
    default:
      return null;
  }
}

/** The method of this name, or null. */
export function listMethod(list: readonly Value[], name: string): Value | null {
  if (name === 'copy') return new Callable(() => list);
  if (name === 'index' || name === 'count') {
    return new Callable((args) => {
      const item = print(new Parameters(['value'], args).get('value'));
      const places = list.flatMap((entry, at) => (print(entry) === item ? [at] : []));
      return name === 'count' ? places.length : found(places[0] ?? -1);
    });
  }
  const changing = ['append', 'extend', 'insert', 'pop', 'remove', 'clear', 'sort', 'reverse'];
  return changing.includes(name) ? forbidden(name) : null;
}

// What Python's str.splitlines() ends a line at.
const ends = '\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029';
const linePattern = new RegExp(`[^${ends}]*(?:\\r\\n|[${ends}]|$)`, 'g');
const lineEnd = new RegExp(`(?:\\r\\n|[${ends}])$`);

function forbidden(name: string): Value {
  return new Callable(() => {
    throw new JinjaError(`${name}() changes a value, which templates may not`);
  });
}

export function capitalized(text: string): string {
  const [first = '', ...rest] = text;
  return first.toUpperCase() + rest.join('').toLowerCase();
}

function titled(text: string): string {
  return text.toLowerCase().replace(/(?<!\p{L})\p{L}/gu, (letter) => letter.toUpperCase());
}

// What Python's str.strip() takes for white space; JavaScript's trim() takes U+FEFF too, and not U+001C to U+001F, U+0085.
const space = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const spaceAtStart = new RegExp(`^[${space}]+`);
const spaceRuns = new RegExp(`[${space}]+`);

export function stripped(text: string, args: readonly Value[], left: boolean, right: boolean): string {
  const chars = new Parameters(['chars'], args).get('chars', null);
  const within = chars === null ? null : new Set(typeof chars === 'string' ? chars : notText(chars));
  const isTaken = (unit: string) => (within ? within.has(unit) : spaceAtStart.test(unit));
  let start = 0;
  let end = text.length;
  while (left && start < end && isTaken(text[start]!)) start++;
  while (right && end > start && isTaken(text[end - 1]!)) end--;
  return text.slice(start, end);
}

function notText(value: Value): never {
  throw new JinjaError(`strip arg must be None or str, not ${typeName(value)}`);
}

function splitText(text: string, given: Parameters, fromRight: boolean): Value {
  const separator = given.get('sep', null);
  const most = given.integer('maxsplit', -1);
  const pieces =
    separator === null
      ? text.split(spaceRuns).filter((piece) => piece !== '')
      : text.split(given.text('sep'));
  if (separator === '') throw new JinjaError('empty separator');
  if (most < 0 || pieces.length <= most + 1) return pieces;
  if (separator === null) return splitWords(text, most, fromRight);
  const joint = given.text('sep');
  return fromRight
    ? [pieces.slice(0, pieces.length - most).join(joint), ...pieces.slice(pieces.length - most)]
    : [...pieces.slice(0, most), pieces.slice(most).join(joint)];
}

function splitWords(text: string, most: number, fromRight: boolean): Value {
  const words: string[] = [];
  let rest = stripped(text, [], !fromRight, fromRight);
  const next = new RegExp(
    fromRight ? `^([^]*?)[${space}]*([^${space}]+)$` : `^([^${space}]+)[${space}]*([^]*)$`,
  );
  while (words.length < most) {
    const match = next.exec(rest)!;
    words.push(match[fromRight ? 2 : 1]!);
    rest = match[fromRight ? 1 : 2]!;
  }
  return fromRight ? [rest, ...words.reverse()] : [...words, rest];
}

function affixes(args: readonly Value[]): string[] {
  const affix = new Parameters(['affix'], args).get('affix');
  const all = affix instanceof Tuple ? affix.items : [affix];
  return all.map((one) => {
    if (typeof one === 'string') return one;
    throw new JinjaError(`expected str or a tuple of str, not ${typeName(affix)}`);
  });
}

/** `count` below 0: all. */
export function replaced(text: string, from: string, to: string, count: number): string {
  let weight = text.length;
  let places = count < 0 ? text.length + 1 : count;
  for (let at = text.indexOf(from); at >= 0 && places > 0; places--) {
    weight = bearable(weight + Math.max(16, to.length - from.length)); // a match has its price
    const next = at + Math.max(1, from.length);
    at = next > text.length ? -1 : text.indexOf(from, next);
  }
  if (count < 0) return text.replaceAll(from, () => to);
  let left = count;
  return text.replaceAll(from, (match) => (left-- > 0 ? to : match));
}

function position(text: string, args: readonly Value[], last: boolean): number {
  const given = new Parameters(['sub', 'start'], args);
  const sub = given.text('sub');
  const at = last ? text.lastIndexOf(sub) : text.indexOf(sub, given.integer('start', 0));
  return at < 0 ? -1 : lengthOf(text.slice(0, at));
}

function found(at: number): number {
  if (at >= 0) return at;
  throw new JinjaError('substring not found');
}

const widthMax = 10_000; // characters to pad to

function boundedWidth(width: number): number {
  if (width <= widthMax) return width;
  throw new JinjaError(`a width of ${width} exceeds ${widthMax}`);
}

function padded(text: string, args: readonly Value[], side: 'left' | 'right' | 'both'): string {
  const given = new Parameters(['width', 'fillchar'], args);
  const fill = given.text('fillchar', ' ');
  const missing = Math.max(0, boundedWidth(given.integer('width')) - lengthOf(text));
  // Python's str.center puts the odd one left if the width is odd.
  const left =
    side === 'left'
      ? missing
      : side === 'right'
        ? 0
        : (missing >> 1) + (missing & given.integer('width') & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}
