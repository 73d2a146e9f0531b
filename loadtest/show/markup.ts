// Pieces of report pages: tables, tiles, lists of definitions, all from text, which is escaped here. Pure: markup out.
import { escaped } from './page-frame.ts';

/** Text, or text with a class of the style sheet and words that show on hovering. */
export type MarkupCell = string | { readonly text: string; readonly kind?: string; readonly title?: string };

/** Line breaks in a cell are kept. */
export function htmlTable(
  head: readonly MarkupCell[] | null,
  rows: readonly (readonly MarkupCell[])[],
): string {
  const line = (cells: readonly MarkupCell[], tag: 'th' | 'td') =>
    `<tr>${cells.map((cell) => cellOf(cell, tag)).join('')}</tr>`;
  const top = head === null ? '' : `<thead>${line(head, 'th')}</thead>`;
  return `<table>${top}<tbody>${rows.map((cells) => line(cells, 'td')).join('')}</tbody></table>`;
}

function cellOf(cell: MarkupCell, tag: 'th' | 'td'): string {
  const { text, kind = '', title = '' } = typeof cell === 'string' ? { text: cell } : cell;
  const attributes = `${kind === '' ? '' : ` class="${kind}"`}${title === '' ? '' : ` title="${escaped(title)}"`}`;
  return `<${tag}${attributes}>${escaped(text).replaceAll('\n', '<br>')}</${tag}>`;
}

/** Name, value, note. */
export function tiles(rows: readonly (readonly [string, string, string])[]): string {
  const tile = ([name, value, note]: readonly [string, string, string]) =>
    `<div class="tile"><span>${escaped(name)}</span><b>${escaped(value)}</b><span>${escaped(note)}</span></div>`;
  return `<div class="tiles">${rows.map(tile).join('')}</div>`;
}

export function definitions(entries: readonly (readonly [string, string])[]): string {
  const list = entries.map(([name, text]) => `<dt>${escaped(name)}</dt><dd>${escaped(text)}</dd>`).join('');
  return `<dl>${list}</dl>`;
}
