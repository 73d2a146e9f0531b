// The answers of a session in the order in which its reader hears of them: one after the other, also when a steered one
// has not been read while its successor is being drawn. Owns who listens, and what a reader that comes back hears again;
// starts no answer. Before it: session.ts; after it: session-answer.ts.
import { type Fault, fault } from '../base/errors.ts';
import type { PrefillReport } from './prefill-ahead.ts';
import type { AnswerListener, EndedAnswer, SessionAnswer } from './session-answer.ts';

/** Who listens to a session. */
export interface SessionReader extends AnswerListener {
  onPrefilled(report: PrefillReport): void;
  /** A steer: the answer before has stopped, and the last `tokenCount` tokens are what `generation` brought. */
  onSteered(generation: number, appended: { readonly tokenCount: number; readonly position: number }): void;
  /** A steer: the answer before has stopped, but its content (no onSteered before) or its question was refused. */
  onRefused(generation: number, refused: Fault): void;
}

/** What a reader that comes back has: everything before token `index` of `generation`. */
export interface ReadPoint {
  readonly generation: number;
  readonly index: number;
}

const ANSWERS_KEPT = 2; // a steered answer may not have been read when its successor begins

export class AnswerLine {
  #reader: SessionReader | null;
  #answers: SessionAnswer[] = []; // the latest last, at most ANSWERS_KEPT
  #notes: ((reader: SessionReader) => void)[] = []; // of a steer, at most two
  #notesAfter: SessionAnswer | null = null; // the notes wait until this one is told

  constructor(reader: SessionReader) {
    this.#reader = reader;
  }

  get reader(): SessionReader | null {
    return this.#reader;
  }

  get latest(): SessionAnswer | null {
    return this.#answers.at(-1) ?? null;
  }

  /** The latest answer that has ended, if it is kept. */
  get ended(): EndedAnswer | null {
    for (const { ended } of this.#answers.toReversed()) if (ended !== null) return ended;
    return null;
  }

  add(answer: SessionAnswer): void {
    this.#answers = [...this.#answers.slice(1 - ANSWERS_KEPT), answer];
  }

  /** The reader, if it is this answer's turn to be told. */
  readerFor(answer: SessionAnswer): SessionReader | null {
    if (this.#answers.find(({ told }) => !told) !== answer) return null;
    if (answer === this.latest) this.#tellNotes();
    return this.#reader;
  }

  /** Tells the reader once the answer that is the latest now is told. */
  note(note: (reader: SessionReader) => void): void {
    if (this.#notes.length === 0) this.#notesAfter = this.latest;
    this.#notes.push(note);
    this.#tellNotes();
  }

  /** Another reader, from where it says on; null wants only what comes. A fault changes nothing. */
  attach(reader: SessionReader, from: ReadPoint | null): Fault | null {
    if (from === null) {
      for (const answer of this.#answers.slice(0, -1)) answer.settle();
      this.latest?.skip();
    } else {
      const refused = this.#rewind(from);
      if (refused !== null) return refused;
    }
    this.#notes = []; // whoever comes back is told where the session stands
    this.#reader = reader;
    return null;
  }

  detach(): void {
    this.#reader = null;
    for (const answer of this.#answers) answer.deliver(); // sets its pace
  }

  /** The reader can take more. */
  flush(): void {
    for (const answer of this.#answers) answer.deliver();
    this.#tellNotes();
  }

  #tellNotes(): void {
    const reader = this.#reader;
    if (reader === null || this.#notesAfter?.told === false) return;
    for (const note of this.#notes.splice(0)) note(reader);
  }

  /** Makes the kept answers tell again what comes after `from`. */
  #rewind({ generation, index }: ReadPoint): Fault | null {
    const { latest } = this;
    if (latest === null || generation > latest.generation) return null; // the question never arrived
    const at = this.#answers.findIndex((answer) => answer.generation === generation);
    if (at === -1) {
      const message = `generation ${generation} is no longer kept, the latest is ${latest.generation}`;
      return fault('replay_gone', message, { param: 'generation' });
    }
    const again = this.#answers.slice(at);
    for (const [i, { state }] of again.entries()) {
      const wanted = i === 0 ? index : 0;
      const { firstIndex, nextIndex } = state;
      if (wanted >= firstIndex && wanted <= nextIndex) continue;
      const message = `of generation ${state.generation} tokens ${firstIndex} to ${nextIndex} are kept, not ${wanted}`;
      return fault('replay_gone', message, { param: 'index' });
    }
    for (const answer of this.#answers.slice(0, at)) answer.settle();
    for (const [i, answer] of again.entries()) answer.rewind(i === 0 ? index : 0);
    return null;
  }
}
