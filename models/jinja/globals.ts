// The functions that a template finds without being given them: Jinja's, and transformers' raise_exception and
// strftime_now. Owns the bound of a range. Used by template.ts.
import { Parameters } from './arguments.ts';
import { JinjaError } from './jinja-error.ts';
import { strftime } from './strftime.ts';
import { Callable, iterate, Namespace, Tuple, type Value, View } from './values.ts';

const rangeMax = 100_000; // numbers; source: MAX_RANGE of Jinja's sandbox

/** `now` gives the time that strftime_now prints; without it the function is not there. */
export function globals(now: (() => Date) | null): Map<string, Value> {
  const found = new Map<string, Value>([
    ['range', new Callable((args) => range(args))],
    ['dict', new Callable((args, named) => new Map<Value, Value>([...pairsOf(args[0]), ...named]))],
    ['namespace', new Callable((args, named) => namespace(args, named))],
    ['cycler', new Callable((args) => cycler(args))],
    ['joiner', new Callable((args) => joiner(args))],
    [
      'raise_exception',
      new Callable((args) => {
        throw new JinjaError(new Parameters(['message'], args).text('message'));
      }),
    ],
  ]);
  if (now) {
    found.set(
      'strftime_now',
      new Callable((args) => strftime(now(), new Parameters(['format'], args).text('format'))),
    );
  }
  return found;
}

function range(args: readonly Value[]): Value {
  const given = new Parameters(['first', 'second', 'third'], args);
  const [start, stop] = given.has('second')
    ? [given.integer('first'), given.integer('second')]
    : [0, given.integer('first')];
  const step = given.integer('third', 1);
  if (step === 0) throw new JinjaError('range() arg 3 must not be zero');
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (count > rangeMax)
    throw new JinjaError(`Range too big. The sandbox blocks ranges larger than ${rangeMax}.`);
  return new View(
    'range',
    Array.from({ length: count }, (_, index) => start + index * step),
  );
}

function pairsOf(value: Value | undefined): [Value, Value][] {
  if (value === undefined) return [];
  if (value instanceof Map) return [...value];
  return iterate(value).map((pair) => {
    const [key = null, item = null] = iterate(pair);
    return [key, item];
  });
}

function namespace(args: readonly Value[], named: ReadonlyMap<string, Value>): Value {
  const made = new Namespace();
  for (const [name, value] of pairsOf(args[0])) made.members.set(String(name), value);
  for (const [name, value] of named) made.members.set(name, value);
  return made;
}

function cycler(items: readonly Value[]): Value {
  if (items.length === 0) throw new JinjaError('at least one item has to be provided');
  const made = new Namespace();
  let at = 0;
  const show = () => made.members.set('current', items[at]!);
  show();
  made.members.set(
    'next',
    new Callable(() => {
      const current = items[at]!;
      at = (at + 1) % items.length;
      show();
      return current;
    }),
  );
  made.members.set(
    'reset',
    new Callable(() => {
      at = 0;
      show();
      return null;
    }),
  );
  return made;
}

function joiner(args: readonly Value[]): Value {
  const separator = new Parameters(['sep'], args).text('sep', ', ');
  let used = false;
  return new Callable(() => {
    const text = used ? separator : '';
    used = true;
    return text;
  });
}

/** Items of a tuple or list for a target of several names. */
export function unpackValues(value: Value, count: number): readonly Value[] {
  const items = value instanceof Tuple ? value.items : iterate(value);
  if (items.length === count) return items;
  throw new JinjaError(`expected ${count} values to unpackValues, found ${items.length}`);
}
