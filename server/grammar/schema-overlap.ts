// Whether alternatives of a JSON schema exclude each other, by their types and constant properties. Pure. Before it:
// json-schema.ts; after it: schema-keywords.ts.
import type { Pace, Portioned } from './pace.ts';
import { isSchemaObject, type Schema, typesOf } from './schema-keywords.ts';

const looksPerStep = 32; // at a value in a set

/** Whether a value might match two of the alternatives, as far as types and constant properties tell. */
export function* mayOverlap(parts: readonly unknown[], path: string, pace: Pace): Portioned<boolean> {
  const shapes: Shape[] = [];
  for (const part of parts) {
    if (!isSchemaObject(part)) return parts.length > 1;
    const shape = shapeOf(part, path);
    shapes.push(shape);
    if (pace.due(1 + shape.valueCount / looksPerStep)) yield;
  }
  for (const [i, a] of shapes.entries()) {
    for (let j = i + 1; j < shapes.length; j++) {
      const other = shapes[j]!;
      if (!areDisjoint(a, other)) return true;
      if (pace.due(1 + a.valueCount / looksPerStep)) yield;
    }
  }
  return false;
}

/** What tells one alternative from others. */
interface Shape {
  readonly kinds: ReadonlySet<string> | null; // null: any
  readonly fixed: ReadonlyMap<string, ReadonlySet<string>>; // required properties of constant values, of an object
  readonly valueCount: number; // of all of them
}

function shapeOf(schema: Schema, path: string): Shape {
  const { properties, required } = schema;
  const fixed = new Map<string, ReadonlySet<string>>();
  if (isSchemaObject(properties) && Array.isArray(required)) {
    for (const name of required) {
      const values = Object.hasOwn(properties, name) ? constantsOf(properties[name]) : null;
      if (values !== null) fixed.set(name, new Set(values));
    }
  }
  const valueCount = [...fixed.values()].reduce((sum, values) => sum + values.size, 1);
  return { kinds: kindsOf(schema, path), fixed, valueCount };
}

function areDisjoint(a: Shape, b: Shape): boolean {
  if (a.kinds === null || b.kinds === null) return false;
  const shared = [...a.kinds].filter((kind) => b.kinds!.has(kind));
  if (shared.length === 0) return true;
  if (shared.join() !== 'object') return false;
  for (const [name, values] of a.fixed) {
    const others = b.fixed.get(name);
    if (others !== undefined && [...values].every((value) => !others.has(value))) return true;
  }
  return false;
}

function kindsOf(schema: Schema, path: string): ReadonlySet<string> | null {
  const types = schema['type'] === undefined ? null : typesOf(schema, path);
  return types && new Set(types.map((type) => (type === 'integer' ? 'number' : type)));
}

function constantsOf(schema: unknown): string[] | null {
  if (!isSchemaObject(schema)) return null;
  if (schema['const'] !== undefined) return [JSON.stringify(schema['const'])];
  return Array.isArray(schema['enum']) ? schema['enum'].map((value) => JSON.stringify(value)) : null;
}
