// DiffWatch: hears an answer and says, once it is over, when its first useful diff was complete: one that applies to text
// that the conversation shows. Owns what it holds meanwhile, which is bounded; nothing of it is kept. The reading happens
// after the answer, so that no token waits for it. Before it: tracker.ts; after it: useful-diff.ts.
import type { Conversation } from '../lanes/conversation.ts';
import { changeOfText } from '../lanes/evidence.ts';
import type { AnswerWatch } from '../lanes/observer.ts';
import { UsefulDiff } from './useful-diff.ts';

const ANSWER_LENGTH_MAX = 131_072; // characters that are heard
const ORIGINAL_LENGTH_MAX = 262_144; // characters of the conversation that a diff may apply to, the latest
const EDIT_MARK = /(^|\n)(@@|<<<<<<< |\*\*\* Begin Patch|```)/; // an answer without any proposes nothing

export interface ProposedDiff {
  readonly atMs: number; // time of day at which it was complete
  readonly applies: boolean | null; // null: to nothing that the conversation shows, which may not be all
}

export class DiffWatch implements AnswerWatch {
  readonly #entries: Conversation['entries'];
  readonly #epochMs: () => number;
  readonly #pieces: { readonly text: string; readonly atMs: number }[] = [];
  #length = 0;

  constructor({ entries }: Conversation, epochMs: () => number) {
    this.#entries = entries;
    this.#epochMs = epochMs;
  }

  onText(text: string): void {
    if (text === '' || this.#length >= ANSWER_LENGTH_MAX) return;
    this.#length += text.length;
    this.#pieces.push({ text, atMs: this.#epochMs() });
  }

  /** Null: nothing was proposed. Takes milliseconds for a long answer. */
  proposed(): ProposedDiff | null {
    const answer = this.#pieces.map(({ text }) => text).join('');
    if (!EDIT_MARK.test(answer)) return null;
    const useful = new UsefulDiff(this.#original());
    for (const { text, atMs } of this.#pieces) if (useful.push(text)) return { atMs, applies: true };
    const last = this.#pieces.at(-1)!;
    if (useful.push('\n')) return { atMs: last.atMs, applies: true };
    return changeOfText(answer).linesChanged > 0 ? { atMs: last.atMs, applies: null } : null;
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
