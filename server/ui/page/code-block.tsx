// A block of code: its language, its colours, and what can be done with it. Used by markdown.tsx, the diff and the
// fill-in-the-middle pane.
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { Quiet } from './controls.tsx';
import { highlight } from './highlight.ts';

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
          <Quiet icon="diff" onClick={() => onDiff(code)}>
            Compare to file
          </Quiet>
        )}
        <Quiet icon={copied ? 'check' : 'copy'} onClick={copy}>
          {copied ? 'Copied' : 'Copy'}
        </Quiet>
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
