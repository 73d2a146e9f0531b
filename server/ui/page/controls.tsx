// The controls of forms: what is typed comes out as a text, what is chosen as one of its values; buttons with a picture, and
// what went wrong. Used by every pane.
import type { ComponentChildren, ComponentProps, VNode } from 'preact';
import { Icon, type IconName } from './icons.tsx';

interface Held<T extends string> {
  readonly value: T;
  readonly onChange: (value: T) => void;
  readonly class?: string;
  readonly 'aria-label'?: string;
  readonly placeholder?: string;
}

/** A control with its name above it. */
export function Field({ label, children }: { label: string; children: ComponentChildren }): VNode {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is the child
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

export interface TextInputProps extends Held<string> {
  readonly inputMode?: 'decimal';
  readonly isSecret?: boolean; // not shown, and not kept by the browser
}

export function TextInput({ onChange, isSecret = false, ...rest }: TextInputProps): VNode {
  const onInput = (event: { readonly currentTarget: HTMLInputElement }) =>
    onChange(event.currentTarget.value);
  if (isSecret) return <input type="password" autocomplete="off" {...rest} onInput={onInput} />;
  return <input {...rest} onInput={onInput} />;
}

export function TextArea({
  onChange,
  ...rest
}: Held<string> & Omit<ComponentProps<'textarea'>, 'onChange' | 'onInput'>): VNode {
  return <textarea {...rest} onInput={({ currentTarget }) => onChange(currentTarget.value)} />;
}

/** `words`: what people read in the place of a value. */
export function Choice<T extends string>({
  options,
  words = {},
  onChange,
  ...rest
}: Held<T> & { options: readonly T[]; words?: Readonly<Record<string, string>> }): VNode {
  return (
    <select {...rest} onChange={({ currentTarget }) => onChange(currentTarget.value as T)}>
      {options.map((one) => (
        <option key={one} value={one}>
          {words[one] ?? one}
        </option>
      ))}
    </select>
  );
}

export interface CheckProps {
  readonly label: string;
  readonly title?: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}

export function Check({ label, title, checked, onChange }: CheckProps): VNode {
  return (
    <label class="check" title={title}>
      <input
        type="checkbox"
        checked={checked}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      {label}
    </label>
  );
}

/** A button without a frame: a picture, and words where it has room. */
export function Quiet({
  icon,
  size = 14,
  children,
  ...rest
}: ComponentProps<'button'> & { icon: IconName; size?: number }): VNode {
  return (
    <button type="button" class="quiet" {...rest}>
      <Icon name={icon} size={size} />
      {children !== undefined && <> {children}</>}
    </button>
  );
}

/** A form that the page answers itself. */
export function Form({
  onSubmit,
  ...rest
}: Omit<ComponentProps<'form'>, 'onSubmit'> & { onSubmit: () => void }): VNode {
  return (
    <form
      {...rest}
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    />
  );
}

/** Nothing where there are no words. */
export function Failure({ words }: { words: string }): VNode | null {
  if (words === '') return null;
  return (
    <p class="failure" role="alert">
      {words}
    </p>
  );
}
