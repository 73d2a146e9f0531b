// Another device in the place of the one that serves, while answers are being written. Before it: hardware-pane.tsx; after it:
// POST /admin/backend.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { type Api, wordsOf } from './api.ts';
import { Card } from './card.tsx';
import { Choice, Field, Form } from './controls.tsx';
import type { Hardware } from './hardware.ts';
import { useAdminKey } from './use-admin-key.tsx';

export interface DeviceFormProps {
  readonly api: Api;
  readonly hardware: Hardware;
  readonly onReplaced: () => void;
}

interface Replaced {
  readonly description: string;
  readonly moved: number;
  readonly failed: number;
  readonly elapsed_ms: number;
}

export function DeviceForm({ api, hardware, onReplaced }: DeviceFormProps): VNode {
  const [backend, setBackend] = useState('wse3');
  const [chips, setChips] = useState('');
  const [model, setModel] = useState('llama-3.1-8b');
  const [precision, setPrecision] = useState('auto');
  const [text, setText] = useState('noise');
  const [weights, setWeights] = useState('resident');
  const adminKey = useAdminKey();
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<{ readonly ok: boolean; readonly words: string } | null>(null);
  const simulated = backend !== 'cpu' && backend !== 'sim';
  const isWafer = backend.startsWith('wse');

  const replace = async (): Promise<void> => {
    setBusy(true);
    setOutcome(null);
    const place = isWafer ? weights : 'resident';
    const chosen = { sim_model: model, sim_precision: precision, sim_weights: place, sim_text: text };
    const body = { backend: backend + (simulated ? chips : ''), ...(simulated && chosen) };
    try {
      const done = await api.json<Replaced>('admin/backend', { body, ...adminKey.sent });
      const moved = `${done.moved} answers moved, ${done.failed} could not`;
      setOutcome({ ok: true, words: `${done.description}; ${moved}; ${done.elapsed_ms} ms` });
      onReplaced();
    } catch (error) {
      adminKey.onRefused(error);
      setOutcome({ ok: false, words: wordsOf(error) });
    } finally {
      setBusy(false);
    }
  };

  return (
    <Card title="Switch the device" hint="answers that are being written move along">
      <Form class="form" onSubmit={() => void replace()}>
        <div class="grid-2">
          <Field label="Device">
            <Choice options={hardware.devices} value={backend} onChange={setBackend} />
          </Field>
          {simulated && (
            <>
              <Field label="How many">
                <Choice options={['', 'x2', 'x4', 'x8']} words={WORDS} value={chips} onChange={setChips} />
              </Field>
              <Field label="Model it runs">
                <Choice options={hardware.models} value={model} onChange={setModel} />
              </Field>
              <Field label="Weights">
                <Choice
                  options={['auto', ...hardware.precisions]}
                  words={WORDS}
                  value={precision}
                  onChange={setPrecision}
                />
              </Field>
              {isWafer && (
                <Field label="Where they lie">
                  <Choice options={['resident', 'streamed']} value={weights} onChange={setWeights} />
                </Field>
              )}
              <Field label="It says">
                <Choice options={['noise', 'model']} words={WORDS} value={text} onChange={setText} />
              </Field>
            </>
          )}
          {adminKey.field}
        </div>
        <button type="submit" class="primary small" disabled={busy}>
          {busy ? 'Switching…' : 'Switch'}
        </button>
        {outcome !== null && (
          <p class={outcome.ok ? 'notice' : 'failure'} role="status">
            {outcome.words}
          </p>
        )}
      </Form>
    </Card>
  );
}

const WORDS = {
  auto: 'as published',
  '': 'one, or as many as it takes',
  noise: 'noise, at its pace',
  model: 'the served model’s answers, at its pace',
} as const;
