// Jinja's tests: what may stand behind `is`. Used by expressions.ts.
import { filterNamed } from './filters.ts';
import { JinjaError } from './jinja-error.ts';
import {
  Callable,
  compareValues,
  contains,
  equals,
  isDict,
  isFloat,
  isInteger,
  isList,
  Namespace,
  print,
  Tuple,
  toNumber,
  Undefined,
  type Value,
  View,
} from './values.ts';

type Test = (value: Value, arg: Value) => boolean;

const isSequence = (value: Value) =>
  typeof value === 'string' ||
  isList(value) ||
  isDict(value) ||
  value instanceof Tuple ||
  value instanceof Undefined ||
  (value instanceof View && value.kind === 'range');

const integerOf = (value: Value): number => {
  const number = toNumber(value);
  if (number === null) throw new JinjaError('not all arguments converted: a number is required');
  return number;
};

const tests: Readonly<Record<string, Test>> = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) =>
    value instanceof Undefined ||
    value instanceof Callable ||
    (value instanceof Namespace && value.members.has('')),
  defined: (value) => !(value instanceof Undefined),
  divisibleby: (value, by) => integerOf(value) % integerOf(by) === 0,
  eq: equals,
  escaped: () => false,
  even: (value) => integerOf(value) % 2 === 0,
  false: (value) => value === false,
  filter: (value) => typeof value === 'string' && filterNamed(value) !== null,
  float: isFloat,
  ge: (value, than) => compareValues(value, than) >= 0,
  gt: (value, than) => compareValues(value, than) > 0,
  in: (value, container) => contains(container, value),
  integer: isInteger,
  iterable: (value) => isSequence(value) || value instanceof View,
  le: (value, than) => compareValues(value, than) <= 0,
  lower: (value) => print(value) === print(value).toLowerCase() && /\p{Ll}/u.test(print(value)),
  lt: (value, than) => compareValues(value, than) < 0,
  mapping: isDict,
  ne: (value, other) => !equals(value, other),
  none: (value) => value === null,
  number: (value) => toNumber(value) !== null,
  odd: (value) => Math.abs(integerOf(value)) % 2 === 1,
  sameas: (value, other) => value === other,
  sequence: isSequence,
  string: (value) => typeof value === 'string',
  test: (value) => typeof value === 'string' && testNamed(value) !== null,
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: (value) => print(value) === print(value).toUpperCase() && /\p{Lu}/u.test(print(value)),
};

const otherNames: Readonly<Record<string, string>> = {
  '==': 'eq',
  equalto: 'eq',
  '!=': 'ne',
  '>': 'gt',
  greaterthan: 'gt',
  '>=': 'ge',
  '<': 'lt',
  lessthan: 'lt',
  '<=': 'le',
};

/** Null when there is none of this name. */
export function testNamed(name: string): Test | null {
  const known = otherNames[name] ?? name;
  return Object.hasOwn(tests, known) ? tests[known]! : null;
}
