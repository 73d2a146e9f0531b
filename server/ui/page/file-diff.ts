// What a block of code would change in a file: where in the file it belongs, the lines that go and come, and the file with it
// applied. Pure. Used by diff-view.tsx.
import { diffLines } from 'diff/lib/diff/line.js';

export interface DiffLine {
  readonly kind: 'same' | 'out' | 'in';
  readonly text: string;
  readonly before: number | null; // line of the file, from 1
  readonly after: number | null; // line of the changed file
}

export interface FileChange {
  readonly lines: readonly DiffLine[];
  readonly result: string; // the file, changed
  readonly added: number;
  readonly removed: number;
}

/**
 * `code` is the whole new file, or a part of it: then it replaces the stretch that it resembles most, found by the lines
 * that both have.
 */
export function changeOf(file: string, code: string): FileChange {
  const stretch = stretchOf(file.split('\n'), trimmed(code).split('\n'));
  const lines = file.split('\n');
  const replaced = [
    ...lines.slice(0, stretch.from),
    ...trimmed(code).split('\n'),
    ...lines.slice(stretch.to),
  ];
  const result =
    stretch.from === 0 && stretch.to === lines.length ? wholeFile(file, code) : replaced.join('\n');
  return { ...linesOf(file, result), result };
}

function linesOf(file: string, result: string): Omit<FileChange, 'result'> {
  const lines: DiffLine[] = [];
  let [before, after, added, removed] = [1, 1, 0, 0];
  for (const part of diffLines(file, result)) {
    for (const text of trimmed(part.value).split('\n')) {
      if (part.added) {
        added++;
        lines.push({ kind: 'in', text, before: null, after: after++ });
      } else if (part.removed) {
        removed++;
        lines.push({ kind: 'out', text, before: before++, after: null });
      } else lines.push({ kind: 'same', text, before: before++, after: after++ });
    }
  }
  return { lines, added, removed };
}

/** Lines of the file that the code stands for; all of them where it shares too little to say. */
function stretchOf(file: readonly string[], code: readonly string[]): { from: number; to: number } {
  const whole = { from: 0, to: file.length };
  const telling = (line: string): boolean => /\w/.test(line);
  const first = code.find(telling);
  const last = code.findLast(telling);
  if (first === undefined || last === undefined || sharesMost(file, code)) return whole;
  const from = file.findIndex((line) => line.trim() === first.trim());
  if (from < 0) return whole;
  const lead = code.indexOf(first);
  const tail = code.length - 1 - code.lastIndexOf(last);
  const to = endOf(file, { from, length: code.length, last: last.trim(), tail, opening: file[from]! });
  return { from: Math.max(0, from - lead), to };
}

const SHARED_MOST = 0.6; // of the file's lines: then the code is the file

function sharesMost(file: readonly string[], code: readonly string[]): boolean {
  const said = new Set(code.map((line) => line.trim()));
  const telling = file.filter((line) => /\w/.test(line));
  return telling.filter((line) => said.has(line.trim())).length >= SHARED_MOST * telling.length;
}

/** After the line that ends the code, or, if it ends otherwise, after the block that begins where the code does. */
function endOf(
  file: readonly string[],
  part: { from: number; length: number; last: string; tail: number; opening: string },
): number {
  const near = file.findIndex((line, index) => index > part.from && line.trim() === part.last);
  const block = blockEnd(file, part.from, part.opening);
  if (near < 0 || near > part.from + 3 * part.length) return block;
  return Math.max(Math.min(file.length, near + 1 + part.tail), /^\W*$/.test(part.last) ? block : 0);
}

/** The first line after `from` that is indented as it is, and is no opening line itself, closes its block. */
function blockEnd(file: readonly string[], from: number, opening: string): number {
  const depth = indentOf(opening);
  for (let at = from + 1; at < file.length; at++) {
    if (file[at]!.trim() === '' || indentOf(file[at]!) > depth) continue;
    return /^[\s)\]}]*[)\]};,]+\s*$/.test(file[at]!) ? at + 1 : at;
  }
  return file.length;
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/** A file ends as it did. */
function wholeFile(file: string, code: string): string {
  return file === '' || file.endsWith('\n') ? `${trimmed(code)}\n` : trimmed(code);
}

function trimmed(text: string): string {
  return text.endsWith('\n') ? text.slice(0, -1) : text;
}
