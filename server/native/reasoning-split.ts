// An answer of a session in two parts: the reasoning that comes first, and what is said. Owns what one piece of its text
// means of each; the border is chat/reasoning-reader.ts's. Before it: sessions/session-answer.ts, once per answer, so that a
// reader who comes back hears the same parts.
import { plainReader } from '../chat/answer-reader.ts';
import { ReasoningReader, type ReasoningStart } from '../chat/reasoning-reader.ts';
import type { AnswerSplit, SplitText } from '../sessions/session-answer.ts';

/** For answers to a prompt that ends with `promptEnd`, special tokens written out. */
export function reasoningSplit(marks: ReasoningStart['marks']): (promptEnd: string) => AnswerSplit {
  return (promptEnd) => new ReasoningSplit(marks, promptEnd.trimEnd().endsWith(marks.open));
}

class ReasoningSplit implements AnswerSplit {
  readonly #reader: ReasoningReader;
  #reasoning = '';
  #text = '';
  answering = false;

  constructor(marks: ReasoningStart['marks'], open: boolean) {
    const events = {
      reasoning: (text: string) => {
        this.#reasoning += text;
      },
      text: (text: string) => {
        this.#text += text;
        this.answering = true;
      },
    };
    this.#reader = new ReasoningReader({ marks, open }, events, plainReader(events));
  }

  push(text: string): SplitText {
    this.#reader.push({ text });
    return this.#take();
  }

  end(cut: boolean): SplitText {
    this.#reader.end(cut);
    return this.#take();
  }

  #take(): SplitText {
    const parts = { reasoning: this.#reasoning, text: this.#text };
    this.#reasoning = '';
    this.#text = '';
    return parts;
  }
}
