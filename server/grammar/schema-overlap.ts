// Whether alternatives of a JSON schema exclude each other, by their types and constant properties. Pure. Before it:
// json-schema.ts; after it: schema-keywords.ts.
import type { Pace, Portioned } from './pace.ts';
import { isSchemaObject, type Schema, typesOf } from './schema-keywords.ts';

/** Whether a value might match two of the alternatives, as far as types and constant properties tell. */
export function* mayOverlap(parts: readonly unknown[], path: string, pace: Pace): Portioned<boolean> {
  const shapes: Shape[] = [];
  for (const part of parts) {
    if (!isSchemaObject(part)) return parts.length > 1;
    shapes.push(shapeOf(part, path));
    if (pace.due()) yield;
  }
  for (const [i, a] of shapes.entries()) {
    for (let j = i + 1; j < shapes.length; j++) {
      if (!areDisjoint(a, shapes[j]!)) return true;
      if (pace.due()) yield;
    }
  }
  return false;
}

/** What tells one alternative from others. */
interface Shape {
  readonly kinds: ReadonlySet<string> | null; // null: any
  readonly fixed: ReadonlyMap<string, ReadonlySet<string>>; // required properties of constant values, of an object
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
  return { kinds: kindsOf(schema, path), fixed };
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
