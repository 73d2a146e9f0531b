// Asks for the API key, for this tab only. Before it: whole-page.tsx.
import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Failure, Field, Form, TextInput } from './controls.tsx';
import { Icon } from './icons.tsx';

export interface KeyDialogProps {
  readonly refused: boolean; // a key was tried
  readonly onKey: (key: string) => void;
}

export function KeyDialog({ refused, onKey }: KeyDialogProps): VNode {
  const [key, setKey] = useState('');
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="key-title" onCancel={(event) => event.preventDefault()}>
      <Form onSubmit={() => key.trim() !== '' && onKey(key.trim())}>
        <h2 id="key-title">
          <Icon name="key" /> This server wants an API key
        </h2>
        <Field label="API key">
          <TextInput isSecret value={key} onChange={setKey} />
        </Field>
        <Failure words={refused ? 'That is not one of its keys.' : ''} />
        <p class="hint">It is kept until this tab is closed, and sent to this server only.</p>
        <button type="submit" class="primary" disabled={key.trim() === ''}>
          Continue
        </button>
      </Form>
    </dialog>
  );
}
