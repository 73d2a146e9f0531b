// One filter of Jinja's: what it is given, and how its parameters are read. Used by filters.ts and list-filters.ts.
import { Parameters } from './arguments.ts';
import type { Value } from './values.ts';

/** What filters of lists apply to each item. */
export interface Appliers {
  readonly filter: (name: string, value: Value, positional: readonly Value[]) => Value;
  readonly test: (name: string, value: Value, positional: readonly Value[]) => boolean;
  readonly attribute: (value: Value, path: Value) => Value;
}

export type Filter = (
  value: Value,
  args: readonly Value[],
  named: ReadonlyMap<string, Value>,
  appliers: Appliers,
) => Value;

type Given = (value: Value, given: Parameters, appliers: Appliers) => Value;

/** A filter with parameters of these names. */
export const taking =
  (names: readonly string[], compute: Given): Filter =>
  (value, args, named, appliers) =>
    compute(value, new Parameters(names, args, named), appliers);
