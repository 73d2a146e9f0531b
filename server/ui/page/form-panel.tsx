// The form that an answer must have, and the tools that it may call: put together from fields, or written as JSON Schema.
// Before it: settings-panel.tsx; after it: schema-form.ts.
import type { VNode } from 'preact';
import {
  type AnswerForm,
  type ChatSettings,
  emptySchema,
  type SchemaForm,
  type ToolForm,
} from './chat-request.ts';
import { Icon } from './icons.tsx';
import { type FormField, fieldTypes, newField, schemaOf } from './schema-form.ts';
import { Segments } from './segments.tsx';
import type { ServerFacts } from './server-facts.ts';

export interface FormPanelProps {
  readonly facts: ServerFacts;
  readonly settings: ChatSettings;
  readonly onChange: (change: Partial<ChatSettings>) => void;
}

const FORMS: readonly { readonly value: AnswerForm; readonly label: string }[] = [
  { value: 'text', label: 'Text' },
  { value: 'json', label: 'JSON' },
  { value: 'schema', label: 'Schema' },
];

export function FormPanel({ facts, settings, onChange }: FormPanelProps): VNode {
  const { form, schema, tools } = settings;
  const setTool = (index: number, tool: ToolForm | null): void =>
    onChange({ tools: tools.flatMap((other, at) => (at !== index ? [other] : tool === null ? [] : [tool])) });
  return (
    <div class="panel-body">
      <p class="hint">Answers are</p>
      <Segments
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
          <button
            type="button"
            class="quiet"
            onClick={() =>
              onChange({ tools: [...tools, { name: '', description: '', parameters: emptySchema }] })
            }
          >
            <Icon name="plus" size={14} /> Tool
          </button>
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
      <select
        value={settings.toolChoice}
        onChange={({ currentTarget: { value } }) =>
          onChange({ toolChoice: value as ChatSettings['toolChoice'] })
        }
      >
        <option value="auto">if it wants to</option>
        <option value="required">one in any case</option>
        <option value="none">none</option>
      </select>
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
        <input
          class="grow"
          aria-label="Name of the tool"
          placeholder="read_file"
          value={tool.name}
          onInput={({ currentTarget }) => onChange({ ...tool, name: currentTarget.value })}
        />
        <button type="button" class="quiet" aria-label="Remove the tool" onClick={() => onChange(null)}>
          <Icon name="close" size={14} />
        </button>
      </div>
      <input
        aria-label="What the tool does"
        placeholder="what it does"
        value={tool.description}
        onInput={({ currentTarget }) => onChange({ ...tool, description: currentTarget.value })}
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
        <textarea
          class="mono"
          rows={10}
          spellcheck={false}
          aria-label="JSON Schema"
          value={text}
          onInput={({ currentTarget }) => onChange({ ...schema, text: currentTarget.value })}
        />
      ) : (
        fields.map((field, index) => (
          <FieldEditor key={index} field={field} onChange={(next) => setField(index, next)} />
        ))
      )}
      <div class="row">
        {!raw && (
          <button
            type="button"
            class="quiet"
            onClick={() => onChange({ ...schema, fields: [...fields, newField] })}
          >
            <Icon name="plus" size={14} /> Field
          </button>
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
        <input
          class="grow"
          aria-label="Name of the field"
          placeholder="name"
          value={field.name}
          onInput={({ currentTarget }) => onChange({ ...field, name: currentTarget.value })}
        />
        <select
          aria-label="Type of the field"
          value={field.type}
          onChange={({ currentTarget }) =>
            onChange({ ...field, type: currentTarget.value as FormField['type'] })
          }
        >
          {fieldTypes.map((type) => (
            <option key={type}>{type}</option>
          ))}
        </select>
        <label class="check" title="The answer must have it">
          <input
            type="checkbox"
            checked={field.required}
            onChange={({ currentTarget }) => onChange({ ...field, required: currentTarget.checked })}
          />
          must
        </label>
        <button type="button" class="quiet" aria-label="Remove the field" onClick={() => onChange(null)}>
          <Icon name="close" size={14} />
        </button>
      </div>
      {field.type === 'choice' && (
        <input
          aria-label="Choices"
          placeholder="red, green, blue"
          value={field.options}
          onInput={({ currentTarget }) => onChange({ ...field, options: currentTarget.value })}
        />
      )}
    </div>
  );
}
