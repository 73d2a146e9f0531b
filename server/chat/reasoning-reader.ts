// Reasoning that a model writes before its answer, between marks or up to one where the prompt has opened it. Owns the
// border between the two; the marks and the white space beside them are shown to nobody. Before it: generations' text;
// after it: the reader of the answer itself (answer-reader.ts).
import type { ReasoningMarks } from '../../models/template/reasoning-marks.ts';
import { partialTag } from '../tools/call-parser.ts';
import type { AnswerEvents, AnswerReader } from './answer-reader.ts';

/** How an answer begins. */
export interface ReasoningStart {
  readonly marks: ReasoningMarks;
  readonly open: boolean; // the prompt has opened it
}

type State = 'start' | 'opened' | 'reasoning' | 'gap' | 'answer';

export class ReasoningReader implements AnswerReader {
  readonly #marks: ReasoningMarks;
  readonly #events: Pick<AnswerEvents, 'reasoning'>;
  readonly #answer: AnswerReader;
  #state: State;
  #pending = ''; // not yet told
  #reasoned = false; // some was told

  constructor(
    { marks, open }: ReasoningStart,
    events: Pick<AnswerEvents, 'reasoning'>,
    answer: AnswerReader,
  ) {
    this.#marks = marks;
    this.#events = events;
    this.#answer = answer;
    this.#state = open ? 'opened' : 'start';
  }

  get inCall(): boolean {
    return this.#state === 'answer' && this.#answer.inCall;
  }

  push(delta: Parameters<AnswerReader['push']>[0]): void {
    if (this.#state === 'answer') {
      this.#answer.push(delta);
      return;
    }
    this.#pending += delta.text;
    while (this.#advance());
  }

  /** Something else than text comes: no mark does any more. */
  settle(): void {
    if (this.#state === 'opened' || this.#state === 'reasoning') {
      this.#reason(this.#pending);
      this.#pending = '';
    }
    if (this.#state !== 'answer') this.#enterAnswer();
  }

  end(cut: boolean): void {
    const { open, close } = this.#marks;
    const left = this.#pending.trimEnd();
    this.#pending = '';
    if (this.#state === 'start' && !(cut && isBeginning(left.trimStart(), open)))
      this.#answer.push({ text: left });
    if (this.#state === 'opened' || this.#state === 'reasoning') {
      const shown = left.slice(0, left.length - partialTag(left, close)).trimEnd();
      this.#reason(shown);
    }
    this.#answer.end(cut);
  }

  /** False when more text is needed. */
  #advance(): boolean {
    switch (this.#state) {
      case 'start':
        return this.#findOpening('opened', 'answer');
      case 'opened': // a model may repeat what the prompt wrote
        return this.#findOpening('reasoning', 'reasoning');
      case 'reasoning':
        return this.#findClosing();
      case 'gap':
        this.#pending = this.#pending.trimStart();
        return this.#pending !== '' && this.#enterAnswer();
      case 'answer':
        return false;
    }
  }

  #findOpening(found: State, other: State): boolean {
    const { open, close } = this.#marks;
    const text = this.#pending.trimStart();
    const isOpen = text.startsWith(open);
    if (!isOpen && (isBeginning(text, open) || (this.#state === 'opened' && isBeginning(text, close))))
      return false;
    if (!isOpen && other === 'answer') return this.#enterAnswer();
    this.#pending = isOpen ? text.slice(open.length).trimStart() : text;
    this.#state = isOpen ? found : other;
    return true;
  }

  #findClosing(): boolean {
    const { close } = this.#marks;
    const at = this.#pending.indexOf(close);
    // White space waits: it is dropped if the mark follows.
    const sure = at >= 0 ? at : this.#pending.length - partialTag(this.#pending, close);
    const shown = this.#pending.slice(0, sure).trimEnd();
    this.#reason(shown);
    this.#pending = this.#pending.slice(at >= 0 ? at + close.length : shown.length);
    if (at >= 0) this.#state = 'gap';
    return at >= 0;
  }

  /** White space at its beginning belongs to the mark. */
  #reason(text: string): void {
    const shown = this.#reasoned ? text : text.trimStart();
    if (shown === '') return;
    this.#reasoned = true;
    this.#events.reasoning(shown);
  }

  #enterAnswer(): boolean {
    this.#state = 'answer';
    this.#answer.push({ text: this.#pending });
    this.#pending = '';
    return false;
  }
}

/** Also of the mark as a whole, and of nothing. */
function isBeginning(text: string, mark: string): boolean {
  return mark.startsWith(text);
}
