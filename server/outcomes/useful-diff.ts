// UsefulDiff: when does a streamed answer first contain a change that could be applied? Reads unified diffs, search/
// replace blocks, apply_patch bodies and whole rewritten files as they grow; a hunk counts when it is complete, changes
// something and fits the real text. Fed by diff-watch.ts and loadtest/measure/play/live-session.ts; patches are parsed and applied by jsdiff.
import { applyPatch, parsePatch } from 'diff';

const CONTEXT_LINES = 2; // equal lines after a rewritten place that show it is complete

export class UsefulDiff {
  readonly #original: string;
  readonly #originalLines: readonly string[];
  #lines: string[] = []; // complete lines of the answer
  #partial = '';
  #found = false;
  #rewrite: RewriteReader | null;

  constructor(original: string) {
    this.#original = original;
    this.#originalLines = original.split('\n');
    this.#rewrite = new RewriteReader(this.#originalLines);
  }

  /** More of the answer; true once the first useful hunk is complete. Never goes back to false. */
  push(text: string): boolean {
    if (this.#found || text === '') return this.#found;
    this.#partial += text;
    for (let end = this.#partial.indexOf('\n'); end !== -1; end = this.#partial.indexOf('\n')) {
      const line = this.#partial.slice(0, end).replace(/\r$/, '');
      this.#partial = this.#partial.slice(end + 1);
      this.#lines.push(line);
      if (this.#lineCompletes(line)) this.#found = true;
    }
    return this.#found;
  }

  #lineCompletes(line: string): boolean {
    if (line === '>>>>>>> REPLACE') return this.#searchReplaceFits();
    if (this.#unifiedFits()) return true;
    if (/^(@@|---|diff --git|\*\*\* |<<<<<<<)/.test(line)) this.#rewrite = null; // it is a patch, no rewritten file
    return this.#rewrite?.push(line) ?? false;
  }

  #searchReplaceFits(): boolean {
    const start = this.#lines.lastIndexOf('<<<<<<< SEARCH');
    const middle = this.#lines.lastIndexOf('=======');
    if (start === -1 || middle < start) return false;
    const search = this.#lines.slice(start + 1, middle).join('\n');
    const replace = this.#lines.slice(middle + 1, -1).join('\n');
    return search !== '' && search !== replace && this.#original.includes(search);
  }

  // The hunk that the newest line ends: by its own line counts, or because the next hunk or section begins.
  #unifiedFits(): boolean {
    const { hunk, header } = this.#openHunk();
    if (hunk === null || header === null) return false;
    const changes = hunk.filter((line) => line.startsWith('+') || line.startsWith('-'));
    if (changes.length === 0) return false;
    const counts = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(header);
    const oldLines = hunk.filter((line) => !line.startsWith('+')).length;
    const newLines = hunk.filter((line) => !line.startsWith('-')).length;
    if (counts !== null) {
      const complete = oldLines === Number(counts[1] ?? 1) && newLines === Number(counts[2] ?? 1);
      return complete && this.#applies(hunk);
    }
    // apply_patch's hunks carry no counts: they end where something else begins.
    const last = this.#lines.at(-1)!;
    return /^(@@|\*\*\* )/.test(last) && this.#applies(hunk);
  }

  #openHunk(): { hunk: string[] | null; header: string | null } {
    const last = this.#lines.length - 1;
    const endsHere = /^(@@|\*\*\* )/.test(this.#lines[last]!);
    const until = endsHere ? last : last + 1;
    for (let at = until - 1; at >= 0; at--) {
      const line = this.#lines[at]!;
      if (line.startsWith('@@')) return { hunk: this.#lines.slice(at + 1, until), header: line };
      if (!/^[ +\-\\]|^$/.test(line)) break;
    }
    return { hunk: null, header: null };
  }

  // Models count lines badly: the place is found by its context, wherever it is.
  #applies(hunk: readonly string[]): boolean {
    const lines = hunk.map((line) => (line === '' ? ' ' : line)).filter((line) => !line.startsWith('\\'));
    const oldText = lines.filter((line) => !line.startsWith('+')).map((line) => line.slice(1));
    const start = findLines(this.#originalLines, oldText);
    if (start === -1) return false;
    const newCount = lines.filter((line) => !line.startsWith('-')).length;
    const header = `@@ -${start + 1},${oldText.length} +${start + 1},${newCount} @@`;
    const patch = ['--- a', '+++ b', header, ...lines, ''].join('\n');
    try {
      const applied = applyPatch(this.#original, parsePatch(patch)[0]!);
      return applied !== false && applied !== this.#original;
    } catch {
      return false; // jsdiff's own reader did not take it: not a hunk
    }
  }
}

/** Index of the first place where `wanted` stands in `lines`, −1 if nowhere or if there is nothing to look for. */
function findLines(lines: readonly string[], wanted: readonly string[]): number {
  if (wanted.length === 0) return -1;
  for (let start = 0; start + wanted.length <= lines.length; start++) {
    if (wanted.every((line, offset) => lines[start + offset] === line)) return start;
  }
  return -1;
}

/**
 * Follows a rewritten file beside the original. It must begin like the original (a line of it is found again); a hunk
 * is complete when lines differed and then CONTEXT_LINES lines match the original again, further on.
 */
class RewriteReader {
  readonly #original: readonly string[];
  #at: number | null = null; // next line of the original that is expected; null: not begun
  #changed = false;
  #matched: string[] = []; // latest lines since the change, at most CONTEXT_LINES

  constructor(original: readonly string[]) {
    this.#original = original;
  }

  push(line: string): boolean {
    if (line.startsWith('```')) return false;
    if (this.#at === null) {
      const start = line.trim() === '' ? -1 : this.#original.indexOf(line);
      if (start !== -1) this.#at = start + 1;
      return false;
    }
    if (!this.#changed && line === this.#original[this.#at]) {
      this.#at++;
      return false;
    }
    this.#changed = true;
    this.#matched.push(line);
    if (this.#matched.length > CONTEXT_LINES) this.#matched.shift();
    if (this.#matched.length < CONTEXT_LINES || this.#matched.every((text) => text.trim() === ''))
      return false;
    return findLines(this.#original.slice(this.#at), this.#matched) !== -1;
  }
}
