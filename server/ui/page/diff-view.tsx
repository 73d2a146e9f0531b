// A block of code beside the file that it changes, line by line, and the button that takes it over. Before it: playground.tsx;
// after it: file-diff.ts.
import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import { Quiet } from './controls.tsx';
import { changeOf, type DiffLine } from './file-diff.ts';
import { Icon } from './icons.tsx';

export interface DiffViewProps {
  readonly file: { readonly name: string; readonly text: string };
  readonly code: string;
  readonly onApply: (text: string) => void;
  readonly onClose: () => void;
}

const CONTEXT = 3; // lines that stay on either side of a change

export function DiffView({ file, code, onApply, onClose }: DiffViewProps): VNode {
  const change = useMemo(() => changeOf(file.text, code), [file.text, code]);
  const isSame = change.added + change.removed === 0;
  return (
    <section class="diff card" aria-label={`Changes to ${file.name}`}>
      <header>
        <strong>{file.name}</strong>
        <span class="plus">+{change.added}</span>
        <span class="minus">−{change.removed}</span>
        <span class="grow" />
        <button type="button" class="primary small" disabled={isSame} onClick={() => onApply(change.result)}>
          <Icon name="check" size={14} /> Apply to file
        </button>
        <Quiet icon="close" size={16} aria-label="Close the comparison" onClick={onClose} />
      </header>
      {isSame ? <p class="hint">The file already reads like this.</p> : <Lines lines={change.lines} />}
    </section>
  );
}

function Lines({ lines }: { readonly lines: readonly DiffLine[] }): VNode {
  const shown = lines.map((line, index) => line.kind !== 'same' || isNear(lines, index));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls
    <div class="diff-lines" tabIndex={0}>
      <table>
        <tbody>
          {lines.map((line, index) => {
            if (shown[index]) return <Line key={index} {...line} />;
            return shown[index - 1] !== false ? <Gap key={index} /> : null;
          })}
        </tbody>
      </table>
    </div>
  );
}

const SIGNS = { same: ' ', out: '−', in: '+' } as const;

function Line({ kind, text, before, after }: DiffLine): VNode {
  return (
    <tr class={`line-${kind}`}>
      <td class="number">{before}</td>
      <td class="number">{after}</td>
      <td class="sign">{SIGNS[kind]}</td>
      <td>
        <code>{text || ' '}</code>
      </td>
    </tr>
  );
}

function Gap(): VNode {
  return (
    <tr class="gap">
      <td colSpan={4}>⋯</td>
    </tr>
  );
}

function isNear(lines: readonly DiffLine[], index: number): boolean {
  return lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some(({ kind }) => kind !== 'same');
}
