// A block of code: its language, its colours, and what can be done with it. Used by markdown.tsx, the diff and the
// fill-in-the-middle pane.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { highlight } from './highlight.ts';
import { Icon } from './icons.tsx';

export interface CodeBlockProps {
  readonly code: string;
  readonly language: string;
  readonly onDiff?: ((code: string) => void) | undefined;
}

export function CodeBlock({ code, language, onDiff }: CodeBlockProps): VNode {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard?.writeText(code).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <figure class="code">
      <figcaption>
        <span>{language || 'code'}</span>
        <span class="grow" />
        {onDiff !== undefined && (
          <button type="button" class="quiet" onClick={() => onDiff(code)}>
            <Icon name="diff" size={14} /> Compare to file
          </button>
        )}
        <button type="button" class="quiet" onClick={copy}>
          <Icon name={copied ? 'check' : 'copy'} size={14} /> {copied ? 'Copied' : 'Copy'}
        </button>
      </figcaption>
      {/* It scrolls by itself, so the keyboard has to reach it. */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls */}
      <pre tabIndex={0}>
        <Code code={code} language={language} />
      </pre>
    </figure>
  );
}

export function Code({ code, language }: Pick<CodeBlockProps, 'code' | 'language'>): VNode {
  return (
    <code>
      {highlight(code, language).map(({ kind, text }, index) =>
        kind === 'plain' ? (
          text
        ) : (
          <span key={index} class={`hl-${kind}`}>
            {text}
          </span>
        ),
      )}
    </code>
  );
}
