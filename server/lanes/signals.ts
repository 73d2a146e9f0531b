// TaskSignals: what a request shows of its task, in numbers and flags; no text of it. Owns how they are read and what
// reading may cost (it is bounded). Pure. Before it: conversation.ts; after it: decide.ts, and whoever records them.
import type { Entry, LaneConversation } from './conversation.ts';
import { changeOfCall, changeOfText, type TextChange, toolFailed } from './evidence.ts';

/** JSON-able. Tokens are estimated from characters, so that no lane's tokenizer has to be asked first. */
export interface TaskSignals {
  readonly turnIndex: number; // user messages before the latest one
  readonly midTurn: boolean; // something was called or said since the latest user message: an agent's loop
  readonly promptTokens: number; // of the latest user message, about
  readonly contextTokens: number; // of everything, about
  readonly outputTokensMax: number | null; // as asked
  readonly toolsOffered: number;
  readonly toolCalls: number;
  readonly toolFailures: number;
  readonly recentFailures: number; // since the latest user message
  readonly filesNamed: number; // different paths in the latest user message
  readonly filesTouched: number; // different paths in diffs and edits so far
  readonly linesChanged: number; // by those
  readonly reworkTurns: number; // user messages, the first one apart, that send the work back
  readonly background: boolean;
  readonly words: Readonly<Record<string, number>>; // category of the policy → its words in the latest user message
}

/** What a policy's words are, as patterns (policy.ts makes them). The category `rework` also counts earlier messages. */
export interface Vocabulary {
  readonly words: ReadonlyMap<string, RegExp>; // by category
  readonly negatedBefore: RegExp | null; // a word behind one of these, in one clause, does not count
  readonly negatedAfter: RegExp | null;
}

const CHARACTERS_PER_TOKEN = 4; // code and English, byte-pair vocabularies of 32,000 to 200,000; about
const MESSAGE_SCAN_MAX = 16_384; // characters of one user message that are searched for words and paths
const EVIDENCE_SCAN_MAX = 262_144; // characters of calls, answers and outputs that are searched, the latest first
const WORD_COUNT_MAX = 32; // per category
const NEGATED_MAX = 256; // negated words of a category that are looked at
const CLAUSE_LENGTH_MAX = 80; // characters to either side in which a negation is looked for
const CLAUSE_END = /[.,;:!?\n、。，；：！？]|\b(?:but|just|only)\b/u;
const PATH =
  /(?<![\w/:.@-])(?:\.{0,2}\/)?(?:[\w@-][\w@.-]*\/)*[\w@-][\w@.-]*\.[A-Za-z][A-Za-z0-9]{0,5}(?![\w/])/g;
const NO_PATH = /^(e\.g|i\.e|(node|next|vue|react|express|three|d3)\.js)$/i;

/** The changes that the entries show, null where they show none or are too far back to be read: the latest are read first. */
export function changesOf({ entries }: Pick<LaneConversation, 'entries'>): readonly (TextChange | null)[] {
  const changes = new Array<TextChange | null>(entries.length).fill(null);
  let left = EVIDENCE_SCAN_MAX;
  for (let index = entries.length - 1; index >= 0; index--) {
    const { kind, text, name } = entries[index]!;
    if ((kind !== 'call' && kind !== 'assistant') || left < text.length) continue;
    left -= text.length;
    const change = kind === 'call' ? changeOfCall(name, text) : changeOfText(text);
    if (change.files.length > 0 || change.linesChanged > 0) changes[index] = change;
  }
  return changes;
}

/** `changes`: changesOf(conversation), where its caller needs them as well. */
export function readSignals(
  conversation: LaneConversation,
  vocabulary: Vocabulary,
  changes = changesOf(conversation),
): TaskSignals {
  const { entries, toolsOffered, outputTokensMax, background } = conversation;
  const latest = latestUser(entries);
  const asked = (entries[latest]?.text ?? '').slice(0, MESSAGE_SCAN_MAX);
  const words: Record<string, number> = {};
  for (const [category, pattern] of vocabulary.words) words[category] = countOf(asked, pattern, vocabulary);
  return {
    ...countsOf(entries, vocabulary),
    ...evidenceOf(entries, changes, latest),
    midTurn: latest >= 0 && latest < entries.length - 1,
    promptTokens: tokensOf(entries[latest]?.text.length ?? 0),
    outputTokensMax,
    toolsOffered,
    filesNamed: pathsIn(asked).size,
    background,
    words,
  };
}

function tokensOf(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

function latestUser(entries: readonly Entry[]): number {
  for (let index = entries.length - 1; index >= 0; index--) if (entries[index]!.kind === 'user') return index;
  return -1;
}

function countsOf(
  entries: readonly Entry[],
  vocabulary: Vocabulary,
): Pick<TaskSignals, 'turnIndex' | 'contextTokens' | 'reworkTurns'> {
  const rework = vocabulary.words.get('rework') ?? null;
  let users = 0;
  let reworkTurns = 0;
  let characters = 0;
  for (const { kind, text } of entries) {
    characters += text.length;
    if (kind !== 'user') continue;
    if (users++ === 0 || rework === null) continue;
    if (countOf(text.slice(0, MESSAGE_SCAN_MAX), rework, vocabulary, 1) > 0) reworkTurns++;
  }
  return { turnIndex: Math.max(0, users - 1), contextTokens: tokensOf(characters), reworkTurns };
}

function evidenceOf(
  entries: readonly Entry[],
  changes: readonly (TextChange | null)[],
  latest: number,
): Pick<TaskSignals, 'toolCalls' | 'toolFailures' | 'recentFailures' | 'filesTouched' | 'linesChanged'> {
  const files = new Set<string>();
  let linesChanged = 0;
  let toolCalls = 0;
  let toolFailures = 0;
  let recentFailures = 0;
  for (const [index, { kind, text }] of entries.entries()) {
    if (kind === 'call') toolCalls++;
    else if (kind === 'output' && toolFailed(text)) {
      toolFailures++;
      if (index > latest) recentFailures++;
    }
    const change = changes[index];
    if (change == null) continue;
    for (const file of change.files) files.add(file);
    linesChanged += change.linesChanged;
  }
  return { toolCalls, toolFailures, recentFailures, filesTouched: files.size, linesChanged };
}

/** Different words of a category in a text, those apart that are negated wherever they stand. */
function countOf(text: string, pattern: RegExp, vocabulary: Vocabulary, countMax = WORD_COUNT_MAX): number {
  const found = new Set<string>();
  let negatedCount = 0;
  for (const match of text.matchAll(pattern)) {
    const word = match[0].toLowerCase();
    if (found.has(word)) continue;
    if (isNegated(text, match.index, word.length, vocabulary)) {
      if (++negatedCount >= NEGATED_MAX) break;
      continue;
    }
    found.add(word);
    if (found.size >= countMax) break;
  }
  return found.size;
}

// As far as its clause goes: "don't refactor anything, just fix the typo" forbids the first half only.
function isNegated(text: string, index: number, length: number, vocabulary: Vocabulary): boolean {
  const { negatedBefore, negatedAfter } = vocabulary;
  const before = text.slice(Math.max(0, index - CLAUSE_LENGTH_MAX), index);
  const clause = before.split(CLAUSE_END).at(-1)!;
  if (negatedBefore?.test(clause)) return true;
  if (negatedAfter === null) return false;
  const [after = ''] = text.slice(index + length, index + length + CLAUSE_LENGTH_MAX).split(CLAUSE_END, 1);
  return negatedAfter.test(after);
}

function pathsIn(text: string): ReadonlySet<string> {
  const paths = new Set<string>();
  for (const [path] of text.matchAll(PATH)) if (!NO_PATH.test(path)) paths.add(path.replace(/^\.\//, ''));
  return paths;
}
