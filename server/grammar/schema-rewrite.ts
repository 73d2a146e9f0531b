// Keywords of JSON schema that say in another way what the rest can say: conditions (`if`, `not`, `dependent…`) as
// alternatives, older drafts' names as today's. Owns what becomes of each. Pure. Before it: json-schema.ts; after it:
// schema-merge.ts, which makes one schema of the parts.

import type { Portioned } from './pace.ts';
import { isSchemaObject, type Schema } from './schema-keywords.ts';
import { type NegateOptions, negated } from './schema-negate.ts';

const triggersMax = 8; // each doubles the alternatives

const triggering = ['dependentSchemas', 'dependentRequired', 'dependencies'] as const; // by name: what it asks for
const rewrittenKeywords: readonly string[] = ['not', 'if', 'then', 'else', ...triggering, 'additionalItems'];

type Rewritten = { readonly schema: Schema } | { readonly culprit: string };

/** The same schema without those keywords; itself where it has none; or the keyword that cannot be written otherwise. */
export function* rewritten(given: Schema, options: NegateOptions): Portioned<Rewritten> {
  const schema = inTodaysNames(given);
  const groups: unknown[][] = [];
  if (schema['not'] !== undefined) {
    const broken = yield* negated(schema['not'], options);
    if (broken === null) return { culprit: 'not' };
    groups.push([broken]);
  }
  if (schema['if'] !== undefined && (schema['then'] !== undefined || schema['else'] !== undefined)) {
    const { if: asked, then: met = true, else: unmet = true } = schema;
    const broken = yield* negated(asked, options);
    if (broken === null) return { culprit: 'if' };
    groups.push([{ allOf: [asked, met] }, { allOf: [broken, unmet] }]);
  }
  const triggers = triggersOf(schema);
  if (!Array.isArray(triggers)) return triggers;
  for (const [name, then] of triggers) groups.push([{ absent: [name] }, { required: [name], allOf: [then] }]);
  const rest = withoutKeywords(schema);
  if (groups.length === 0) return { schema: rest };
  const written = groups.map((group) => (group.length === 1 ? group[0] : { anyOf: group }));
  const allOf = Array.isArray(rest['allOf']) ? (rest['allOf'] as unknown[]) : [];
  return { schema: { ...rest, allOf: [...allOf, ...written] } };
}

/** What has to hold where a property is there. */
function triggersOf(
  schema: Schema,
): (readonly [name: string, then: unknown])[] | { readonly culprit: string } {
  const triggers: (readonly [name: string, then: unknown])[] = [];
  for (const keyword of triggering) {
    const value = schema[keyword];
    if (value === undefined) continue;
    if (!isSchemaObject(value)) return { culprit: keyword };
    for (const [name, then] of Object.entries(value))
      triggers.push([name, Array.isArray(then) ? { required: then } : then]);
    if (triggers.length > triggersMax) return { culprit: keyword };
  }
  return triggers;
}

/** A list of items, as drafts 4 to 2019-09 have it. */
function inTodaysNames(schema: Schema): Schema {
  const { items, additionalItems, ...rest } = schema;
  if (!Array.isArray(items)) return schema;
  return { ...rest, prefixItems: items, ...(additionalItems !== undefined && { items: additionalItems }) };
}

/** Without what a culprit means. */
export function withoutCulprit(schema: Schema, culprit: string): Schema {
  const gone = culprit === 'if' ? ['if', 'then', 'else'] : [culprit];
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !gone.includes(keyword)));
}

function withoutKeywords(schema: Schema): Schema {
  return Object.fromEntries(
    Object.entries(schema).filter(([keyword]) => !rewrittenKeywords.includes(keyword)),
  );
}
