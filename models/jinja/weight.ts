// What a template's value would take if it were written out whole. A list that holds another one twice takes next to
// nothing itself, and twice as much when it is printed or compared; sixty such lists are more than any memory. Owns the
// bound. Used by expressions.ts for all that a template makes, and by what may grow a text in one go.
import { JinjaError } from './jinja-error.ts';
import { isDict, isList, Tuple, type Value, View } from './values.ts';

const weightMax = 2 ** 25; // about bytes, of one value; no body that callers may send by default is larger
const itemWeight = 16;

const known = new WeakMap<object, number>(); // templates may not change what they have made

/** In about bytes; counted once for each list, tuple and dict. Throws JinjaError when it is more than a template may make. */
export function weightOf(value: Value): number {
  if (typeof value === 'string') return bearable(value.length);
  const parts = partsOf(value);
  if (parts === null) return 0;
  const found = known.get(parts);
  if (found !== undefined) return found;
  let weight = 0;
  for (const part of parts instanceof Map ? parts.values() : parts) {
    weight = bearable(weight + itemWeight + weightOf(part));
  }
  known.set(parts, weight);
  return weight;
}

/** The same weight. Throws JinjaError when it is more than a template may make. */
export function bearable(weight: number): number {
  if (weight > weightMax) throw new JinjaError(`makes a value of more than ${weightMax} bytes`);
  return weight;
}

function partsOf(value: Value): readonly Value[] | ReadonlyMap<Value, Value> | null {
  if (isList(value) || isDict(value)) return value;
  return value instanceof Tuple || value instanceof View ? value.items : null;
}
