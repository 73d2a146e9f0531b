// The admin key of one form: asked for once the server has refused without it, kept nowhere but in the form.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError } from './api.ts';
import { Field, TextInput } from './controls.tsx';

export interface AdminKey {
  readonly sent: { readonly key?: string }; // for the request
  readonly field: VNode | false; // once it is wanted
  /** A refusal for want of the key asks for it. */
  onRefused(error: unknown): void;
}

export function useAdminKey(): AdminKey {
  const [key, setKey] = useState('');
  const [isWanted, setIsWanted] = useState(false);
  return {
    sent: key === '' ? {} : { key },
    field: isWanted && (
      <Field label="Admin key">
        <TextInput isSecret value={key} onChange={setKey} />
      </Field>
    ),
    onRefused: (error) => {
      if (error instanceof ApiError && [401, 403].includes(error.status)) setIsWanted(true);
    },
  };
}
