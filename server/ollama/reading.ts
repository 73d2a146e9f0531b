// The text of one answer as it is read: what was said since it was last asked. Owns calls until they are whole: Ollama's have
// no parts. Before it: events.ts; after it: chat/answer-reader.ts.
import type { AnswerEvents, AnswerReader } from '../chat/answer-reader.ts';
import type { ReadyAnswer } from '../chat/answering.ts';
import type { WireTool } from '../chat/tool-set.ts';
import type { GenerationDelta } from '../generation/generation.ts';

export interface Said {
  readonly text: string;
  readonly thinking: string;
  readonly calls: readonly object[];
}

export class OllamaReading implements AnswerEvents {
  broken = false; // a call was cut off
  readonly #reader: AnswerReader;
  readonly #freshId: () => string;
  #text = '';
  #thinking = '';
  #calls: object[] = [];
  #callCount = 0;
  #name = '';
  #arguments = '';

  constructor(newReader: ReadyAnswer['newReader'], freshId: () => string) {
    this.#freshId = freshId;
    this.#reader = newReader(this);
  }

  push(delta: GenerationDelta): void {
    this.#reader.push(delta);
  }

  end(cut: boolean): void {
    this.#reader.end(cut);
  }

  reasoning(text: string): void {
    this.#thinking += text;
  }

  text(text: string): void {
    this.#text += text;
  }

  callStart({ wireName }: WireTool): void {
    this.#name = wireName;
    this.#arguments = '';
  }

  callDelta(text: string): void {
    this.#arguments += text;
  }

  callEnd(whole: boolean): void {
    this.broken ||= !whole;
    if (!whole) return;
    const given: unknown = JSON.parse(this.#arguments || '{}'); // the reader has seen that it is JSON
    const called = { index: this.#callCount++, name: this.#name, arguments: given };
    this.#calls.push({ id: `call_${this.#freshId()}`, function: called });
  }

  take(): Said {
    const said = { text: this.#text, thinking: this.#thinking, calls: this.#calls };
    this.#text = '';
    this.#thinking = '';
    this.#calls = [];
    return said;
  }
}
