// Where the user writes: Enter sends, or steers while an answer is being written. Before it: playground.tsx.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { Icon } from './icons.tsx';

export interface ComposerProps {
  readonly writing: boolean;
  readonly onSay: (text: string) => void;
  readonly onStop: () => void;
}

export function Composer({ writing, onSay, onStop }: ComposerProps): VNode {
  const [text, setText] = useState('');
  const say = (): void => {
    if (text.trim() === '') return;
    onSay(text);
    setText('');
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        say();
      }}
    >
      <label class="grow">
        <span class="visually-hidden">Message</span>
        <textarea
          value={text}
          rows={Math.min(8, text.split('\n').length)}
          placeholder={writing ? 'Steer the answer while it is written…' : 'Ask something…'}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape' && writing) onStop();
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            say();
          }}
        />
      </label>
      {writing && (
        <button type="button" class="round" aria-label="Stop (Escape)" title="Stop (Escape)" onClick={onStop}>
          <Icon name="stop" />
        </button>
      )}
      <button
        type="submit"
        class="round primary"
        aria-label={writing ? 'Steer' : 'Send'}
        title={writing ? 'Steer (Enter)' : 'Send (Enter)'}
        disabled={text.trim() === ''}
      >
        <Icon name={writing ? 'steer' : 'send'} />
      </button>
    </form>
  );
}
