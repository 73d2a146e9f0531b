// Makes openai-schemas.json, the part of OpenAI's published OpenAPI document that this server's replies are validated by:
// the schemas of those replies and all that they refer to, without descriptions, without the alternatives of tools that
// run at OpenAI. Run by hand when the document is to be renewed (its openapi.json is in github.com/openai/openai-openapi):
//   npx tsx test/openai/reduce-schema.ts path/to/openapi.json > test/openai/openai-schemas.json
import { readFileSync } from 'node:fs';
import { argv, stdout } from 'node:process';

/** The schemas of what this server says. */
const ROOTS = [
  'CreateChatCompletionResponse',
  'CreateChatCompletionStreamResponse',
  'CreateCompletionResponse',
  'CreateEmbeddingResponse',
  'ListModelsResponse',
  'Model',
  'Response',
  'ResponseStreamEvent',
  'ResponseItemList',
  'CompactResource',
  'TokenCountsResource',
  'ConversationResource',
  'ConversationItem',
  'ConversationItemList',
  'DeletedConversationResource',
  'ErrorResponse',
];

/** What only happens at OpenAI: nothing here makes it, so a reply that looks like it is a mistake. */
const ELSEWHERE =
  /Audio|ApplyPatch|CodeInterpreter|Computer|FileSearch|HostedTool|ImageGen|LocalShell|MCP|Moderation|Program|Prompt(Cache|Variables)|Refusal(Delta|Done)|Shell|ToolSearch|WebSearch|Annotation(Added)|UrlCitation|FileCitation|FilePath|Container/;

/** Words for readers and generators of code. */
const SAID = new Set([
  'description',
  'title',
  'example',
  'examples',
  'default',
  'deprecated',
  'discriminator',
]);

type Schema = Readonly<Record<string, unknown>>;

interface Document {
  readonly info: { readonly version: string; readonly license: { readonly name: string } };
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const document = JSON.parse(readFileSync(argv[2]!, 'utf8')) as Document;
const all = document.components.schemas;
const kept: Record<string, unknown> = {};
for (const root of ROOTS) keep(root);
const { version, license } = document.info;
const sorted = Object.fromEntries(Object.entries(kept).sort(([a], [b]) => (a < b ? -1 : 1)));
const note = `Made by reduce-schema.ts from OpenAI's published OpenAPI document ${version}, Copyright (c) OpenAI, under the ${license.name} License (LICENSE beside this file).`;
const lines = Object.entries(sorted).map(
  ([name, schema]) => `${JSON.stringify(name)}:${JSON.stringify(schema)}`,
);
stdout.write(`{"$comment":${JSON.stringify(note)},"$defs":{\n${lines.join(',\n')}\n}}\n`);

function keep(name: string): void {
  if (name in kept) return;
  const schema = all[name];
  if (schema === undefined) throw new Error(`the document has no schema ${name}`);
  kept[name] = null; // on its way
  kept[name] = reduced(schema);
}

function reduced(value: unknown, inProperties = false): unknown {
  if (Array.isArray(value)) return value.filter((one) => !isElsewhere(one)).map((one) => reduced(one));
  if (typeof value !== 'object' || value === null) return value;
  const schema = value as Schema;
  const entries = Object.entries(schema).filter(([key, inner]) =>
    inProperties ? !isElsewhere(inner) : !(SAID.has(key) || key.startsWith('x-')),
  );
  const fields = entries.map(([key, inner]) => {
    if (!inProperties && key === '$ref') return [key, `#/$defs/${referred(schema)}`] as const;
    return [key, reduced(inner, !inProperties && key === 'properties')] as const;
  });
  // A word of OpenAPI 3.0 that JSON Schema does not know.
  if (schema['nullable'] === true && !inProperties) {
    const { nullable: _, ...given } = Object.fromEntries(fields);
    return { anyOf: [given, { type: 'null' }] };
  }
  // None of its alternatives is ever here.
  const isNothing = fields.some(
    ([key, inner]) => /^(one|any)Of$/.test(key) && Array.isArray(inner) && inner.length === 0,
  );
  return isNothing && !inProperties ? false : Object.fromEntries(fields);
}

function isElsewhere(value: unknown): boolean {
  const name = nameOf(value);
  return name !== null && ELSEWHERE.test(name);
}

function referred(schema: Schema): string {
  const name = nameOf(schema)!;
  keep(name);
  return name;
}

function nameOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const { $ref } = value as { readonly $ref?: unknown };
  return typeof $ref === 'string' ? $ref.slice($ref.lastIndexOf('/') + 1) : null;
}
