// JSON objects and arrays as grammar expressions: where commas and white space go, and what may be left out.
// Each costs what its parts cost, however many of them are optional. Before it: json-schema.ts; after it: rules.ts.
import type { Regex, RegexTable } from './byte-regex.ts';
import type { JsonTerminals } from './json-terminals.ts';
import { choice, type Expression, repeat, rule, sequence, terminal } from './rules.ts';

export interface JsonProperty {
  readonly key: Regex; // quotes, colon and white space included
  readonly value: Expression;
}

export interface ObjectParts {
  readonly properties: readonly (JsonProperty & { readonly required: boolean })[]; // in the order of the text
  readonly extra: JsonProperty | null; // further ones, any number, after them
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

export function objectExpression({ properties, extra }: ObjectParts, words: Words): Expression {
  const { open, close, comma } = punctuation('{}', words);
  const pair = ({ key, value }: JsonProperty): Expression => sequence(terminal(key), value);
  const more = extra === null ? [] : [repeat(sequence(comma, pair(extra)), 0)];
  const optional = (item: Expression): Expression => repeat(item, 0, 1);
  const firstRequired = properties.findIndex(({ required }) => required);
  if (firstRequired >= 0) {
    // Up to the first that must be there the comma comes after a property, behind it before.
    const members = properties.map((property, i) => {
      if (i < firstRequired) return optional(sequence(pair(property), comma));
      if (i === firstRequired) return pair(property);
      const next = sequence(comma, pair(property));
      return property.required ? next : optional(next);
    });
    return sequence(open, ...members, ...more, close);
  }
  // tails[i]: any of the properties from i on, each with a comma before it.
  const starts: Expression[] = extra === null ? [] : [sequence(pair(extra), ...more)];
  let tail: Expression = sequence(...more);
  for (const property of [...properties].reverse()) {
    starts.unshift(sequence(pair(property), tail));
    const name = `tail ${words.rules.size}`;
    words.rules.set(name, sequence(optional(sequence(comma, pair(property))), tail));
    tail = rule(name);
  }
  return sequence(open, ...(starts.length === 0 ? [] : [optional(choice(...starts))]), close);
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
    inside = restMax > 0 ? repeat(sequence(comma, item), restMin, restMax) : sequence();
    for (let i = leading.length - 1; i >= 0; i--) {
      const members = sequence(...(i === 0 ? [] : [comma]), leading[i]!, inside);
      inside = isOptional(i) ? repeat(members, 0, 1) : members;
    }
  }
  return sequence(open, inside, close);
}

function punctuation(brackets: '{}' | '[]', { table, terminals }: Words) {
  return {
    open: terminal(table.concat(table.text(brackets[0]!), terminals.space)),
    close: terminal(table.concat(terminals.space, table.text(brackets[1]!))),
    comma: terminal(table.concat(table.text(','), terminals.space)),
  };
}
