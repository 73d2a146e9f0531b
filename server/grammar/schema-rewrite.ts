// Keywords of JSON schema that say in another way what the rest can say: conditions (`if`, `not`, `dependent…`) as
// alternatives, older drafts' names as today's. Owns what becomes of each. Pure. Before it: json-schema.ts; after it:
// schema-merge.ts, which makes one schema of the parts.

import { isSchemaObject, type Schema } from './schema-keywords.ts';
import { type NegateOptions, negated } from './schema-negate.ts';

const triggersMax = 8; // each doubles the alternatives

const rewrittenKeywords = [
  'not',
  'if',
  'then',
  'else',
  'dependentRequired',
  'dependentSchemas',
  'dependencies',
  'additionalItems',
] as const;

type Rewritten = { readonly schema: Schema } | { readonly culprit: string };

/** The same schema without those keywords; itself where it has none; or the keyword that cannot be written otherwise. */
export function rewritten(given: Schema, options: NegateOptions): Rewritten {
  const schema = inTodaysNames(given);
  const groups: unknown[][] = [];
  if (schema['not'] !== undefined) {
    const broken = negated(schema['not'], options);
    if (broken === null) return { culprit: 'not' };
    groups.push([broken]);
  }
  if (schema['if'] !== undefined && (schema['then'] !== undefined || schema['else'] !== undefined)) {
    const { if: asked, then: met = true, else: unmet = true } = schema;
    const broken = negated(asked, options);
    if (broken === null) return { culprit: 'if' };
    groups.push([{ allOf: [asked, met] }, { allOf: [broken, unmet] }]);
  }
  const triggers = triggersOf(schema);
  if (triggers === null || triggers.length > triggersMax) return { culprit: culpritOf(schema) };
  for (const [name, then] of triggers) groups.push([{ absent: [name] }, { required: [name], allOf: [then] }]);
  const rest = withoutKeywords(schema);
  if (groups.length === 0) return { schema: rest };
  const written = groups.map((group) => (group.length === 1 ? group[0] : { anyOf: group }));
  const allOf = Array.isArray(rest['allOf']) ? (rest['allOf'] as unknown[]) : [];
  return { schema: { ...rest, allOf: [...allOf, ...written] } };
}

/** What has to hold where a property is there. null: no schema says so. */
function triggersOf(schema: Schema): readonly (readonly [name: string, then: unknown])[] | null {
  const triggers: (readonly [string, unknown])[] = [];
  for (const keyword of ['dependentRequired', 'dependentSchemas'] as const) {
    const value = schema[keyword];
    if (value === undefined) continue;
    if (!isSchemaObject(value)) return null;
    for (const [name, then] of Object.entries(value))
      triggers.push([name, Array.isArray(then) ? { required: then } : then]);
  }
  return triggers;
}

function culpritOf(schema: Schema): string {
  return schema['dependentSchemas'] === undefined ? 'dependentRequired' : 'dependentSchemas';
}

/** Those of drafts 4 to 2019-09. */
function inTodaysNames(schema: Schema): Schema {
  const { items, additionalItems, dependencies, ...rest } = schema;
  const renamed: Record<string, unknown> = { ...rest, ...(items !== undefined && { items }) };
  if (Array.isArray(items)) {
    renamed['prefixItems'] = items;
    if (additionalItems === undefined) delete renamed['items'];
    else renamed['items'] = additionalItems;
  }
  if (isSchemaObject(dependencies)) {
    const given = isSchemaObject(rest['dependentSchemas']) ? rest['dependentSchemas'] : {};
    const asSchemas = Object.entries(dependencies).map(([name, then]) => [
      name,
      Array.isArray(then) ? { required: then } : then,
    ]);
    renamed['dependentSchemas'] = { ...given, ...(Object.fromEntries(asSchemas) as object) };
  }
  return renamed;
}

/** Without what a culprit means. */
export function withoutCulprit(schema: Schema, culprit: string): Schema {
  const gone = culprit === 'if' ? ['if', 'then', 'else'] : [culprit];
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !gone.includes(keyword)));
}

function withoutKeywords(schema: Schema): Schema {
  return Object.fromEntries(
    Object.entries(schema).filter(([keyword]) => !(rewrittenKeywords as readonly string[]).includes(keyword)),
  );
}
