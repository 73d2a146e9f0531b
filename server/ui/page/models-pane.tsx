// The models: what is served and how large, what is loaded when it is asked for, what the hub's cache holds, and pulling one more.
// Before it: whole-page.tsx; after it: live-feed.ts, GET /ui/models and POST /ui/pull.
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type Api, wordsOf } from './api.ts';
import { Card, Table } from './card.tsx';
import { Failure, Field, Form, TextInput } from './controls.tsx';
import type { LiveFeed } from './live-feed.ts';
import type { LivePull, LiveReport, LiveResident } from './live-report.ts';
import { bytes, count, percent } from './numbers.ts';
import type { ServedName, ServerFacts } from './server-facts.ts';
import { useAdminKey } from './use-admin-key.tsx';
import { useStore } from './use-store.ts';

export interface ModelsPaneProps {
  readonly api: Api;
  readonly feed: LiveFeed;
  readonly facts: ServerFacts;
}

interface Cached {
  readonly can_pull: boolean;
  readonly cached: readonly {
    readonly id: string;
    readonly files: readonly string[];
    readonly size: number;
    readonly unfinishedSize: number;
  }[];
}

export function ModelsPane({ api, feed, facts }: ModelsPaneProps): VNode {
  const [cached, setCached] = useState<Cached | null>(null);
  useEffect(() => feed.watch(), [feed]);
  const { report } = useStore(feed);
  const done = report?.pulls.filter(({ state }) => state === 'done').length ?? 0;
  useEffect(() => {
    api.json<Cached>('ui/models').then(setCached, () => setCached(null)); // the other blocks do without
  }, [api, done]);
  return (
    <div class="models">
      <header class="pane-head">
        <h1>Models</h1>
      </header>
      <div class="live-body">
        <Served facts={facts} report={report} />
        {cached?.can_pull && <PullForm api={api} pulls={report?.pulls ?? []} />}
        {cached !== null && <CachedModels cached={cached} />}
      </div>
    </div>
  );
}

function Served({ facts, report }: Readonly<{ facts: ServerFacts; report: LiveReport | null }>): VNode {
  const residents = report?.residents ?? [];
  const listed = new Set(facts.models.map(({ id }) => id));
  return (
    <Card title="Served" hint="what a request may name; what is not loaded is when it is asked for">
      <Table heads={['model', 'state', 'weights', 'context', 'can']}>
        {facts.models.map((model) => (
          <ServedRow
            key={model.id}
            model={model}
            resident={residents.find(({ name }) => name === model.id)}
          />
        ))}
        {residents
          .filter(({ name }) => !listed.has(name))
          .map((resident) => (
            <tr key={resident.name}>
              <td>{resident.name}</td>
              <td>
                <State state={resident.state} note={resident.note} />
              </td>
              <td>{bytes(resident.size)}</td>
              <td>–</td>
              <td>–</td>
            </tr>
          ))}
      </Table>
    </Card>
  );
}

function ServedRow({
  model: { id, meta, context_length, capabilities },
  resident,
}: {
  readonly model: ServedName;
  readonly resident: LiveResident | undefined;
}): VNode {
  const isHere = context_length !== undefined;
  const size = meta?.size === undefined ? '' : ` · ${bytes(meta.size)}`;
  return (
    <tr>
      <td>
        <strong>{id}</strong>
      </td>
      <td>
        <State state={resident?.state ?? (isHere ? 'loaded' : 'lane')} note={resident?.note ?? ''} />
      </td>
      <td>{meta?.n_params === undefined ? '–' : `${count(meta.n_params)}${size}`}</td>
      <td>{isHere ? `${count(context_length)} tokens` : '–'}</td>
      <td>{capabilities?.join(', ') ?? '–'}</td>
    </tr>
  );
}

const STATE_TAGS: Readonly<Record<string, string>> = { loaded: 'decode', loading: 'prefill', failed: 'bad' };

function State({ state, note }: { readonly state: string; readonly note: string }): VNode {
  return (
    <>
      <span class={`tag ${STATE_TAGS[state] ?? ''}`}>{state}</span> <span class="hint">{note}</span>
    </>
  );
}

function CachedModels({ cached: { cached } }: { readonly cached: Cached }): VNode {
  return (
    <Card title="In the cache" hint="of Hugging Face’s hub, on this machine">
      {cached.length === 0 && <p class="hint">Nothing yet.</p>}
      <Table heads={cached.length === 0 ? [] : ['model', 'size', 'files', 'to serve it']}>
        {cached.map(({ id, size, unfinishedSize, files }) => (
          <tr key={id}>
            <td>
              <strong>{id}</strong>
            </td>
            <td>
              {bytes(size)}
              {unfinishedSize > 0 && ` and ${bytes(unfinishedSize)} unfinished`}
            </td>
            <td>{files.slice(0, 3).join(', ')}</td>
            <td>
              <code>sparklane serve --model {id}</code>
            </td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

function PullForm({ api, pulls }: { readonly api: Api; readonly pulls: readonly LivePull[] }): VNode {
  const [name, setName] = useState('');
  const adminKey = useAdminKey();
  const [failure, setFailure] = useState('');
  const running = pulls[0]?.state === 'running';
  const pull = async (): Promise<void> => {
    setFailure('');
    try {
      await api.open('ui/pull', { body: { name: name.trim() }, ...adminKey.sent });
    } catch (error) {
      adminKey.onRefused(error);
      setFailure(wordsOf(error));
    }
  };
  return (
    <Card title="Pull a model" hint="from Hugging Face’s hub into its cache">
      <Form class="form" onSubmit={() => void pull()}>
        <div class="grid-2">
          <Field label="OWNER/NAME, with :FILE for one of several GGUF files">
            <TextInput placeholder="Qwen/Qwen2.5-0.5B-Instruct" value={name} onChange={setName} />
          </Field>
          {adminKey.field}
        </div>
        <button type="submit" class="primary small" disabled={running || name.trim() === ''}>
          {running ? 'Pulling…' : 'Pull'}
        </button>
        <Failure words={failure} />
      </Form>
      {pulls.map((one, index) => (
        <PullLine key={index} pull={one} />
      ))}
    </Card>
  );
}

function PullLine({ pull: { name, doneSize, totalSize, state, note } }: { readonly pull: LivePull }): VNode {
  return (
    <div class="pull">
      <strong>{name}</strong>
      <progress
        max={Math.max(1, totalSize)}
        value={state === 'done' ? totalSize || 1 : doneSize}
        aria-label={name}
      />
      <span class="hint">
        {state === 'running' && totalSize > 0 && `${percent(doneSize / totalSize)} of ${bytes(totalSize)}`}
        {state === 'running' && totalSize === 0 && 'asking the hub…'}
        {state !== 'running' && `${state}: ${note}`}
      </span>
    </div>
  );
}
