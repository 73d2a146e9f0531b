// What one answer cost, in a line below it. Used by turn.tsx and the fill-in-the-middle pane.
import type { VNode } from 'preact';
import type { AnswerStats } from './answer-meter.ts';
import { count, digits, milliseconds, percent } from './numbers.ts';

export function AnswerCost({ stats, note }: { readonly stats: AnswerStats; readonly note: string }): VNode {
  const { ttftMs, tokensPerSecond, outputTokens, promptTokens, cachedTokens } = stats;
  const { acceptedDrafts, rejectedDrafts } = stats;
  return (
    <dl class="answer-line">
      <Fact name="First token" value={milliseconds(ttftMs)} />
      <Fact name="Rate" value={tokensPerSecond === null ? '–' : `${digits(tokensPerSecond)} tok/s`} />
      <Fact name="Answer" value={`${count(outputTokens)} ${outputTokens === 1 ? 'token' : 'tokens'}`} />
      {promptTokens !== null && cachedTokens !== null && (
        <div class="fact cached" title={`${cachedTokens} of the prompt's ${promptTokens} tokens were cached`}>
          <dt>Cached</dt>
          <dd>
            <meter
              min={0}
              max={promptTokens}
              value={cachedTokens}
              aria-label="Prompt tokens from the cache"
            />
            {count(cachedTokens)} of {count(promptTokens)}
          </dd>
        </div>
      )}
      {acceptedDrafts + rejectedDrafts > 0 && (
        <Fact
          name="Drafts"
          value={`${count(acceptedDrafts)} of ${count(acceptedDrafts + rejectedDrafts)} kept (${percent(acceptedDrafts / (acceptedDrafts + rejectedDrafts))})`}
        />
      )}
      {note !== '' && <Fact name="Routed" value={note} />}
    </dl>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }): VNode {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
