// What a text of a conversation proves: which files a diff or an edit touches and how many lines, and whether a tool
// failed. Reads unified diffs, apply_patch bodies, search/replace blocks and the arguments of editing tools. Pure.
// Used by signals.ts and hand-off.ts, and by whoever derives events from traffic.
import { jsonValue } from '../base/json-text.ts';

/** Files and changed lines of one text. */
export interface TextChange {
  readonly files: readonly string[]; // in the order of their first mention
  readonly linesChanged: number; // added and removed
  readonly texts: readonly string[]; // what showed it, as a person reads it
}

const NOTHING: TextChange = { files: [], linesChanged: 0, texts: [] };
const EDITING_TOOL = /edit|write|patch|replace|insert|create/i;
const PATH_FIELDS = ['path', 'file_path', 'filePath', 'filename', 'file', 'target_file'];
const TEXT_FIELDS = [
  'content',
  'contents',
  'new_string',
  'new_str',
  'old_string',
  'old_str',
  'text',
  'code_edit',
];
const DEPTH_MAX = 4; // of arguments; edits lie no deeper

const SHOWN = /(?:^|\n)(?:@@|\*\*\* (?:Add|Update|Delete) File: |<<<<<<< )/;
const NAMING = /^(?:\+\+\+ (?:b\/)?|--- (?:a\/)?|\*\*\* (?:Add|Update|Delete) File: |diff --git a\/)([^\s]+)/;
const CLOSING = /^(?:>>>>>>> |\*\*\* End Patch|```)/;
const MARKS = new Set(Array.from('+-@*<>`d', (mark) => mark.charCodeAt(0))); // with which a line that means something starts

/** Diffs that stand in a text, fenced or not. */
export function changeOfText(text: string): TextChange {
  if (!SHOWN.test(text)) return NOTHING;
  const files = new Set<string>();
  let linesChanged = 0;
  let inside: 'no' | 'diff' | 'block' = 'no';
  for (let start = 0, end = 0; end < text.length; start = end + 1) {
    end = text.indexOf('\n', start);
    if (end < 0) end = text.length;
    const mark = text.charCodeAt(start);
    if (inside !== 'block' && !MARKS.has(mark)) continue; // most lines, and every request reads its whole conversation
    const line = text.slice(start, end);
    const added = mark === PLUS && line[1] !== '+';
    const removed = mark === MINUS && line[1] !== '-';
    const named = added || removed ? null : NAMING.exec(line);
    if (named !== null && named[1] !== '/dev/null') files.add(named[1]!);
    if (named !== null || line.startsWith('@@')) inside = 'diff';
    else if (line.startsWith('<<<<<<< ')) inside = 'block';
    else if (CLOSING.test(line)) inside = 'no';
    else if (inside === 'diff' && (mark === PLUS || mark === MINUS)) linesChanged++;
    else if (inside === 'block' && line !== '=======') linesChanged++;
  }
  return { files: [...files], linesChanged, texts: [text] };
}

const PLUS = 43;
const MINUS = 45;

/** What a call of an editing tool, or of a shell that applies a patch, would change. `text`: its arguments. */
export function changeOfCall(name: string, text: string): TextChange {
  const value = text.startsWith('{') ? jsonValue(text) : null;
  if (value === null) return changeOfText(text);
  const changes: TextChange[] = [];
  const add = (change: TextChange) => {
    if (change !== NOTHING) changes.push(change);
  };
  const editing = EDITING_TOOL.test(name);
  const visit = (given: unknown, depth: number): void => {
    if (typeof given === 'string') add(changeOfText(given));
    else if (typeof given === 'object' && given !== null && depth < DEPTH_MAX) {
      if (editing && !Array.isArray(given)) add(fieldChange(given as Fields));
      for (const inner of Object.values(given)) visit(inner, depth + 1);
    }
  };
  visit(value, 0);
  if (changes.length <= 1) return changes[0] ?? NOTHING;
  return {
    files: [...new Set(changes.flatMap(({ files }) => files))],
    linesChanged: changes.reduce((sum, { linesChanged }) => sum + linesChanged, 0),
    texts: changes.flatMap(({ texts }) => texts),
  };
}

const SCANNED_ENDS = 2048; // characters at either end of a tool's output, where exit codes stand

/** The exit code that a tool's output tells, in the words of common agents; null where it tells none. */
export function exitCodeOf(output: string): number | null {
  const ends =
    output.length <= 2 * SCANNED_ENDS
      ? output
      : `${output.slice(0, SCANNED_ENDS)}\n${output.slice(-SCANNED_ENDS)}`;
  const match =
    /(?:exit(?:ed)?[_ ](?:with )?(?:code|status)"?|returned exit code)\s*[:=]?\s*(-?\d{1,5})\b/i.exec(ends);
  return match === null ? null : Number(match[1]);
}

/** Whether a tool's output says that it failed: by its exit code, else by beginning with an error. */
export function toolFailed(output: string): boolean {
  const code = exitCodeOf(output);
  return code === null ? /^\W{0,3}(error|traceback|fatal|panic)\b/i.test(output) : code !== 0;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldChange(fields: Fields): TextChange {
  const field = PATH_FIELDS.find((name) => typeof fields[name] === 'string');
  if (field === undefined) return NOTHING;
  const path = fields[field] as string;
  const shown: string[] = [path];
  let linesChanged = 0;
  for (const name of TEXT_FIELDS) {
    const text = fields[name];
    if (typeof text !== 'string' || text === '') continue;
    const lines = text.split('\n');
    linesChanged += lines.length;
    const sign = name.startsWith('old') ? '-' : '+';
    shown.push(...lines.map((line) => sign + line));
  }
  return { files: [path], linesChanged, texts: linesChanged === 0 ? [] : [shown.join('\n')] };
}
