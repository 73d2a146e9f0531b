// Where the user writes: Enter sends, or steers while an answer is being written. Before it: playground.tsx.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { Form, TextArea } from './controls.tsx';
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
    <Form class="composer" onSubmit={say}>
      <label class="grow">
        <span class="visually-hidden">Message</span>
        <TextArea
          value={text}
          rows={Math.min(8, text.split('\n').length)}
          placeholder={writing ? 'Steer the answer while it is written…' : 'Ask something…'}
          onChange={(value) => setText(value)}
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
    </Form>
  );
}
