// JSON objects and arrays as grammar expressions: where commas and white space go, and what may be left out.
// Each costs what its parts cost, however many of them are optional. Before it: json-schema.ts; after it: rules.ts.
import type { Regex, RegexTable } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import type { JsonTerminals } from './json-terminals.ts';
import { choice, type Expression, objectStart, repeat, rule, sequence, terminal } from './rules.ts';

export interface JsonProperty {
  readonly key: Regex; // quotes, colon and white space included
  readonly value: Expression;
}

export interface ObjectParts {
  readonly properties: readonly (JsonProperty & { readonly required: boolean })[]; // in the order of the text
  readonly extras: readonly JsonProperty[]; // further ones of any of these kinds, any number, after them
  readonly min?: number; // properties of all together; absent: any number
  readonly max?: number;
}

export interface ArrayParts {
  readonly prefix: readonly Expression[];
  readonly item: Expression; // after the prefix
  readonly min: number;
  readonly max: number; // inclusive, or infinite
}

interface Words {
  readonly table: RegexTable;
  readonly terminals: JsonTerminals;
  readonly rules: Map<string, Expression>;
}

export function objectExpression(parts: ObjectParts, words: Words): Expression {
  const { properties, extras, min = 0, max = Number.POSITIVE_INFINITY } = parts;
  const requiredCount = properties.filter(({ required }) => required).length;
  const pair = ({ key, value }: JsonProperty): Expression => sequence(terminal(key), value);
  const further = extras.length === 0 ? null : choice(...extras.map(pair));
  const isOpen =
    min <= requiredCount && (further === null ? properties.length <= max : max === Number.POSITIVE_INFINITY);
  const members = properties.map(({ required, ...property }) => ({ item: pair(property), required }));
  if (!isOpen) return countedList({ members, further, min, max, brackets: '{}' }, words);
  const { open, close, comma } = punctuation('{}', words);
  const more = further === null ? [] : [repeat(sequence(comma, further), 0)];
  const optional = (item: Expression): Expression => repeat(item, 0, 1);
  const firstRequired = members.findIndex(({ required }) => required);
  if (firstRequired >= 0) {
    // Up to the first that must be there the comma comes after a property, behind it before.
    const written = members.map(({ item, required }, i) => {
      if (i < firstRequired) return optional(sequence(item, comma));
      if (i === firstRequired) return item;
      const next = sequence(comma, item);
      return required ? next : optional(next);
    });
    return sequence(open, ...written, ...more, close);
  }
  // tails[i]: any of the properties from i on, each with a comma before it.
  const starts: Expression[] = further === null ? [] : [sequence(further, ...more)];
  let tail: Expression = sequence(...more);
  for (const { item } of [...members].reverse()) {
    starts.unshift(sequence(item, tail));
    const name = `tail ${words.rules.size}`;
    words.rules.set(name, sequence(optional(sequence(comma, item)), tail));
    tail = rule(name);
  }
  return sequence(open, ...(starts.length === 0 ? [] : [optional(choice(...starts))]), close);
}

const countedMax = 20_000; // places of a list times the numbers that may stand before them

interface CountedList {
  readonly members: readonly { readonly item: Expression; readonly required: boolean }[]; // each once, in this order
  readonly further: Expression | null; // any number, after them
  readonly min: number; // of all together
  readonly max: number;
  readonly brackets: '{}' | '[]';
}

/** A list whose length is asked for: a rule for each place and for each number of members before it. */
function countedList({ members, further, min, max, brackets }: CountedList, words: Words): Expression {
  const { open, close, comma } = punctuation(brackets, words);
  const cap = Number.isFinite(max) ? max : Math.max(1, min);
  if ((members.length + 1) * (Math.min(cap, members.length) + 1) > countedMax) {
    throw new GrammarError('too-large', `${members.length} members that are counted`, { path: '#' });
  }
  const never = terminal(words.table.never);
  const prefix = `counted ${words.rules.size} `;
  const after = (count: number, item: Expression): Expression => (count === 0 ? item : sequence(comma, item));
  const tail = (count: number): Expression => {
    const left = max - count;
    if (further === null || left < 1) return count >= min ? sequence() : never;
    if (left < min - count) return never;
    const least = Math.max(0, min - count - 1); // beside the first of them
    const some = after(count, sequence(further, repeat(sequence(comma, further), least, left - 1)));
    return count >= min ? repeat(some, 0, 1) : some;
  };
  const place = (index: number, count: number): Expression => {
    const member = members[index];
    if (member === undefined) return tail(count);
    const name = `${prefix}${index} ${count}`;
    if (words.rules.has(name)) return rule(name);
    words.rules.set(name, never); // stands in while what follows is made
    const ways: Expression[] = [];
    if (count < max)
      ways.push(
        sequence(
          after(count, member.item),
          place(index + 1, Number.isFinite(max) ? count + 1 : Math.min(count + 1, cap)),
        ),
      );
    if (!member.required) ways.push(place(index + 1, count));
    words.rules.set(name, ways.length === 0 ? never : choice(...ways));
    return rule(name);
  };
  return sequence(open, place(0, 0), close);
}

/** Different items of a list, in its order. */
export function distinctExpression(
  { items, min, max }: { readonly items: readonly Expression[]; readonly min: number; readonly max: number },
  words: Words,
): Expression {
  const members = items.map((item) => ({ item, required: false }));
  return countedList({ members, further: null, min, max, brackets: '[]' }, words);
}

/** At least `count` ≥ 1 items of a kind, wherever they stand. */
export function containingExpression(
  {
    item,
    contained,
    count,
  }: { readonly item: Expression; readonly contained: Expression; readonly count: number },
  words: Words,
): Expression {
  const { open, close, comma } = punctuation('[]', words);
  const others = repeat(sequence(comma, item), 0);
  const next = sequence(others, comma, contained);
  return sequence(
    open,
    repeat(sequence(item, comma), 0),
    contained,
    repeat(next, count - 1, count - 1),
    others,
    close,
  );
}

/** `count` ≥ 1 items of a kind, then others; `min` and `max` are of all together. */
export function leadingExpression(
  {
    leading,
    count,
    item,
    min,
    max,
  }: Omit<ArrayParts, 'prefix'> & { readonly leading: Expression; readonly count: number },
  words: Words,
): Expression {
  if (Math.max(min, count) > max) return terminal(words.table.never);
  const { open, close, comma } = punctuation('[]', words);
  const more = repeat(sequence(comma, leading), count - 1, count - 1);
  const others = repeat(sequence(comma, item), Math.max(0, min - count), max - count);
  return sequence(open, leading, more, others, close);
}

export function arrayExpression({ prefix, item, min, max }: ArrayParts, words: Words): Expression {
  const { open, close, comma } = punctuation('[]', words);
  if (min > max) return terminal(words.table.never);
  const leading = prefix.slice(0, Math.min(prefix.length, max));
  const isOptional = (index: number): boolean => index >= min;
  const restMin = Math.max(0, min - leading.length);
  const restMax = max - leading.length;
  let inside: Expression;
  if (leading.length === 0) {
    const items = sequence(item, repeat(sequence(comma, item), Math.max(0, min - 1), max - 1));
    inside = max === 0 ? sequence() : isOptional(0) ? repeat(items, 0, 1) : items;
  } else {
    // From behind. What may be left out is a rule each time: a list may be longer than the stack is deep.
    let after: Expression[] = restMax > 0 ? [repeat(sequence(comma, item), restMin, restMax)] : [];
    for (let i = leading.length - 1; i >= 0; i--) {
      after.push(leading[i]!);
      if (i > 0) after.push(comma);
      if (!isOptional(i)) continue;
      const name = `item ${words.rules.size}`;
      words.rules.set(name, repeat(sequence(...after.toReversed()), 0, 1));
      after = [rule(name)];
    }
    inside = sequence(...after.toReversed());
  }
  return sequence(open, inside, close);
}

function punctuation(brackets: '{}' | '[]', { table, terminals }: Words) {
  return {
    open: (brackets === '{}' ? objectStart : terminal)(
      table.concat(table.text(brackets[0]!), terminals.space),
    ),
    close: terminal(table.concat(terminals.space, table.text(brackets[1]!))),
    comma: terminal(table.concat(table.text(','), terminals.space)),
  };
}
