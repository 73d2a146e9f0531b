// Validators of what this server says, by OpenAI's published document (openai-schemas.json, which reduce-schema.ts makes).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';

interface Published {
  readonly $defs: Readonly<
    Record<string, { readonly properties?: { readonly type?: { readonly enum?: string[] } } }>
  >;
}

const published = JSON.parse(
  readFileSync(join(import.meta.dirname, 'openai-schemas.json'), 'utf8'),
) as Published;
const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema(published, 'openai');
const validators = new Map<string, ValidateFunction>();

/** Events of a stream of responses, by their types. */
const events = new Map(
  Object.entries(published.$defs).flatMap(([name, { properties }]) => {
    const type = properties?.type?.enum?.[0];
    return type !== undefined && name.endsWith('Event') ? [[type, name] as const] : [];
  }),
);

/** What is wrong with a value, '' for nothing; `name` of a schema of the document. */
export function faultsBy(name: string, value: unknown): string {
  let validate = validators.get(name);
  if (validate === undefined) {
    if (!(name in published.$defs)) throw new Error(`the document has no schema ${name}`);
    validate = ajv.compile({ $ref: `openai#/$defs/${name}` });
    validators.set(name, validate);
  }
  return validate(value) ? '' : (validate.errors ?? []).map(faultText).join('\n');
}

/** The schema of an event of this type; null: the document has none. */
export function eventSchema(type: string): string | null {
  return events.get(type) ?? null;
}

function faultText({ instancePath, message, params, schemaPath }: ErrorObject): string {
  return `${instancePath} ${message} ${JSON.stringify(params)} (${schemaPath})`;
}
