// The playground: a conversation, what it is asked with, and the file beside it. Before it: whole-page.tsx; after it:
// playground-store.ts.
import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Api } from './api.ts';
import type { Browser } from './browser.ts';
import { cachedPrefix } from './cached-prefix.ts';
import { messagesOfRounds } from './chat-request.ts';
import { ChoiceButtons } from './choice-buttons.tsx';
import { Composer } from './composer.tsx';
import { Quiet } from './controls.tsx';
import { openCalls } from './conversation.ts';
import { DiffView } from './diff-view.tsx';
import { FimPane } from './fim-pane.tsx';
import { Spark } from './icons.tsx';
import type { PlaygroundStore } from './playground-store.ts';
import type { ServerFacts } from './server-facts.ts';
import { SettingsPanel } from './settings-panel.tsx';
import { TurnView } from './turn.tsx';
import { useStore } from './use-store.ts';

export interface PlaygroundProps {
  readonly api: Api;
  readonly browser: Browser;
  readonly store: PlaygroundStore;
  readonly facts: ServerFacts;
}

const MODES = [
  { value: 'chat', label: 'Chat' },
  { value: 'fim', label: 'Fill in the middle' },
] as const;

export function Playground(props: PlaygroundProps): VNode {
  const [mode, setMode] = useState<'chat' | 'fim'>(props.facts.canChat ? 'chat' : 'fim');
  const [panelOpen, setPanelOpen] = useState(false);
  return (
    <div class={`playground${panelOpen ? ' panel-open' : ''}`}>
      <header class="pane-head">
        <h1>Playground</h1>
        <ChoiceButtons label="What to try" options={MODES} value={mode} onChange={setMode} />
        <span class="grow" />
        {mode === 'chat' && (
          <>
            <Quiet icon="plus" size={16} aria-label="New chat" onClick={() => props.store.clear()}>
              <span class="wide-only">New chat</span>
            </Quiet>
            <Quiet
              icon="tune"
              size={16}
              class="quiet narrow-only"
              aria-expanded={panelOpen}
              onClick={() => setPanelOpen(!panelOpen)}
            >
              Settings
            </Quiet>
          </>
        )}
      </header>
      {mode === 'chat' ? (
        <Chat {...props} onClosePanel={() => setPanelOpen(false)} />
      ) : (
        <FimPane {...props} />
      )}
    </div>
  );
}

function Chat({ onClosePanel, ...props }: PlaygroundProps & { readonly onClosePanel: () => void }): VNode {
  const { store, facts } = props;
  const { conversation, settings } = useStore(store);
  const [compared, setCompared] = useState<string | null>(null);
  const { turns } = conversation;
  return (
    <div class="chat">
      <div class="talk">
        <Turns {...props} onDiff={settings.file.text === '' ? undefined : setCompared} />
        {compared !== null && (
          <DiffView
            file={settings.file}
            code={compared}
            onClose={() => setCompared(null)}
            onApply={(text) => {
              store.configure({ file: { ...settings.file, text } });
              setCompared(null);
            }}
          />
        )}
        {turns.length === 0 && <Beginning facts={facts} onSay={(text) => void store.say(text)} />}
        <Composer
          writing={store.writing}
          onSay={(text) => void store.say(text)}
          onStop={() => store.stop()}
        />
      </div>
      <SettingsPanel
        facts={facts}
        settings={settings}
        onChange={(change) => store.configure(change)}
        onClose={onClosePanel}
      />
    </div>
  );
}

function Turns({
  api,
  browser,
  store,
  facts,
  onDiff,
}: PlaygroundProps & { readonly onDiff: ((code: string) => void) | undefined }): VNode {
  const { conversation, settings } = useStore(store);
  const { turns } = conversation;
  const end = useRef<HTMLDivElement>(null);
  const pinned = useRef(true);
  useEffect(() => {
    if (pinned.current) end.current?.scrollIntoView({ block: 'end' });
  }, [turns]);
  const open = openCalls(conversation).length > 0;
  return (
    <section
      class={`turns${turns.length === 0 ? ' empty' : ''}`}
      aria-label="Conversation"
      aria-live="polite"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls
      tabIndex={0}
      onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
        pinned.current = scrollHeight - scrollTop - clientHeight < 48;
      }}
    >
      {turns.map((turn, index) => (
        <TurnView
          key={turn.id}
          turn={turn}
          isOpen={open && index === turns.length - 1}
          later={browser.later}
          onEdit={(text) => void store.edit(turn.id, text)}
          onRegenerate={() => void store.regenerate(turn.id)}
          onResults={(results) => void store.answerCalls(results)}
          onDiff={onDiff}
          preview={(text, signal) => {
            const edited = [...turns.slice(0, index), { ...turn, text }];
            const [before, after] = [turns, edited].map((all) => messagesOfRounds({ turns: all }, settings));
            return cachedPrefix(api, before!, after!, { blockSize: facts.blockSize, signal });
          }}
        />
      ))}
      <div ref={end} />
    </section>
  );
}

const EXAMPLES = [
  'What is the capital of France?',
  'Write a TypeScript function that reverses a string.',
  'Explain what a KV cache is in two sentences.',
];

function Beginning({ facts, onSay }: Readonly<{ facts: ServerFacts; onSay: (text: string) => void }>): VNode {
  return (
    <div class="beginning">
      <Spark size={44} />
      <h2>Talk to {facts.modelName}</h2>
      <p class="hint">
        Write on while it answers to steer it; edit any earlier turn, and see what stays cached.
      </p>
      <div class="examples">
        {EXAMPLES.map((text) => (
          <button type="button" key={text} class="card" onClick={() => onSay(text)}>
            {text}
          </button>
        ))}
      </div>
    </div>
  );
}
