// One turn of a conversation: what was said, what an answer cost, and what can be done about it. Before it: playground.tsx.
import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { AnswerCost } from './answer-cost.tsx';
import type { CachedPrefix } from './cached-prefix.ts';
import { Failure, Form, Quiet } from './controls.tsx';
import type { Turn } from './conversation.ts';
import { Icon } from './icons.tsx';
import { Markdown } from './markdown.tsx';
import { count } from './numbers.ts';
import { ToolCalls } from './tool-calls.tsx';

export interface TurnProps {
  readonly turn: Turn;
  readonly isOpen: boolean; // its calls wait for results
  readonly onEdit: (text: string) => void;
  readonly onRegenerate: () => void;
  readonly onResults: (results: ReadonlyMap<string, string>) => void;
  readonly onDiff: ((code: string) => void) | undefined;
  /** What would stay cached if the turn were said like this. */
  readonly preview: (text: string, signal: AbortSignal) => Promise<CachedPrefix>;
  readonly later: (ms: number, fn: () => void) => () => void;
}

export function TurnView(props: TurnProps): VNode {
  const { role } = props.turn;
  if (role === 'user') return <UserTurn {...props} />;
  return role === 'tool' ? <ToolTurn turn={props.turn} /> : <AssistantTurn {...props} />;
}

function UserTurn(props: TurnProps): VNode {
  const { turn, onEdit } = props;
  const [editing, setEditing] = useState(false);
  if (editing) {
    const finish = (text: string | null): void => {
      setEditing(false);
      if (text !== null && text.trim() !== '') onEdit(text);
    };
    return <TurnEditor {...props} onFinish={finish} />;
  }
  return (
    <article class={`turn user${turn.steering ? ' steering' : ''}`}>
      <h3 class="visually-hidden">{turn.steering ? 'You, steering' : 'You'}</h3>
      {turn.steering && (
        <p class="steer-mark">
          <Icon name="steer" size={14} /> steered here
        </p>
      )}
      <div class="bubble">{turn.text}</div>
      <div class="turn-actions">
        <Quiet icon="edit" onClick={() => setEditing(true)}>
          Edit
        </Quiet>
      </div>
    </article>
  );
}

const PREVIEW_AFTER_MS = 250; // of quiet: each preview is two requests

function TurnEditor({
  turn,
  preview,
  later,
  onFinish,
}: TurnProps & { readonly onFinish: (text: string | null) => void }): VNode {
  const [text, setText] = useState(turn.text);
  const [kept, setKept] = useState<CachedPrefix | null>(null);
  useEffect(() => {
    const asking = new AbortController();
    const callOff = later(PREVIEW_AFTER_MS, () => {
      preview(text, asking.signal).then(setKept, () => setKept(null)); // a convenience: the edit works without it
    });
    return () => {
      callOff();
      asking.abort();
    };
  }, [text]);
  return (
    <Form class="turn user editing" onSubmit={() => onFinish(text)}>
      <label>
        <span class="visually-hidden">Say it otherwise</span>
        <textarea
          value={text}
          rows={Math.min(12, text.split('\n').length + 1)}
          ref={(area) => void (document.activeElement === document.body && area?.focus())}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </label>
      <div class="row">
        <span class="hint" role="status">
          {kept === null
            ? 'Everything below is written anew.'
            : `Keeps ${count(kept.keptTokens)} of ${count(kept.promptTokens)} prompt tokens cached.`}
        </span>
        <span class="grow" />
        <button type="button" class="quiet" onClick={() => onFinish(null)}>
          Cancel
        </button>
        <button type="submit" class="primary small">
          Ask again
        </button>
      </div>
    </Form>
  );
}

function AssistantTurn({ turn, isOpen, onRegenerate, onResults, onDiff }: TurnProps): VNode {
  const { text, reasoning, calls, state, stats, note } = turn;
  const isWriting = state === 'writing';
  const isEmpty = text === '' && reasoning === '' && calls.length === 0;
  return (
    <article class={`turn assistant ${state}`} aria-busy={isWriting}>
      <h3 class="visually-hidden">Answer</h3>
      {reasoning !== '' && (
        <details class="reasoning" open={text === ''}>
          <summary>Reasoning</summary>
          <p>{reasoning}</p>
        </details>
      )}
      {isWriting && isEmpty && (
        <p class="waiting" role="status">
          <span class="dots" aria-hidden="true" /> computing the prompt
        </p>
      )}
      {text !== '' && <Markdown text={text} {...(onDiff !== undefined && { onDiff })} />}
      {calls.length > 0 && <ToolCalls calls={calls} isOpen={isOpen} onResults={onResults} />}
      {state === 'failed' && <Failure words={note || 'The answer broke off.'} />}
      {state === 'cut' && <p class="hint">Cut at the longest length; raise it under Settings.</p>}
      {state === 'stopped' && <p class="hint">Stopped.</p>}
      {stats !== null && !isEmpty && <AnswerCost stats={stats} note={state === 'failed' ? '' : note} />}
      {!isWriting && state !== 'steered' && (
        <div class="turn-actions">
          <Quiet icon="again" onClick={onRegenerate}>
            Regenerate
          </Quiet>
        </div>
      )}
    </article>
  );
}

function ToolTurn({ turn }: { readonly turn: Turn }): VNode {
  return (
    <article class="turn tool">
      <h3>Result</h3>
      <pre class="tool-result">{turn.text}</pre>
    </article>
  );
}
