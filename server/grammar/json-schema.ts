// A JSON schema → grammar rules. Owns which values are allowed and in which order properties come (the schema's own);
// how a value's text looks is json-terminals.ts. Properties that are not declared are allowed only where the schema
// says so, or declares none. Before it: compiler.ts and tools/call-grammar.ts; after it: rules.ts.

import type { GrammarBounds } from './bounds.ts';
import type { Regex, RegexTable } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import { arrayExpression, type JsonProperty, type ObjectParts, objectExpression } from './json-containers.ts';
import { type JsonTerminals, oneOfTexts } from './json-terminals.ts';
import { type NumberBound, numberInRange } from './number-range.ts';
import type { Pace, Portioned } from './pace.ts';
import { compilePattern } from './pattern.ts';
import { choice, type Expression, rule, terminal } from './rules.ts';
import { mergeSchemas } from './schema-merge.ts';
import {
  type IgnoredKeyword,
  isSchemaObject,
  mayOverlap,
  measureSchema,
  type Schema,
  SchemaReader,
  typesOf,
  unsupportedKeywords,
} from './schema-reader.ts';
import { stringFormats } from './string-format.ts';

export interface SchemaContext {
  readonly table: RegexTable;
  readonly pace: Pace;
  readonly bounds: GrammarBounds;
  readonly terminals: JsonTerminals;
  readonly rules: Map<string, Expression>; // rules for `$ref`s and for free values are added here
}

export interface SchemaOptions {
  readonly strict: boolean; // what cannot be enforced is an error; else it is ignored and reported
  readonly name: string; // distinguishes the rules of several schemas in one grammar
}

export interface CompiledSchema {
  readonly value: Expression;
  readonly ignored: readonly IgnoredKeyword[]; // never any if strict
}

const anyDepthMax = 32; // nesting of values that no schema describes
const mergeDepthMax = 24; // of schemas that must hold together, one within another

/** Throws GrammarError that names keyword and path. */
export function* compileSchema(
  schema: unknown,
  context: SchemaContext,
  options: SchemaOptions,
): Portioned<CompiledSchema> {
  yield* measureSchema(schema, context);
  const reader = new SchemaReader(schema, options.strict, context.bounds);
  const value = yield* new SchemaRules(reader, context, options.name).root(schema);
  return { value, ignored: reader.ignored };
}

/** Any JSON value, or any of one kind, nested to a bounded depth. */
export function anyJson(context: SchemaContext, only: 'value' | 'object' = 'value', depth = 0): Expression {
  const name = `any ${only} ${depth}`;
  if (!context.rules.has(name)) {
    const { terminals } = context;
    context.rules.set(name, terminal(terminals.null)); // stands in while its parts are made
    const scalars = [terminals.string, terminals.number, terminals.boolean, terminals.null].map(terminal);
    const inner = depth < anyDepthMax ? anyJson(context, 'value', depth + 1) : choice(...scalars);
    const extra: JsonProperty = { key: anyKey(context), value: inner };
    const object = objectExpression({ properties: [], extra }, context);
    const array = arrayExpression(
      { prefix: [], item: inner, min: 0, max: Number.POSITIVE_INFINITY },
      context,
    );
    context.rules.set(name, only === 'object' ? object : choice(...scalars, array, object));
  }
  return rule(name);
}

/** A key with its colon. In the strict spelling, so that no declared one slips through in another. */
function anyKey({ table, terminals }: SchemaContext, but: Regex | null = null): Regex {
  const any = table.repeat(terminals.strictCharacter, 0);
  const free = but === null ? any : table.and([any, table.not(but)]);
  return table.sequence(terminals.quote, free, terminals.quote, table.text(':'), terminals.space);
}

/** A key, none of those given. */
function* freeKey(taken: readonly string[], context: SchemaContext): Portioned<Regex> {
  if (taken.length === 0) return anyKey(context);
  const inside = taken.map((name) => JSON.stringify(name).slice(1, -1));
  return anyKey(context, yield* oneOfTexts(inside, context));
}

class SchemaRules {
  readonly #reader: SchemaReader;
  readonly #context: SchemaContext;
  readonly #name: string;
  readonly #named = new Set<string>();
  readonly #todo: (readonly [rule: string, schema: unknown, pointer: string])[] = [];
  #mergeDepth = 0;

  constructor(reader: SchemaReader, context: SchemaContext, name: string) {
    this.#reader = reader;
    this.#context = context;
    this.#name = name;
  }

  /** The expression of the whole schema; those of what it refers to become rules. */
  *root(schema: unknown): Portioned<Expression> {
    const value = yield* this.#value(schema, '#');
    for (let next = this.#todo.pop(); next !== undefined; next = this.#todo.pop()) {
      const [name, target, pointer] = next;
      this.#context.rules.set(name, yield* this.#value(target, pointer));
    }
    return value;
  }

  *#value(schema: unknown, path: string): Portioned<Expression> {
    this.#reader.enter(path);
    if (this.#context.pace.due()) yield;
    if (schema === true) return anyJson(this.#context);
    if (schema === false) return terminal(this.#context.table.never);
    if (!isSchemaObject(schema))
      throw new GrammarError('invalid', 'expected an object or a boolean', { path });
    for (const keyword of unsupportedKeywords(schema)) this.#reader.cannot(path, keyword);
    const merged = yield* this.#merged(schema, path);
    if (merged !== null) return merged;
    if (schema['$ref'] !== undefined) return this.#reference(schema, path);
    if (schema['const'] !== undefined || schema['enum'] !== undefined)
      return yield* this.#constants(schema, path);
    const combined = yield* this.#combination(schema, path);
    if (combined !== null) return combined;
    const types = typesOf(schema, path);
    if (types === null) return anyJson(this.#context);
    const kinds = types.filter((type) => type !== 'integer' || !types.includes('number'));
    const typed: Expression[] = [];
    for (const kind of kinds) typed.push(yield* this.#typed(kind, schema, path));
    return choice(...typed);
  }

  *#typed(type: string, schema: Schema, path: string): Portioned<Expression> {
    const { terminals } = this.#context;
    switch (type) {
      case 'object':
        return yield* this.#object(schema, path);
      case 'array':
        return yield* this.#array(schema, path);
      case 'string':
        return terminal(this.#string(schema, path));
      case 'number':
      case 'integer':
        return terminal(this.#number(schema, { path, integer: type === 'integer' }));
      case 'boolean':
        return terminal(terminals.boolean);
      case 'null':
        return terminal(terminals.null);
      default:
        throw new GrammarError('invalid', `there is no type "${type}"`, { path, keyword: 'type' });
    }
  }

  /** Of `allOf`, and of assertions beside a `$ref`, written as one schema; null where there is no need, or no way. */
  *#merged(schema: Schema, path: string): Portioned<Expression | null> {
    const { $ref: reference, allOf = [], ...rest } = schema;
    if (!Array.isArray(allOf) || (reference === undefined && allOf.length === 0)) return null;
    const beside = this.#reader.hasAssertions(rest);
    if (!beside && (reference === undefined ? 0 : 1) + allOf.length < 2) return null;
    if (++this.#mergeDepth > mergeDepthMax) {
      throw new GrammarError('too-large', `merged deeper than ${mergeDepthMax}`, { path, keyword: 'allOf' });
    }
    const parts = [rest, ...(reference === undefined ? [] : [{ $ref: reference }]), ...allOf];
    const one = mergeSchemas(parts.flatMap((part) => this.#reader.flattened(part, path)));
    const value = one === null ? null : yield* this.#value(one, path);
    this.#mergeDepth--;
    return value;
  }

  /** What is referred to is written later: references may be deeper than the stack. */
  #reference(schema: Schema, path: string): Expression {
    this.#reader.onlyWith(schema, { path, keyword: '$ref', allowed: [] });
    const { target, pointer } = this.#reader.resolve(schema['$ref'], path);
    const name = `${this.#name}${pointer}`;
    if (!this.#named.has(pointer)) {
      this.#named.add(pointer);
      this.#todo.push([name, target, pointer]);
    }
    return rule(name);
  }

  *#constants(schema: Schema, path: string): Portioned<Expression> {
    const keyword = schema['const'] === undefined ? 'enum' : 'const';
    this.#reader.onlyWith(schema, { path, keyword, allowed: ['type', 'enum'] });
    let values: readonly unknown[] = keyword === 'const' ? [schema['const']] : (schema['enum'] as unknown[]);
    if (!Array.isArray(values)) throw new GrammarError('invalid', 'expected an array', { path, keyword });
    const { grammarTextsMax } = this.#context.bounds;
    if (values.length > grammarTextsMax) {
      const message = `more than ${grammarTextsMax} values (--grammar-texts)`;
      throw new GrammarError('too-large', message, { path, keyword });
    }
    const types = schema['type'] === undefined ? null : typesOf(schema, path);
    if (types !== null) values = values.filter((value) => types.some((type) => isOfType(value, type)));
    if (values.length === 0)
      throw new GrammarError('unsatisfiable', 'no value is allowed', { path, keyword });
    const texts = values.map((value) => JSON.stringify(value));
    return terminal(yield* oneOfTexts(texts, this.#context));
  }

  /** anyOf, oneOf, allOf; null when there is none. */
  *#combination(schema: Schema, path: string): Portioned<Expression | null> {
    const keyword = ['anyOf', 'oneOf', 'allOf'].find((name) => schema[name] !== undefined);
    if (keyword === undefined) return null;
    const parts = schema[keyword];
    if (!Array.isArray(parts) || parts.length === 0) {
      throw new GrammarError('invalid', 'expected a non-empty array', { path, keyword });
    }
    this.#reader.onlyWith(schema, { path, keyword, allowed: [] });
    if (keyword === 'allOf' && parts.length > 1) this.#reader.cannot(path, 'allOf');
    if (keyword === 'oneOf' && (yield* mayOverlap(parts, path, this.#context.pace)))
      this.#reader.cannot(path, 'oneOf');
    const chosen = keyword === 'allOf' ? parts.slice(0, 1) : parts;
    const written: Expression[] = [];
    for (const [i, part] of chosen.entries()) {
      written.push(yield* this.#value(part, `${path}/${keyword}/${i}`));
    }
    return choice(...written);
  }

  *#object(schema: Schema, path: string): Portioned<Expression> {
    const { table, terminals } = this.#context;
    const { declared, required, additional } = this.#reader.objectParts(schema, path);
    const keyOf = (name: string): Regex =>
      table.sequence(table.text(`${JSON.stringify(name)}:`), terminals.space);
    const properties: ObjectParts['properties'][number][] = [];
    for (const [name, inner, at] of declared) {
      const value = yield* this.#value(inner, at);
      properties.push({ key: keyOf(name), value, required: required.has(name) });
    }
    if (additional === false) return objectExpression({ properties, extra: null }, this.#context);
    const names = declared.map(([name]) => name);
    const extra = {
      key: yield* freeKey(names, this.#context),
      value: yield* this.#value(additional, `${path}/additionalProperties`),
    };
    return objectExpression({ properties, extra }, this.#context);
  }

  *#array(schema: Schema, path: string): Portioned<Expression> {
    const { prefixItems = [], items = true } = schema;
    if (!Array.isArray(prefixItems)) {
      throw new GrammarError('invalid', 'expected an array', { path, keyword: 'prefixItems' });
    }
    if (Array.isArray(items))
      throw new GrammarError('unsupported', 'use prefixItems', { path, keyword: 'items' });
    const prefix: Expression[] = [];
    for (const [i, item] of prefixItems.entries()) {
      prefix.push(yield* this.#value(item, `${path}/prefixItems/${i}`));
    }
    const min = this.#reader.count(schema, { path, keyword: 'minItems' }) ?? 0;
    const max = this.#reader.count(schema, { path, keyword: 'maxItems' }) ?? Number.POSITIVE_INFINITY;
    const item = yield* this.#value(items, `${path}/items`);
    return arrayExpression({ prefix, item, min, max }, this.#context);
  }

  #string(schema: Schema, path: string): Regex {
    const { table, terminals, bounds } = this.#context;
    const min = this.#reader.count(schema, { path, keyword: 'minLength' }) ?? 0;
    const max = this.#reader.count(schema, { path, keyword: 'maxLength' }) ?? Number.POSITIVE_INFINITY;
    if (min > max) return table.never;
    const parts: Regex[] = [];
    const { pattern, format } = schema;
    if (pattern !== undefined) {
      if (typeof pattern !== 'string') {
        throw new GrammarError('invalid', 'expected a string', { path, keyword: 'pattern' });
      }
      const at = `${path}/pattern`;
      const regex = this.#reader.attempt({ path, keyword: 'pattern' }, () =>
        compilePattern(pattern, { table, form: 'json', path: at, search: true, bounds }),
      );
      if (regex !== null) parts.push(regex);
    }
    if (format !== undefined) {
      const source = stringFormats.get(format as string);
      if (source === undefined) this.#reader.note(path, 'format');
      else
        parts.push(
          compilePattern(source, { table, form: 'json', path: `${path}/format`, search: false, bounds }),
        );
    }
    const isBounded = min > 0 || Number.isFinite(max);
    const character = parts.length === 0 ? terminals.character : terminals.strictCharacter;
    if (isBounded || parts.length === 0) parts.push(table.repeat(character, min, max));
    return table.sequence(terminals.quote, table.and(parts), terminals.quote);
  }

  #number(schema: Schema, { path, integer }: { path: string; integer: boolean }): Regex {
    const { table, terminals } = this.#context;
    const min = this.#bound(schema, { path, inclusive: 'minimum', exclusive: 'exclusiveMinimum' });
    const max = this.#bound(schema, { path, inclusive: 'maximum', exclusive: 'exclusiveMaximum' });
    const multipleOf = this.#reader.number(schema, { path, keyword: 'multipleOf' });
    if (multipleOf !== null && multipleOf <= 0) {
      throw new GrammarError('invalid', 'must be above 0', { path, keyword: 'multipleOf' });
    }
    if (min === null && max === null && multipleOf === null)
      return integer ? terminals.integer : terminals.number;
    return numberInRange({ integer, min, max, multipleOf }, { table, path });
  }

  #bound(schema: Schema, names: { path: string; inclusive: string; exclusive: string }): NumberBound | null {
    const { path, inclusive, exclusive } = names;
    const value = this.#reader.number(schema, { path, keyword: inclusive });
    const open = this.#reader.number(schema, { path, keyword: exclusive });
    if (open === null) return value === null ? null : { value, exclusive: false };
    if (value === null) return { value: open, exclusive: true };
    // Both hold: the tighter one counts.
    const isTighter = exclusive === 'exclusiveMinimum' ? open >= value : open <= value;
    return isTighter ? { value: open, exclusive: true } : { value, exclusive: false };
  }
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isSchemaObject(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}
