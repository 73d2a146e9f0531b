// The page's frame: which pane is shown (by the address's hash), the theme, and the key if one is needed. Before it: main.tsx;
// after it: the panes.
import type { VNode } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { Api, ApiError, wordsOf } from './api.ts';
import type { Browser } from './browser.ts';
import { Failure } from './controls.tsx';
import { HardwarePane } from './hardware-pane.tsx';
import { Icon, type IconName, Spark } from './icons.tsx';
import { KeyDialog } from './key-dialog.tsx';
import { LiveFeed } from './live-feed.ts';
import { LivePane } from './live-pane.tsx';
import { ModelsPane } from './models-pane.tsx';
import { Playground } from './playground.tsx';
import { PlaygroundStore } from './playground-store.ts';
import { ReportsPane } from './reports-pane.tsx';
import { readFacts, type ServerFacts } from './server-facts.ts';
import { applyTheme, keptTheme, nextTheme, type Theme } from './theme.ts';

const PANES = [
  { name: 'playground', label: 'Playground', icon: 'chat' },
  { name: 'live', label: 'Live', icon: 'live' },
  { name: 'hardware', label: 'Hardware', icon: 'chip' },
  { name: 'models', label: 'Models', icon: 'model' },
  { name: 'reports', label: 'Reports', icon: 'report' },
] as const satisfies readonly {
  name: string;
  label: string;
  icon: IconName;
}[];

type PaneName = (typeof PANES)[number]['name'];

type Start =
  | { readonly kind: 'loading' }
  | { readonly kind: 'key'; readonly refused: boolean }
  | { readonly kind: 'failed'; readonly words: string }
  | { readonly kind: 'ready'; readonly facts: ServerFacts };

export function WholePage({ browser }: { readonly browser: Browser }): VNode {
  const api = useMemo(() => new Api(browser), [browser]);
  const store = useMemo(() => new PlaygroundStore(api, browser), [api, browser]);
  const feed = useMemo(() => new LiveFeed(api, browser), [api, browser]);
  const [start, setStart] = useState<Start>({ kind: 'loading' });
  const pane = usePane();
  const load = (): void => {
    readFacts(api).then(
      (facts) => setStart({ kind: 'ready', facts }),
      (error: unknown) => setStart(startAfter(error, api.key !== '')),
    );
  };
  useEffect(() => {
    api.onKeyWanted = () => setStart({ kind: 'key', refused: api.key !== '' });
    load();
  }, [api]);
  return (
    <div class="frame">
      <a class="skip" href="#main">
        Skip to the pane
      </a>
      <Navigation pane={pane} browser={browser} />
      <main id="main" tabIndex={-1}>
        {start.kind === 'loading' && <p class="centred hint">Loading…</p>}
        {start.kind === 'failed' && <Failed words={start.words} onAgain={load} />}
        {start.kind === 'ready' && pane === 'playground' && (
          <Playground api={api} browser={browser} store={store} facts={start.facts} />
        )}
        {start.kind === 'ready' && pane === 'live' && <LivePane api={api} feed={feed} facts={start.facts} />}
        {start.kind === 'ready' && pane === 'hardware' && <HardwarePane api={api} feed={feed} />}
        {start.kind === 'ready' && pane === 'models' && (
          <ModelsPane api={api} feed={feed} facts={start.facts} />
        )}
        {start.kind === 'ready' && pane === 'reports' && <ReportsPane api={api} />}
      </main>
      {start.kind === 'key' && (
        <KeyDialog
          refused={start.refused}
          onKey={(key) => {
            api.key = key;
            setStart({ kind: 'loading' });
            load();
          }}
        />
      )}
    </div>
  );
}

function startAfter(error: unknown, hadKey: boolean): Start {
  if (error instanceof ApiError && error.status === 401) return { kind: 'key', refused: hadKey };
  return { kind: 'failed', words: wordsOf(error) };
}

function Failed({ words, onAgain }: { readonly words: string; readonly onAgain: () => void }): VNode {
  return (
    <div class="centred">
      <Failure words={words} />
      <button type="button" onClick={onAgain}>
        Try again
      </button>
    </div>
  );
}

function usePane(): PaneName {
  const read = (): PaneName => PANES.find(({ name }) => `#${name}` === location.hash)?.name ?? PANES[0].name;
  const [pane, setPane] = useState(read);
  useEffect(() => {
    const follow = (): void => setPane(read);
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return pane;
}

function Navigation({ pane, browser }: { readonly pane: PaneName; readonly browser: Browser }): VNode {
  return (
    <nav aria-label="Panes">
      <a class="brand" href="#playground" aria-label="Sparklane">
        <Spark />
        <span>Sparklane</span>
      </a>
      <ul>
        {PANES.map(({ name, label, icon }) => (
          <li key={name}>
            <a href={`#${name}`} aria-current={pane === name ? 'page' : undefined}>
              <Icon name={icon} size={20} />
              <span>{label}</span>
            </a>
          </li>
        ))}
      </ul>
      <ThemeButton browser={browser} />
    </nav>
  );
}

const THEME_ICONS = { auto: 'half', light: 'sun', dark: 'moon' } as const;

function ThemeButton({ browser }: { readonly browser: Browser }): VNode {
  const [theme, setTheme] = useState<Theme>(() => keptTheme(browser.store));
  useEffect(() => applyTheme(theme, browser.store, document.documentElement), [theme]);
  return (
    <button
      type="button"
      class="theme"
      aria-label={`Theme: ${theme}`}
      title={`Theme: ${theme}`}
      onClick={() => setTheme(nextTheme(theme))}
    >
      <Icon name={THEME_ICONS[theme]} size={20} />
      <span>{theme}</span>
    </button>
  );
}
