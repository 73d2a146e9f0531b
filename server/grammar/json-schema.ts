// A JSON schema → grammar rules. Owns which values are allowed and in which order properties come (the schema's own);
// how a value's text looks is json-terminals.ts. Properties that are not declared are allowed only where the schema
// says so, or declares none. Before it: compiler.ts and tools/call-grammar.ts; after it: rules.ts.

import { isDeepStrictEqual } from 'node:util';
import type { Regex } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import { arrayExpression, type JsonProperty, objectExpression } from './json-containers.ts';
import { oneOfTexts } from './json-terminals.ts';
import type { Portioned } from './pace.ts';
import { choice, type Expression, rule, terminal } from './rules.ts';
import { anyKey, arrayValue, type ContainerParts, objectValue } from './schema-containers.ts';
import type { SchemaContext } from './schema-context.ts';
import {
  askedOf,
  asksMoreThan,
  isAssertion,
  isOfType,
  isSchemaObject,
  type Schema,
  typesOf,
  unsupportedKeywords,
} from './schema-keywords.ts';
import { mergeSchemas } from './schema-merge.ts';
import { type NegateOptions, negated } from './schema-negate.ts';
import { mayOverlap } from './schema-overlap.ts';
import { type IgnoredKeyword, measureSchema, SchemaReader } from './schema-reader.ts';
import { rewritten, withoutCulprit } from './schema-rewrite.ts';
import { matches, numberText, stringBody } from './schema-scalars.ts';

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
  const reader = new SchemaReader(schema, options.strict, context);
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
    const object = objectExpression({ properties: [], extras: [extra] }, context);
    const array = arrayExpression(
      { prefix: [], item: inner, min: 0, max: Number.POSITIVE_INFINITY },
      context,
    );
    context.rules.set(name, only === 'object' ? object : choice(...scalars, array, object));
  }
  return rule(name);
}

class SchemaRules {
  readonly #reader: SchemaReader;
  readonly #context: SchemaContext;
  readonly #name: string;
  readonly #named = new Set<string>();
  readonly #todo: (readonly [rule: string, schema: unknown, pointer: string])[] = [];
  readonly #parts: ContainerParts;
  readonly #negation: NegateOptions;
  #mergeDepth = 0;

  constructor(reader: SchemaReader, context: SchemaContext, name: string) {
    this.#reader = reader;
    this.#context = context;
    this.#name = name;
    this.#parts = { reader, context, value: (schema, path) => this.#value(schema, path) };
    this.#negation = {
      resolve: (reference) => reader.resolve(reference, '#').target,
      pace: context.pace,
    };
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
    return yield* this.#plain(yield* this.#rewritten(askedOf(schema), path), path);
  }

  /** Without conditions and older names. */
  *#rewritten(given: Schema, path: string): Portioned<Schema> {
    for (const keyword of unsupportedKeywords(given)) this.#reader.cannot(path, keyword);
    let schema = given;
    for (;;) {
      const plain = yield* rewritten(schema, this.#negation);
      if ('schema' in plain) return plain.schema;
      this.#reader.cannot(path, plain.culprit);
      schema = withoutCulprit(schema, plain.culprit);
    }
  }

  *#plain(schema: Schema, path: string): Portioned<Expression> {
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
        return yield* objectValue(schema, path, this.#parts);
      case 'array':
        return yield* arrayValue(schema, path, this.#parts);
      case 'string':
        return terminal(yield* this.#string(schema, path));
      case 'number':
      case 'integer':
        return terminal(numberText(schema, { path, integer: type === 'integer' }, this.#parts));
      case 'boolean':
        return terminal(terminals.boolean);
      case 'null':
        return terminal(terminals.null);
      default:
        throw new GrammarError('invalid', `there is no type "${type}"`, { path, keyword: 'type' });
    }
  }

  /** Of `allOf`, and of what stands beside a `$ref` or alternatives, written as one schema; null: no need, or no way. */
  *#merged(schema: Schema, path: string): Portioned<Expression | null> {
    const { $ref: reference, allOf = [], anyOf, oneOf, ...rest } = schema;
    if (!Array.isArray(allOf)) return null;
    const beside = asksMoreThan(rest, []) ? [rest] : [];
    const parts = [
      ...(reference === undefined ? [] : [{ $ref: reference }]),
      ...(allOf as unknown[]),
      ...(anyOf === undefined ? [] : [{ anyOf }]),
      ...(oneOf === undefined ? [] : [{ oneOf }]),
    ];
    if (beside.length + parts.length < 2) return null;
    if (allOf.length === 0 && reference === undefined && kindsAgree(rest, [anyOf, oneOf])) return null;
    if (++this.#mergeDepth > mergeDepthMax) {
      throw new GrammarError('too-large', `merged deeper than ${mergeDepthMax}`, { path, keyword: 'allOf' });
    }
    const opened: unknown[] = beside;
    for (const part of parts)
      for (const one of this.#reader.flattened(yield* this.#openable(part, path), path)) opened.push(one);
    const one = yield* mergeSchemas(opened, this.#context.pace);
    const value = one === null ? null : yield* this.#value(one, path);
    this.#mergeDepth--;
    return value;
  }

  /** A part as it can be merged. */
  *#openable(part: unknown, path: string): Portioned<unknown> {
    return isSchemaObject(part) ? yield* this.#rewritten(askedOf(part), path) : part;
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
    let values: readonly unknown[] = keyword === 'const' ? [schema['const']] : (schema['enum'] as unknown[]);
    if (!Array.isArray(values)) throw new GrammarError('invalid', 'expected an array', { path, keyword });
    const { grammarTextsMax } = this.#context.bounds;
    if (values.length > grammarTextsMax) {
      const message = `more than ${grammarTextsMax} values (--grammar-texts)`;
      throw new GrammarError('too-large', message, { path, keyword });
    }
    if (values.length === 0)
      throw new GrammarError('unsatisfiable', 'no value is allowed', { path, keyword });
    const types = schema['type'] === undefined ? null : typesOf(schema, path);
    if (types !== null) values = values.filter((value) => types.some((type) => isOfType(value, type)));
    values = yield* this.#fitting(values, schema, path);
    if (values.length === 0) return terminal(this.#context.table.never); // of an alternative, perhaps
    const texts = values.map((value) => JSON.stringify(value));
    return terminal(yield* oneOfTexts(texts, this.#context));
  }

  /** Those of listed values that fit what stands beside the list. */
  *#fitting(values: readonly unknown[], schema: Schema, path: string): Portioned<readonly unknown[]> {
    const { const: only, enum: listed, ...rest } = schema;
    const both = only !== undefined && Array.isArray(listed);
    const left = both
      ? values.filter((value) => listed.some((one) => isDeepStrictEqual(one, value)))
      : values;
    if (!asksMoreThan(rest, ['type'])) return left;
    for (const name of ['anyOf', 'oneOf', 'allOf', '$ref'])
      if (rest[name] !== undefined) this.#reader.cannot(path, name);
    const has = (kind: string) => left.some((value) => typeof value === kind);
    const body = has('string')
      ? yield* stringBody(rest, path, { ...this.#parts, strict: true })
      : this.#context.table.never;
    const number = has('number')
      ? numberText(rest, { path, integer: false }, this.#parts)
      : this.#context.table.never;
    const fitting: unknown[] = [];
    for (const value of left) {
      const text = JSON.stringify(value);
      if (value !== null && typeof value === 'object') {
        const culprit = Object.keys(rest).find((name) => name !== 'type' && isAssertion(name))!;
        this.#reader.cannot(path, culprit);
      }
      const isText = typeof value === 'string';
      const isFree = !isText && typeof value !== 'number';
      const [regex, written] = isText ? [body, text.slice(1, -1)] : [number, text];
      if (isFree || (yield* matches(regex, written, this.#context))) fitting.push(value);
    }
    return fitting;
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
    if (keyword === 'oneOf' && (yield* mayOverlap(parts, path, this.#context.pace))) {
      const apart = yield* exclusive(parts, this.#negation);
      if (apart !== null) return yield* this.#value({ anyOf: apart }, path);
      this.#reader.cannot(path, 'oneOf');
    }
    const chosen = keyword === 'allOf' ? parts.slice(0, 1) : parts;
    const written: Expression[] = [];
    for (const [i, part] of chosen.entries()) {
      written.push(yield* this.#value(part, `${path}/${keyword}/${i}`));
    }
    return choice(...written);
  }

  *#string(schema: Schema, path: string): Portioned<Regex> {
    const { table, terminals } = this.#context;
    const body = yield* stringBody(schema, path, this.#parts);
    return table.sequence(terminals.quote, body, terminals.quote);
  }
}

const exclusiveMax = 8; // alternatives, each of which is to fit alone

/** Each alternative where none of the others fits; null: it cannot be written. */
function* exclusive(parts: readonly unknown[], options: NegateOptions): Portioned<readonly unknown[] | null> {
  if (parts.length > exclusiveMax) return null;
  const broken: unknown[] = [];
  for (const part of parts) broken.push(yield* negated(part, options));
  if (broken.includes(null)) return null;
  return parts.map((part, index) => ({ allOf: [part, ...broken.filter((_, other) => other !== index)] }));
}

/** Nothing but a type stands beside alternatives that all say theirs. */
function kindsAgree(rest: Schema, groups: readonly unknown[]): boolean {
  if (asksMoreThan(rest, ['type'])) return false;
  const given = groups.filter((group) => group !== undefined);
  const says = (part: unknown) =>
    !isSchemaObject(part) || ['type', '$ref', 'const', 'enum'].some((keyword) => part[keyword] !== undefined);
  return given.length === 1 && Array.isArray(given[0]) && given[0].every(says);
}
