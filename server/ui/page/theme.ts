// Light, dark, or as the system has it: an attribute of the document, kept in the browser. Used by whole-page.tsx.
import type { TextStore } from './browser.ts';

export type Theme = 'auto' | 'light' | 'dark';

const THEMES: readonly Theme[] = ['auto', 'light', 'dark'];
const NAME = 'sparklane.theme';

export function keptTheme(store: TextStore): Theme {
  const kept = store.getItem(NAME);
  return THEMES.find((theme) => theme === kept) ?? 'auto';
}

interface Root {
  readonly dataset: Record<string, string | undefined>; // of an element
}

export function applyTheme(theme: Theme, store: TextStore, root: Root): void {
  root.dataset['theme'] = theme;
  if (theme === 'auto') store.removeItem(NAME);
  else store.setItem(NAME, theme);
}

export function nextTheme(theme: Theme): Theme {
  return THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
}
