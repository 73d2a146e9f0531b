// A JSON Schema from a few fields that a person fills in: what a form can say, nothing more; the rest is written out as JSON.
// Pure. Used by chat-request.ts and form-panel.tsx.

export const fieldTypes = ['string', 'number', 'integer', 'boolean', 'string[]', 'choice'] as const;
type FieldType = (typeof fieldTypes)[number];

export interface FormField {
  readonly name: string;
  readonly type: FieldType;
  readonly required: boolean;
  readonly description: string;
  readonly options: string; // of a choice, separated by commas
}

export const newField: FormField = { name: '', type: 'string', required: true, description: '', options: '' };

/** Fields without a name are not there yet. */
export function schemaOf(fields: readonly FormField[]): object {
  const named = fields.filter(({ name }) => name.trim() !== '');
  const properties = Object.fromEntries(named.map((field) => [field.name.trim(), propertyOf(field)]));
  const required = named.filter((field) => field.required).map(({ name }) => name.trim());
  return { type: 'object', properties, required, additionalProperties: false };
}

function propertyOf({ type, description, options }: FormField): object {
  const said = description.trim() === '' ? {} : { description: description.trim() };
  if (type === 'string[]') return { type: 'array', items: { type: 'string' }, ...said };
  if (type !== 'choice') return { type, ...said };
  const choices = options.split(',').map((option) => option.trim());
  return { type: 'string', enum: choices.filter((option) => option !== ''), ...said };
}
