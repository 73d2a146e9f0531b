// A JSON schema → grammar rules. Owns which values are allowed and in which order properties come (the schema's own);
// how a value's text looks is json-terminals.ts. Properties that are not declared are allowed only where the schema
// says so, or declares none. Before it: compiler.ts and call-grammar.ts; after it: rules.ts.
import type { Regex, RegexTable } from './byte-regex.ts';
import { GrammarError } from './grammar-error.ts';
import { arrayExpression, type JsonProperty, objectExpression } from './json-containers.ts';
import { type JsonTerminals, oneOfTexts } from './json-terminals.ts';
import { type NumberBound, numberInRange } from './number-range.ts';
import { compilePattern } from './pattern.ts';
import { choice, type Expression, rule, terminal } from './rules.ts';
import { mergeSchemas } from './schema-merge.ts';
import {
  type IgnoredKeyword,
  isSchemaObject,
  mayOverlap,
  type Schema,
  SchemaReader,
  typesOf,
  unsupportedKeywords,
} from './schema-reader.ts';
import { stringFormats } from './string-format.ts';

export interface SchemaWorld {
  readonly table: RegexTable;
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
const enumValuesMax = 10_000;
const mergeDepthMax = 24; // of schemas that must hold together, one within another

/** Throws GrammarError that names keyword and path. */
export function compileSchema(schema: unknown, world: SchemaWorld, options: SchemaOptions): CompiledSchema {
  const reader = new SchemaReader(schema, options.strict);
  const value = new SchemaRules(reader, world, options.name).value(schema, '#');
  return { value, ignored: reader.ignored };
}

/** Any JSON value, or any of one kind, nested to a bounded depth. */
export function anyJson(world: SchemaWorld, only: 'value' | 'object' = 'value', depth = 0): Expression {
  const name = `any ${only} ${depth}`;
  if (!world.rules.has(name)) {
    const { terminals } = world;
    world.rules.set(name, terminal(terminals.null)); // stands in while its parts are made
    const scalars = [terminals.string, terminals.number, terminals.boolean, terminals.null].map(terminal);
    const inner = depth < anyDepthMax ? anyJson(world, 'value', depth + 1) : choice(...scalars);
    const extra: JsonProperty = { key: freeKey([], world), value: inner };
    const object = objectExpression({ properties: [], extra }, world);
    const array = arrayExpression({ prefix: [], item: inner, min: 0, max: Number.POSITIVE_INFINITY }, world);
    world.rules.set(name, only === 'object' ? object : choice(...scalars, array, object));
  }
  return rule(name);
}

/** A key, none of those given, with its colon. In the strict spelling, so that no other one slips through. */
function freeKey(taken: readonly string[], { table, terminals }: SchemaWorld): Regex {
  const any = table.repeat(terminals.strictCharacter, 0);
  const inside = taken.map((name) => JSON.stringify(name).slice(1, -1));
  const free = taken.length === 0 ? any : table.and([any, table.not(oneOfTexts(inside, table))]);
  return table.sequence(terminals.quote, free, terminals.quote, table.text(':'), terminals.space);
}

class SchemaRules {
  readonly #reader: SchemaReader;
  readonly #world: SchemaWorld;
  readonly #name: string;
  readonly #named = new Set<string>();
  #mergeDepth = 0;

  constructor(reader: SchemaReader, world: SchemaWorld, name: string) {
    this.#reader = reader;
    this.#world = world;
    this.#name = name;
  }

  value(schema: unknown, path: string): Expression {
    this.#reader.enter(path);
    if (schema === true) return anyJson(this.#world);
    if (schema === false) return terminal(this.#world.table.never);
    if (!isSchemaObject(schema))
      throw new GrammarError('invalid', 'expected an object or a boolean', { path });
    for (const keyword of unsupportedKeywords(schema)) this.#reader.cannot(path, keyword);
    const merged = this.#merged(schema, path);
    if (merged !== null) return merged;
    if (schema['$ref'] !== undefined) return this.#reference(schema, path);
    if (schema['const'] !== undefined || schema['enum'] !== undefined) return this.#constants(schema, path);
    const combined = this.#combination(schema, path);
    if (combined !== null) return combined;
    const types = typesOf(schema, path);
    if (types === null) return anyJson(this.#world);
    const kinds = types.filter((type) => type !== 'integer' || !types.includes('number'));
    return choice(...kinds.map((type) => this.#typed(type, schema, path)));
  }

  #typed(type: string, schema: Schema, path: string): Expression {
    const { terminals } = this.#world;
    switch (type) {
      case 'object':
        return this.#object(schema, path);
      case 'array':
        return this.#array(schema, path);
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
  #merged(schema: Schema, path: string): Expression | null {
    const { $ref: reference, allOf = [], ...rest } = schema;
    if (!Array.isArray(allOf) || (reference === undefined && allOf.length === 0)) return null;
    const beside = this.#reader.hasAssertions(rest);
    if (!beside && (reference === undefined ? 0 : 1) + allOf.length < 2) return null;
    if (++this.#mergeDepth > mergeDepthMax) {
      throw new GrammarError('too-large', `merged deeper than ${mergeDepthMax}`, { path, keyword: 'allOf' });
    }
    const parts = [rest, ...(reference === undefined ? [] : [{ $ref: reference }]), ...allOf];
    const one = mergeSchemas(parts.flatMap((part) => this.#reader.flattened(part, path)));
    const value = one === null ? null : this.value(one, path);
    this.#mergeDepth--;
    return value;
  }

  #reference(schema: Schema, path: string): Expression {
    this.#reader.onlyWith(schema, { path, keyword: '$ref', allowed: [] });
    const { target, pointer } = this.#reader.resolve(schema['$ref'], path);
    const name = `${this.#name}${pointer}`;
    if (!this.#named.has(pointer)) {
      this.#named.add(pointer);
      this.#world.rules.set(name, this.value(target, pointer));
    }
    return rule(name);
  }

  #constants(schema: Schema, path: string): Expression {
    const keyword = schema['const'] === undefined ? 'enum' : 'const';
    this.#reader.onlyWith(schema, { path, keyword, allowed: ['type', 'enum'] });
    let values: readonly unknown[] = keyword === 'const' ? [schema['const']] : (schema['enum'] as unknown[]);
    if (!Array.isArray(values)) throw new GrammarError('invalid', 'expected an array', { path, keyword });
    if (values.length > enumValuesMax) {
      throw new GrammarError('too-large', `more than ${enumValuesMax} values`, { path, keyword });
    }
    const types = schema['type'] === undefined ? null : typesOf(schema, path);
    if (types !== null) values = values.filter((value) => types.some((type) => isOfType(value, type)));
    if (values.length === 0)
      throw new GrammarError('unsatisfiable', 'no value is allowed', { path, keyword });
    return terminal(
      oneOfTexts(
        values.map((value) => JSON.stringify(value)),
        this.#world.table,
      ),
    );
  }

  /** anyOf, oneOf, allOf; null when there is none. */
  #combination(schema: Schema, path: string): Expression | null {
    const keyword = ['anyOf', 'oneOf', 'allOf'].find((name) => schema[name] !== undefined);
    if (keyword === undefined) return null;
    const parts = schema[keyword];
    if (!Array.isArray(parts) || parts.length === 0) {
      throw new GrammarError('invalid', 'expected a non-empty array', { path, keyword });
    }
    this.#reader.onlyWith(schema, { path, keyword, allowed: [] });
    if (keyword === 'allOf' && parts.length > 1) this.#reader.cannot(path, 'allOf');
    if (keyword === 'oneOf' && mayOverlap(parts, path)) this.#reader.cannot(path, 'oneOf');
    const chosen = keyword === 'allOf' ? parts.slice(0, 1) : parts;
    return choice(...chosen.map((part, i) => this.value(part, `${path}/${keyword}/${i}`)));
  }

  #object(schema: Schema, path: string): Expression {
    const { table, terminals } = this.#world;
    const { declared, required, additional } = this.#reader.objectParts(schema, path);
    const keyOf = (name: string): Regex =>
      table.sequence(table.text(`${JSON.stringify(name)}:`), terminals.space);
    const properties = declared.map(([name, inner, at]) => ({
      key: keyOf(name),
      value: this.value(inner, at),
      required: required.has(name),
    }));
    if (additional === false) return objectExpression({ properties, extra: null }, this.#world);
    const names = declared.map(([name]) => name);
    const extra = {
      key: freeKey(names, this.#world),
      value: this.value(additional, `${path}/additionalProperties`),
    };
    return objectExpression({ properties, extra }, this.#world);
  }

  #array(schema: Schema, path: string): Expression {
    const { prefixItems = [], items = true } = schema;
    if (!Array.isArray(prefixItems)) {
      throw new GrammarError('invalid', 'expected an array', { path, keyword: 'prefixItems' });
    }
    if (Array.isArray(items))
      throw new GrammarError('unsupported', 'use prefixItems', { path, keyword: 'items' });
    const prefix = prefixItems.map((item, i) => this.value(item, `${path}/prefixItems/${i}`));
    const min = this.#reader.count(schema, { path, keyword: 'minItems' }) ?? 0;
    const max = this.#reader.count(schema, { path, keyword: 'maxItems' }) ?? Number.POSITIVE_INFINITY;
    return arrayExpression({ prefix, item: this.value(items, `${path}/items`), min, max }, this.#world);
  }

  #string(schema: Schema, path: string): Regex {
    const { table, terminals } = this.#world;
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
        compilePattern(pattern, { table, form: 'json', path: at, search: true }),
      );
      if (regex !== null) parts.push(regex);
    }
    if (format !== undefined) {
      const source = stringFormats.get(format as string);
      if (source === undefined) this.#reader.note(path, 'format');
      else parts.push(compilePattern(source, { table, form: 'json', path: `${path}/format`, search: false }));
    }
    const isBounded = min > 0 || Number.isFinite(max);
    const character = parts.length === 0 ? terminals.character : terminals.strictCharacter;
    if (isBounded || parts.length === 0) parts.push(table.repeat(character, min, max));
    return table.sequence(terminals.quote, table.and(parts), terminals.quote);
  }

  #number(schema: Schema, { path, integer }: { path: string; integer: boolean }): Regex {
    const { table, terminals } = this.#world;
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
