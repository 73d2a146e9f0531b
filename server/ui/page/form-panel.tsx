// The form that an answer must have, and the tools that it may call: put together from fields, or written as JSON Schema.
// Before it: settings-panel.tsx; after it: schema-form.ts.
import type { VNode } from 'preact';
import {
  type ChatSettings,
  emptySchema,
  type SchemaForm,
  type ToolForm,
  type WishedForm,
} from './chat-request.ts';
import { ChoiceButtons } from './choice-buttons.tsx';
import { Check, Choice, Quiet, TextArea, TextInput } from './controls.tsx';
import { type FormField, fieldTypes, newField, schemaOf } from './schema-form.ts';
import type { ServerFacts } from './server-facts.ts';

export interface FormPanelProps {
  readonly facts: ServerFacts;
  readonly settings: ChatSettings;
  readonly onChange: (change: Partial<ChatSettings>) => void;
}

const FORMS: readonly { readonly value: WishedForm; readonly label: string }[] = [
  { value: 'text', label: 'Text' },
  { value: 'json', label: 'JSON' },
  { value: 'schema', label: 'Schema' },
];

const CALL_WORDS = { auto: 'if it wants to', required: 'one in any case' };

export function FormPanel({ facts, settings, onChange }: FormPanelProps): VNode {
  const { form, schema, tools } = settings;
  const setTool = (index: number, tool: ToolForm | null): void =>
    onChange({ tools: tools.flatMap((other, at) => (at !== index ? [other] : tool === null ? [] : [tool])) });
  return (
    <div class="panel-body">
      <p class="hint">Answers are</p>
      <ChoiceButtons
        label="Answers are"
        options={FORMS}
        value={form}
        onChange={(next) => onChange({ form: next })}
      />
      {form === 'schema' && <SchemaEditor schema={schema} onChange={(next) => onChange({ schema: next })} />}
      <fieldset>
        <legend>Tools</legend>
        {!facts.canCall && <p class="hint">{facts.modelName} writes no calls that this server can read.</p>}
        {tools.map((tool, index) => (
          <ToolEditor key={index} tool={tool} onChange={(next) => setTool(index, next)} />
        ))}
        <div class="row">
          <Quiet
            icon="plus"
            onClick={() =>
              onChange({ tools: [...tools, { name: '', description: '', parameters: emptySchema }] })
            }
          >
            Tool
          </Quiet>
          {tools.length > 0 && <ToolChoice settings={settings} onChange={onChange} />}
        </div>
      </fieldset>
    </div>
  );
}

function ToolChoice({ settings, onChange }: Pick<FormPanelProps, 'settings' | 'onChange'>): VNode {
  return (
    <label class="inline-field">
      Call
      <Choice
        options={['auto', 'required', 'none']}
        words={CALL_WORDS}
        value={settings.toolChoice}
        onChange={(toolChoice) => onChange({ toolChoice })}
      />
    </label>
  );
}

function ToolEditor({
  tool,
  onChange,
}: {
  readonly tool: ToolForm;
  readonly onChange: (tool: ToolForm | null) => void;
}): VNode {
  return (
    <div class="card tool-form">
      <div class="row">
        <TextInput
          class="grow"
          aria-label="Name of the tool"
          placeholder="read_file"
          value={tool.name}
          onChange={(name) => onChange({ ...tool, name })}
        />
        <Quiet icon="close" aria-label="Remove the tool" onClick={() => onChange(null)} />
      </div>
      <TextInput
        aria-label="What the tool does"
        placeholder="what it does"
        value={tool.description}
        onChange={(description) => onChange({ ...tool, description })}
      />
      <SchemaEditor schema={tool.parameters} onChange={(parameters) => onChange({ ...tool, parameters })} />
    </div>
  );
}

function SchemaEditor({
  schema,
  onChange,
}: {
  readonly schema: SchemaForm;
  readonly onChange: (schema: SchemaForm) => void;
}): VNode {
  const { raw, fields, text } = schema;
  const setField = (index: number, field: FormField | null): void =>
    onChange({
      ...schema,
      fields: fields.flatMap((other, at) => (at !== index ? [other] : field === null ? [] : [field])),
    });
  const toJson = (): void => {
    onChange({ ...schema, raw: true, text: JSON.stringify(schemaOf(fields), null, 2) });
  };
  return (
    <div class="schema">
      {raw ? (
        <TextArea
          class="mono"
          rows={10}
          spellcheck={false}
          aria-label="JSON Schema"
          value={text}
          onChange={(text) => onChange({ ...schema, text })}
        />
      ) : (
        fields.map((field, index) => (
          <FieldEditor key={index} field={field} onChange={(next) => setField(index, next)} />
        ))
      )}
      <div class="row">
        {!raw && (
          <Quiet icon="plus" onClick={() => onChange({ ...schema, fields: [...fields, newField] })}>
            Field
          </Quiet>
        )}
        <span class="grow" />
        <button
          type="button"
          class="quiet"
          onClick={() => (raw ? onChange({ ...schema, raw: false }) : toJson())}
        >
          {raw ? 'Back to fields' : 'As JSON'}
        </button>
      </div>
    </div>
  );
}

function FieldEditor({
  field,
  onChange,
}: {
  readonly field: FormField;
  readonly onChange: (field: FormField | null) => void;
}): VNode {
  return (
    <div class="field-form">
      <div class="row">
        <TextInput
          class="grow"
          aria-label="Name of the field"
          placeholder="name"
          value={field.name}
          onChange={(name) => onChange({ ...field, name })}
        />
        <Choice
          aria-label="Type of the field"
          options={fieldTypes}
          value={field.type}
          onChange={(type) => onChange({ ...field, type })}
        />
        <Check
          label="must"
          title="The answer must have it"
          checked={field.required}
          onChange={(required) => onChange({ ...field, required })}
        />
        <Quiet icon="close" aria-label="Remove the field" onClick={() => onChange(null)} />
      </div>
      {field.type === 'choice' && (
        <TextInput
          aria-label="Choices"
          placeholder="red, green, blue"
          value={field.options}
          onChange={(options) => onChange({ ...field, options })}
        />
      )}
    </div>
  );
}
