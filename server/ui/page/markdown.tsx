// What a model writes, as nodes of the page. `marked` only reads the text; the nodes are made here, from a closed list of
// elements, so that nothing a model says can become markup, a script, a style or a request. Used by turn.tsx.
import { lexer, type Token, type Tokens } from 'marked';
import { type ComponentChild, Fragment, type VNode } from 'preact';
import { CodeBlock } from './code-block.tsx';
import { isHarmless } from './harmless-link.ts';

export interface MarkdownProps {
  readonly text: string;
  readonly onDiff?: (code: string) => void; // a code block is to be compared to the file
}

export function Markdown({ text, onDiff }: MarkdownProps): VNode {
  return <div class="prose">{blocks(lexer(text, { gfm: true }), onDiff)}</div>;
}

function blocks(tokens: readonly Token[], onDiff: MarkdownProps['onDiff']): ComponentChild[] {
  return tokens.map((token, index) => (
    <Fragment key={index}>{block(token as Tokens.Generic, onDiff)}</Fragment>
  ));
}

function block(token: Tokens.Generic, onDiff: MarkdownProps['onDiff']): ComponentChild {
  const inner = (): ComponentChild[] => inlines(token.tokens ?? []);
  switch (token.type) {
    case 'space':
    case 'def':
      return null;
    case 'heading':
      // Under the page's own headings, whatever its depth in the answer.
      return <p class={`heading depth-${Math.min(4, token['depth'] as number)}`}>{inner()}</p>;
    case 'paragraph':
      return <p>{inner()}</p>;
    case 'text':
      return token.tokens === undefined ? plain(token['text'] as string) : inner();
    case 'code':
      return <CodeBlock code={token['text'] as string} language={languageOf(token)} onDiff={onDiff} />;
    case 'blockquote':
      return <blockquote>{blocks(token.tokens ?? [], onDiff)}</blockquote>;
    case 'list':
      return list(token as Tokens.List, onDiff);
    case 'table':
      return table(token as Tokens.Table);
    case 'hr':
      return <hr />;
    default:
      return <p>{token.raw}</p>; // HTML among them: shown as it was written
  }
}

function list({ ordered, start, items }: Tokens.List, onDiff: MarkdownProps['onDiff']): VNode {
  const entries = items.map((item, index) => (
    <li key={index}>
      {item.task && <input type="checkbox" checked={item.checked === true} disabled aria-label="task" />}
      {blocks(item.tokens, onDiff)}
    </li>
  ));
  return ordered ? <ol start={typeof start === 'number' ? start : 1}>{entries}</ol> : <ul>{entries}</ul>;
}

function table({ header, rows }: Tokens.Table): VNode {
  return (
    <div class="table-box">
      <table>
        <thead>
          <tr>
            {header.map((cell, index) => (
              <th key={index} scope="col">
                {inlines(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column}>{inlines(cell.tokens)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inlines(tokens: readonly Token[]): ComponentChild[] {
  return tokens.map((token, index) => <Fragment key={index}>{inline(token as Tokens.Generic)}</Fragment>);
}

function inline(token: Tokens.Generic): ComponentChild {
  const inner = (): ComponentChild[] => inlines(token.tokens ?? []);
  switch (token.type) {
    case 'strong':
      return <strong>{inner()}</strong>;
    case 'em':
      return <em>{inner()}</em>;
    case 'del':
      return <del>{inner()}</del>;
    case 'codespan':
      return <code>{token['text'] as string}</code>;
    case 'br':
      return <br />;
    case 'link':
      return link(token['href'] as string, inner());
    case 'image': // is not fetched: its address would tell who reads
      return link(token['href'] as string, [`image: ${token['text'] as string}`]);
    case 'text':
    case 'escape':
      return token.tokens === undefined ? plain(token['text'] as string) : inner();
    default:
      return token.raw;
  }
}

function link(href: string, inner: ComponentChild[]): ComponentChild {
  if (!isHarmless(href)) return inner;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {inner}
    </a>
  );
}

function languageOf(token: Tokens.Generic): string {
  return /^[\w+#.-]*/.exec((token['lang'] as string | undefined) ?? '')![0];
}

/** `marked` leaves the five entities that it writes itself in its texts. */
function plain(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: keyof typeof ENTITIES) => ENTITIES[name]);
}

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" } as const;
