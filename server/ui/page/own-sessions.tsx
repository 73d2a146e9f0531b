// The sessions of this key whole: their names, with which they can be resumed, and the end of their text where the server shows it.
// Asked for, not streamed. Before it: live-pane.tsx; after it: GET /ui/sessions.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { type Api, wordsOf } from './api.ts';
import { Card } from './card.tsx';
import { Failure } from './controls.tsx';
import { count } from './numbers.ts';

interface Own {
  readonly id: string;
  readonly tokens: number;
  readonly text: string | null;
}

export function OwnSessions({ api, showsText }: { readonly api: Api; readonly showsText: boolean }): VNode {
  const [sessions, setSessions] = useState<readonly Own[] | null>(null);
  const [failure, setFailure] = useState('');
  const load = (): void => {
    setFailure('');
    api.json<{ sessions: readonly Own[] }>('ui/sessions').then(
      (found) => setSessions(found.sessions),
      (error: unknown) => setFailure(wordsOf(error)),
    );
  };
  return (
    <Card
      title="Your sessions"
      hint={showsText ? 'with the end of their text' : 'names only: texts need an API key and --ui-text on'}
    >
      <div class="row">
        <button type="button" class="small" onClick={load}>
          {sessions === null ? 'Show' : 'Look again'}
        </button>
      </div>
      <Failure words={failure} />
      {sessions?.length === 0 && <p class="hint">There is none.</p>}
      {sessions?.map(({ id, tokens, text }) => (
        <details key={id} class="own-session">
          <summary>
            <code>{id}</code> <span class="hint">{count(tokens)} tokens</span>
          </summary>
          {text !== null && <pre>{text}</pre>}
        </details>
      ))}
    </Card>
  );
}
