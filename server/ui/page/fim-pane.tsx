// Fill in the middle: a text with a cursor, and what the model would put there. Before it: playground.tsx; after it: the
// route POST /infill.
import type { VNode } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { AnswerCost } from './answer-cost.tsx';
import type { AnswerStats } from './answer-meter.ts';
import type { Api } from './api.ts';
import { wordsOf } from './api.ts';
import type { Browser } from './browser.ts';
import { Code } from './code-block.tsx';
import { Failure } from './controls.tsx';
import { type InfillAnswer, infillStats } from './infill-answer.ts';
import type { ServerFacts } from './server-facts.ts';

const EXAMPLE = `function add(a: number, b: number): number {
  
}

/** The n-th Fibonacci number. */
function fibonacci(n: number): number {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
`;
const TOKENS_MAX = 64;

interface Suggestion {
  readonly text: string;
  readonly at: number; // in the text
  readonly stats: AnswerStats;
}

export function FimPane({
  api,
  browser,
  facts,
}: {
  readonly api: Api;
  readonly browser: Browser;
  readonly facts: ServerFacts;
}): VNode {
  const [text, setText] = useState(EXAMPLE);
  const [suggestion, setSuggestion] = useState<Suggestion | null>(null);
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const asking = useRef<AbortController | null>(null);

  const drop = (): void => {
    asking.current?.abort();
    setSuggestion(null);
    setFailure('');
  };
  const complete = async (): Promise<void> => {
    drop();
    const at = area.current?.selectionStart ?? text.length;
    const mine = new AbortController();
    asking.current = mine;
    setBusy(true);
    const startedMs = browser.nowMs();
    // Greedy: what belongs there, not what might; asked twice, it says the same.
    const cut = { input_prefix: text.slice(0, at), input_suffix: text.slice(at) };
    const body = { ...cut, n_predict: TOKENS_MAX, temperature: 0 };
    try {
      const answer = await api.json<InfillAnswer>('infill', { body, signal: mine.signal });
      const stats = infillStats(answer, browser.nowMs() - startedMs);
      setSuggestion({ text: answer.content, at, stats });
    } catch (error) {
      if (!mine.signal.aborted) setFailure(wordsOf(error));
    } finally {
      if (asking.current === mine) setBusy(false);
    }
  };
  const accept = (): void => {
    if (suggestion === null) return;
    const { at, text: middle } = suggestion;
    setText(text.slice(0, at) + middle + text.slice(at));
    setSuggestion(null);
    area.current?.focus();
  };

  return (
    <div class="fim">
      {!facts.canFill && (
        <p class="notice" role="note">
          {facts.modelName} was not made to fill in the middle. Serve a model for code, such as{' '}
          <code>make serve MODEL=spark-nano</code>.
        </p>
      )}
      <div class="fim-columns">
        <label class="field">
          <span>Put the cursor where something is missing</span>
          <textarea
            ref={area}
            class="mono tall"
            spellcheck={false}
            value={text}
            onInput={({ currentTarget }) => {
              drop();
              setText(currentTarget.value);
            }}
            onKeyDown={(event) => {
              if (event.key === ' ' && event.ctrlKey) {
                event.preventDefault();
                void complete();
              } else if (event.key === 'Tab' && suggestion !== null) {
                event.preventDefault();
                accept();
              } else if (event.key === 'Escape') drop();
            }}
          />
        </label>
        <section class="fim-result" aria-label="Suggestion" aria-live="polite">
          <div class="row">
            <button type="button" class="primary small" disabled={busy} onClick={() => void complete()}>
              {busy ? 'Filling in…' : 'Fill in at the cursor'}
            </button>
            <button type="button" class="small" disabled={suggestion === null} onClick={accept}>
              Accept
            </button>
            <span class="hint wide-only">Ctrl+Space fills in, Tab accepts, Escape drops</span>
          </div>
          <Failure words={failure} />
          {suggestion !== null && <Preview text={text} suggestion={suggestion} />}
        </section>
      </div>
    </div>
  );
}

const AROUND = 400; // characters shown on either side

function Preview({ text, suggestion }: { readonly text: string; readonly suggestion: Suggestion }): VNode {
  const { at, text: middle, stats } = suggestion;
  return (
    <>
      <figure class="code">
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls */}
        <pre tabIndex={0}>
          <Code code={text.slice(Math.max(0, at - AROUND), at)} language="ts" />
          <ins>
            <Code code={middle} language="ts" />
          </ins>
          <Code code={text.slice(at, at + AROUND)} language="ts" />
        </pre>
      </figure>
      <AnswerCost stats={stats} note="" />
    </>
  );
}
