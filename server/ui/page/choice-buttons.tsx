// A few buttons of which one is pressed. Used by every pane.
import type { ComponentChildren, VNode } from 'preact';

export interface ChoiceButtonsProps<T extends string> {
  readonly label: string; // for those who cannot see what it is for
  readonly options: readonly { readonly value: T; readonly label: ComponentChildren }[];
  readonly value: T;
  readonly onChange: (value: T) => void;
}

export function ChoiceButtons<T extends string>({
  label,
  options,
  value,
  onChange,
}: ChoiceButtonsProps<T>): VNode {
  return (
    <fieldset class="segments" aria-label={label}>
      {options.map((option) => (
        <button
          type="button"
          key={option.value}
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
        >
          {option.label}
        </button>
      ))}
    </fieldset>
  );
}
