// Devices beside each other on one load: asks the server to run the comparison and shows its report. Before it:
// hardware-pane.tsx; after it: POST /ui/compare.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { type Api, wordsOf } from './api.ts';
import { Card } from './card.tsx';
import { Choice, Failure, Field, Form, TextInput } from './controls.tsx';
import type { Hardware, Report } from './hardware.ts';
import { ReportFrame } from './report-frame.tsx';

const NUMBERS = [
  { name: 'isl', label: 'Prompt tokens' },
  { name: 'osl', label: 'Answer tokens' },
  { name: 'rate', label: 'Requests a second' },
  { name: 'requests', label: 'Requests' },
] as const;
const TRACES = ['', 'agent-sessions', 'mooncake', 'azure'];
const TRACE_WORDS = {
  '': 'random requests',
  'agent-sessions': 'recorded agent sessions',
  mooncake: 'Mooncake’s conversations',
  azure: 'Azure’s code requests',
};

export function CompareForm({ api, hardware }: { readonly api: Api; readonly hardware: Hardware }): VNode {
  const [devices, setDevices] = useState('wse3, h100x2, h200');
  const [model, setModel] = useState('llama-3.1-8b');
  const [lengths, setLengths] = useState({ isl: '1000', osl: '200', rate: '4', requests: '100' });
  const [trace, setTrace] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');
  const [report, setReport] = useState<Report | null>(null);
  const run = async (): Promise<void> => {
    setBusy(true);
    setFailure('');
    const numbers = Object.fromEntries(Object.entries(lengths).map(([name, text]) => [name, Number(text)]));
    const names = devices.split(/[\s,]+/).filter((name) => name !== '');
    try {
      setReport(
        await api.json<Report>('ui/compare', {
          body: { devices: names, model, ...numbers, ...(trace !== '' && { trace }) },
        }),
      );
    } catch (error) {
      setFailure(wordsOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Card title="Compare" hint="the same load on several devices, in simulated time">
        <Form class="form" onSubmit={() => void run()}>
          <div class="grid-2">
            <Field label="Devices (up to 4; xN for several)">
              <TextInput value={devices} onChange={setDevices} />
            </Field>
            <Field label="Model">
              <Choice options={hardware.models} value={model} onChange={setModel} />
            </Field>
            <Field label="Load">
              <Choice options={TRACES} words={TRACE_WORDS} value={trace} onChange={setTrace} />
            </Field>
            {NUMBERS.filter(({ name }) => trace === '' || name === 'requests').map(({ name, label }) => (
              <Field label={label} key={name}>
                <TextInput
                  inputMode="decimal"
                  value={lengths[name]}
                  onChange={(value) => setLengths({ ...lengths, [name]: value })}
                />
              </Field>
            ))}
          </div>
          <button type="submit" class="primary small" disabled={busy || !hardware.can_compare}>
            {busy ? 'Comparing…' : 'Compare'}
          </button>
          <Failure words={failure} />
        </Form>
      </Card>
      {report !== null && <ReportFrame report={report} onClose={() => setReport(null)} />}
    </>
  );
}
