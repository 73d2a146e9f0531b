// What an answer is asked with: model, system prompt, sampling; the answer's form and tools; the file. Before it:
// playground.tsx; after it: form-panel.tsx.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import type { ChatSettings, Sampling } from './chat-request.ts';
import { ChoiceButtons } from './choice-buttons.tsx';
import { Check, Choice, Field, Quiet, TextArea, TextInput } from './controls.tsx';
import { FormPanel } from './form-panel.tsx';
import type { ServerFacts } from './server-facts.ts';

export interface SettingsPanelProps {
  readonly facts: ServerFacts;
  readonly settings: ChatSettings;
  readonly onChange: (change: Partial<ChatSettings>) => void;
  readonly onClose: () => void;
}

const TABS = ['Settings', 'Form', 'File'] as const;
type Tab = (typeof TABS)[number];

export function SettingsPanel(props: SettingsPanelProps): VNode {
  const [tab, setTab] = useState<Tab>('Settings');
  return (
    <aside class="panel" aria-label="Settings of the next answer">
      <header>
        <ChoiceButtons
          label="Kind of settings"
          value={tab}
          onChange={setTab}
          options={TABS.map((name) => ({ value: name, label: <TabLabel name={name} {...props} /> }))}
        />
        <Quiet
          icon="close"
          size={18}
          class="quiet narrow-only"
          aria-label="Close the settings"
          onClick={props.onClose}
        />
      </header>
      {tab === 'Settings' && <General {...props} />}
      {tab === 'Form' && <FormPanel {...props} />}
      {tab === 'File' && <FilePanel {...props} />}
    </aside>
  );
}

function TabLabel({ name, settings }: SettingsPanelProps & { readonly name: Tab }): VNode {
  return (
    <>
      {name}
      {isSet(name, settings) && <span class="dot" title="in use" />}
    </>
  );
}

function isSet(tab: Tab, { form, tools, file }: ChatSettings): boolean {
  if (tab === 'Form') return form !== 'text' || tools.length > 0;
  return tab === 'File' && file.text !== '';
}

const SAMPLING: readonly { readonly name: keyof Sampling; readonly label: string; readonly hint: string }[] =
  [
    { name: 'temperature', label: 'Temperature', hint: '0 – 2' },
    { name: 'maxTokens', label: 'Longest answer', hint: 'tokens' },
    { name: 'topP', label: 'Top p', hint: '0 – 1' },
    { name: 'topK', label: 'Top k', hint: '0 is off' },
    { name: 'minP', label: 'Min p', hint: '0 – 1' },
    { name: 'repetitionPenalty', label: 'Repetition', hint: '1 is off' },
    { name: 'seed', label: 'Seed', hint: 'random' },
  ];

function General({ facts, settings, onChange }: SettingsPanelProps): VNode {
  const { sampling } = settings;
  const setSampling = (change: Partial<Sampling>): void => onChange({ sampling: { ...sampling, ...change } });
  return (
    <div class="panel-body">
      {facts.models.length > 1 && (
        <Field label="Model or lane">
          <Choice
            options={['', ...facts.models.map(({ id }) => id)]}
            words={{ '': 'the server’s choice' }}
            value={settings.model}
            onChange={(model) => onChange({ model })}
          />
        </Field>
      )}
      <Field label="System prompt">
        <TextArea
          rows={4}
          placeholder="Be brief."
          value={settings.system}
          onChange={(system) => onChange({ system })}
        />
      </Field>
      <div class="grid-2">
        {SAMPLING.map(({ name, label, hint }) => (
          <Field label={label} key={name}>
            <TextInput
              inputMode="decimal"
              placeholder={hint}
              value={sampling[name]}
              onChange={(value) => setSampling({ [name]: value })}
            />
          </Field>
        ))}
      </div>
      <Field label="Stop at (one a line)">
        <TextArea rows={2} value={sampling.stop} onChange={(stop) => setSampling({ stop })} />
      </Field>
      <p class="hint">What is left empty is the server’s to choose.</p>
    </div>
  );
}

function FilePanel({ settings: { file, sendFile }, onChange }: SettingsPanelProps): VNode {
  return (
    <div class="panel-body">
      <p class="hint">
        Paste a file: code in answers can be compared to it and applied. Shown to the model, it also guesses
        the answer ahead, so that edits come faster.
      </p>
      <Field label="Name">
        <TextInput value={file.name} onChange={(name) => onChange({ file: { ...file, name } })} />
      </Field>
      <Field label="Text">
        <TextArea
          class="mono"
          rows={16}
          spellcheck={false}
          value={file.text}
          onChange={(text) => onChange({ file: { ...file, text } })}
        />
      </Field>
      <Check
        label="Show it to the model, and predict the answer from it"
        checked={sendFile}
        onChange={(next) => onChange({ sendFile: next })}
      />
    </div>
  );
}
