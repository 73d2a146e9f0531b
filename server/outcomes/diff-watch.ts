// DiffWatch: hears an answer, line by line, so that once it is over somebody else can say when its first useful diff was
// complete: one that applies to text that the conversation shows. Owns what is held meanwhile and how much that may be;
// nothing of it is kept. The reading itself is done in the store's thread, so that no token waits for it. Before it:
// tracker.ts; after it: useful-diff.ts.
import type { LaneConversation } from '../lanes/conversation.ts';
import { changeOfText } from '../lanes/evidence.ts';
import type { AnswerWatch } from '../lanes/observer.ts';
import { UsefulDiff } from './useful-diff.ts';

const ANSWER_LENGTH_MAX = 65_536; // characters that are heard
const ANSWER_LINES_MAX = 2048;
const ORIGINAL_LENGTH_MAX = 131_072; // characters of the conversation that a diff may apply to, the latest
const ORIGINAL_LINES_MAX = 8192; // each line of the answer may be looked for among them
const EDIT_MARK = /(^|\n)(@@|<<<<<<< |\*\*\* Begin Patch|```)/; // an answer without any proposes nothing

/** An answer and what it may apply to. */
export interface DiffQuestion {
  readonly original: string;
  readonly lines: readonly { readonly text: string; readonly atMs: number }[]; // one or more, with their ends
}

export interface ProposedDiff {
  readonly atMs: number; // time of day at which it was complete
  readonly applies: boolean | null; // null: to nothing that the conversation shows, which may not be all
}

export class DiffWatch implements AnswerWatch {
  readonly taskId: string;
  readonly #entries: LaneConversation['entries'];
  readonly #epochMs: () => number;
  readonly #lines: { readonly text: string; readonly atMs: number }[] = [];
  #open = ''; // line that has not ended
  #room = ANSWER_LENGTH_MAX;

  constructor(taskId: string, { entries }: LaneConversation, epochMs: () => number) {
    this.taskId = taskId;
    this.#entries = entries;
    this.#epochMs = epochMs;
  }

  onText(text: string): void {
    if (this.#room < text.length) {
      this.#room = 0;
      return;
    }
    this.#room -= text.length;
    this.#open += text;
    if (!text.includes('\n')) return;
    this.#lines.push({ text: this.#open, atMs: this.#epochMs() });
    this.#open = '';
    if (this.#lines.length >= ANSWER_LINES_MAX) this.#room = 0;
  }

  /** Null: the answer has nothing that looks like a change. */
  question(): DiffQuestion | null {
    const lines = [...this.#lines, { text: `${this.#open}\n`, atMs: this.#epochMs() }];
    if (!EDIT_MARK.test(lines.map(({ text }) => text).join(''))) return null;
    return { original: this.#original(), lines };
  }

  #original(): string {
    const texts: string[] = [];
    let room = ORIGINAL_LENGTH_MAX;
    for (let index = this.#entries.length - 1; index >= 0 && room > 0; index--) {
      const { kind, text } = this.#entries[index]!;
      if (kind !== 'user' && kind !== 'output') continue;
      texts.push(text.slice(0, room));
      room -= text.length;
    }
    return texts.reverse().join('\n');
  }
}

/** Null: nothing was proposed. Takes up to some hundred milliseconds where everything is as long as it may be. */
export function proposedDiff({ original, lines }: DiffQuestion): ProposedDiff | null {
  const useful = new UsefulDiff(original.split('\n').slice(-ORIGINAL_LINES_MAX).join('\n'));
  for (const { text, atMs } of lines) if (useful.push(text)) return { atMs, applies: true };
  const answer = lines.map(({ text }) => text).join('');
  const { linesChanged } = changeOfText(answer);
  return linesChanged > 0 ? { atMs: lines.at(-1)!.atMs, applies: null } : null;
}
