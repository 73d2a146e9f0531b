// Jinja's filters on lists and dicts: choosing, sorting, grouping, joining. What Python gives as a generator is a list
// here. Used by filters.ts.
import type { Parameters } from './arguments.ts';
import { type Appliers, type Filter, taking } from './filter.ts';
import { JinjaError } from './jinja-error.ts';
import {
  compareValues,
  equals,
  float,
  isDict,
  isFloat,
  isList,
  isTrue,
  iterate,
  print,
  Tuple,
  toNumber,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { bearable } from './weight.ts';

const comparedMax = 10_000; // items that are compared with, or copied for, each item of a list

export const listFilters: Readonly<Record<string, Filter>> = {
  batch: taking(['linecount', 'fill_with'], (value, given) => {
    const [size, fill] = [given.integer('linecount'), given.get('fill_with', null)];
    const items = iterate(value);
    const rows: Value[] = [];
    if (fill !== null) bearable(size);
    for (let at = 0; at < items.length; at += Math.max(1, size)) {
      const row = items.slice(at, at + Math.max(1, size));
      rows.push(fill === null ? row : [...row, ...new Array<Value>(size - row.length).fill(fill)]);
    }
    return rows;
  }),
  dictsort: taking(['case_sensitive', 'by', 'reverse'], (value, given) => {
    if (!isDict(value)) throw new JinjaError(`a dict is required, not ${typeName(value)}`);
    const part = given.text('by', 'key') === 'value' ? 1 : 0;
    const entries = [...value].map((entry) => new Tuple(entry));
    const key = keyOf(given, (entry) => (entry as Tuple).items[part]!);
    return sorted(entries, key, isTrue(given.get('reverse', false)));
  }),
  first: taking([], (value) => iterate(value)[0] ?? new Undefined('No first item, sequence was empty.')),
  groupby: taking(['attribute', 'default', 'case_sensitive'], (value, given, { attribute }) => {
    const groups: { key: Value; items: Value[] }[] = [];
    const key = keyOf(given, (item) => attribute(item, given.get('attribute')));
    for (const item of sorted(iterate(value), key, false)) {
      const last = groups.at(-1);
      if (last && equals(key(last.items[0]!), key(item))) last.items.push(item);
      else groups.push({ key: attribute(item, given.get('attribute')), items: [item] });
    }
    return groups.map((group) => new Tuple([group.key, group.items]));
  }),
  join: taking(['d', 'attribute'], (value, given, { attribute }) => {
    const path = given.get('attribute', null);
    const items = iterate(value).map((item) => (path === null ? item : attribute(item, path)));
    const between = print(given.get('d', ''));
    bearable(items.length * between.length);
    return items.map(print).join(between);
  }),
  last: taking([], (value) => iterate(value).at(-1) ?? new Undefined('No last item, sequence was empty.')),
  list: taking([], (value) => [...iterate(value)]),
  map: (value, args, named, { filter, attribute }) => {
    const items = iterate(value);
    const path = named.get('attribute');
    if (path !== undefined) {
      return items.map((item) => {
        const found = attribute(item, path);
        return found instanceof Undefined ? (named.get('default') ?? found) : found;
      });
    }
    const [name, ...rest] = args;
    if (typeof name !== 'string') throw new JinjaError('map requires a filter argument');
    return items.map((item) => filter(name, item, rest));
  },
  max: taking(['case_sensitive', 'attribute'], (value, given, appliers) =>
    extreme(value, given, appliers, 1),
  ),
  min: taking(['case_sensitive', 'attribute'], (value, given, appliers) =>
    extreme(value, given, appliers, -1),
  ),
  reject: (value, args, _named, { test }) => iterate(value).filter((item) => !passes(item, args, test)),
  rejectattr: (value, args, _named, appliers) => byAttribute(value, args, appliers, false),
  reverse: taking([], (value) => {
    const reversed = [...iterate(value)].reverse();
    return typeof value === 'string' ? reversed.join('') : reversed;
  }),
  select: (value, args, _named, { test }) => iterate(value).filter((item) => passes(item, args, test)),
  selectattr: (value, args, _named, appliers) => byAttribute(value, args, appliers, true),
  slice: taking(['slices', 'fill_with'], (value, given) => {
    const items = iterate(value);
    const count = Math.max(1, given.integer('slices'));
    const fill = given.get('fill_with', null);
    const [size, longer] = [Math.floor(items.length / count), items.length % count];
    let at = 0;
    return Array.from({ length: Math.min(count, 10_000) }, (_, index) => {
      const row = items.slice(at, at + size + (index < longer ? 1 : 0));
      at += row.length;
      return fill !== null && index >= longer ? [...row, fill] : row;
    });
  }),
  sort: taking(['reverse', 'case_sensitive', 'attribute'], (value, given, { attribute }) => {
    const path = given.get('attribute', null);
    const key = keyOf(given, (item) => (path === null ? item : attribute(item, path)));
    return sorted(iterate(value), key, isTrue(given.get('reverse', false)));
  }),
  sum: taking(['attribute', 'start'], (value, given, { attribute }) => {
    const path = given.get('attribute', null);
    let sum = given.get('start', 0);
    for (const item of iterate(value)) sum = added(sum, path === null ? item : attribute(item, path));
    return sum;
  }),
  unique: taking(['case_sensitive', 'attribute'], (value, given, { attribute }) => {
    const path = given.get('attribute', null);
    const key = keyOf(given, (item) => (path === null ? item : attribute(item, path)));
    const texts = new Set<string>();
    const others: Value[] = [];
    return iterate(value).filter((item) => {
      const own = key(item);
      if (typeof own === 'string') return texts.size < texts.add(own).size;
      if (others.some((other) => equals(other, own))) return false;
      if (others.push(own) > comparedMax)
        throw new JinjaError(`unique compares more than ${comparedMax} items`);
      return true;
    });
  }),
};

/** Texts are compared without their case unless it is asked for. */
function keyOf(given: Parameters, key: (item: Value) => Value): (item: Value) => Value {
  const isSensitive = isTrue(given.get('case_sensitive', false));
  return (item) => {
    const value = key(item);
    return typeof value === 'string' && !isSensitive ? value.toLowerCase() : value;
  };
}

function sorted(items: readonly Value[], key: (item: Value) => Value, reverse: boolean): Value[] {
  return [...items].sort((a, b) => (reverse ? compareValues(key(b), key(a)) : compareValues(key(a), key(b))));
}

function extreme(value: Value, given: Parameters, { attribute }: Appliers, sign: 1 | -1): Value {
  const path = given.get('attribute', null);
  const key = keyOf(given, (item) => (path === null ? item : attribute(item, path)));
  const [first, ...rest] = iterate(value);
  if (first === undefined) return new Undefined('No aggregated item, sequence was empty.');
  return rest.reduce((best, item) => (sign * compareValues(key(item), key(best)) > 0 ? item : best), first);
}

function passes(item: Value, args: readonly Value[], test: Appliers['test']): boolean {
  const [name, ...rest] = args;
  if (name === undefined) return isTrue(item);
  return test(print(name), item, rest);
}

function byAttribute(value: Value, args: readonly Value[], appliers: Appliers, wanted: boolean): Value {
  const [path, ...rest] = args;
  if (path === undefined) throw new JinjaError('missing the name of an attribute');
  return iterate(value).filter(
    (item) => passes(appliers.attribute(item, path), rest, appliers.test) === wanted,
  );
}

function added(a: Value, b: Value): Value {
  if (isList(a) && isList(b)) {
    if (a.length > comparedMax) throw new JinjaError(`sum joins more than ${comparedMax} items`);
    return [...a, ...b];
  }
  const [x, y] = [toNumber(a), toNumber(b)];
  if (x === null || y === null) throw new JinjaError(`cannot add ${typeName(a)} and ${typeName(b)}`);
  return isFloat(a) || isFloat(b) ? float(x + y) : x + y;
}
