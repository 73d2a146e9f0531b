// Chat answers that may reason or call tools: `reasoning_content`, text and `tool_calls` deltas in the chunks of
// chat-events.ts. Owns the reading of each choice's text and the numbers of its calls; never runs anything. Before it: chat/answer.ts; after it: chat-events.ts.

import type { AnswerShape, WholeChoice } from '../chat/answer.ts';
import type { AnswerParts, AnswerReader } from '../chat/answer-reader.ts';
import type { AnswerForm } from '../chat/form.ts';
import { withReasoning } from '../chat/reasoning.ts';
import type { WireTool } from '../chat/tool-set.ts';
import type { Usage } from '../chat/usage.ts';
import type { GenerationDelta } from '../generation/generation.ts';
import { type ChatEvents, finishOf, type WholeMessage } from './chat-events.ts';

interface CallDelta {
  readonly index: number; // of the call within its choice
  readonly id?: string;
  readonly type?: 'function' | 'custom';
  readonly function?: { readonly name?: string; arguments: string };
  readonly custom?: { readonly name?: string; input: string };
}

export class ChatToolEvents implements AnswerShape {
  readonly #events: ChatEvents;
  readonly #newReader: AnswerForm['newReader'];
  readonly #freshId: () => string;
  readonly #countReasoning: (text: string) => number;
  readonly #choices = new Map<number, ChoiceReading>(); // while streaming

  constructor(
    events: ChatEvents,
    {
      newReader,
      freshId,
      countReasoning,
    }: Pick<AnswerForm, 'newReader'> & {
      readonly freshId: () => string;
      readonly countReasoning: (text: string) => number; // tokens
    },
  ) {
    this.#events = events;
    this.#newReader = newReader;
    this.#freshId = freshId;
    this.#countReasoning = countReasoning;
  }

  opening(choice: number): string {
    return this.#events.opening(choice);
  }

  delta(choice: number, delta: GenerationDelta): string | null {
    const reading = this.#reading(choice);
    reading.push(delta.text);
    return this.#events.delta(choice, delta, reading.takeDelta());
  }

  ending(choice: number, reason: 'stop' | 'length', usage: Usage | null): string {
    const reading = this.#reading(choice);
    reading.end(reason === 'length');
    const shown = finishOf(reason, { called: reading.callCount > 0, broken: reading.broken });
    return this.#events.ending(choice, shown, usage && this.#counted(usage), reading.takeDelta());
  }

  usage(usage: Usage): string {
    return this.#events.usage(this.#counted(usage));
  }

  whole(choices: readonly WholeChoice[], usage: Usage): unknown {
    const messages = choices.map((choice) => this.#message(choice));
    const reasoned = messages.map(({ reasoning_content: text = '' }) => text);
    return this.#events.whole(choices, this.#withTokens(usage, reasoned), messages);
  }

  #counted(usage: Usage): Usage {
    return this.#withTokens(
      usage,
      [...this.#choices.values()].map(({ reasoned }) => reasoned),
    );
  }

  #withTokens(usage: Usage, reasoned: readonly string[]): Usage {
    return withReasoning(
      usage,
      reasoned.reduce((sum, text) => sum + this.#countReasoning(text), 0),
    );
  }

  #message({ text, reason }: WholeChoice): WholeMessage {
    const reading = this.#newReading();
    reading.push(text);
    reading.end(reason === 'length');
    return reading.takeMessage();
  }

  #reading(choice: number): ChoiceReading {
    let reading = this.#choices.get(choice);
    if (reading === undefined) {
      reading = this.#newReading();
      this.#choices.set(choice, reading);
    }
    return reading;
  }

  #newReading(): ChoiceReading {
    return new ChoiceReading(this.#newReader, this.#freshId);
  }
}

/** What one choice has said since it was last asked. */
class ChoiceReading implements AnswerParts {
  readonly #reader: AnswerReader;
  readonly #freshId: () => string;
  callCount = 0;
  broken = false; // a call was cut off, by whatever
  reasoned = ''; // all of it
  #kind: 'function' | 'custom' = 'function';
  #reasoning = '';
  #text = '';
  #calls: CallDelta[] = [];

  constructor(newReader: AnswerForm['newReader'], freshId: () => string) {
    this.#freshId = freshId;
    this.#reader = newReader(this);
  }

  push(text: string): void {
    this.#reader.push(text);
  }

  end(cut: boolean): void {
    this.#reader.end(cut);
  }

  reasoning(text: string): void {
    this.#reasoning += text;
    this.reasoned += text;
  }

  text(text: string): void {
    this.#text += text;
  }

  callStart({ tool: { kind }, wireName }: WireTool): void {
    const start = { index: this.callCount++, id: `call_${this.#freshId()}`, type: kind } as const;
    this.#kind = kind;
    this.#calls.push(
      kind === 'custom'
        ? { ...start, custom: { name: wireName, input: '' } }
        : { ...start, function: { name: wireName, arguments: '' } },
    );
  }

  callDelta(text: string): void {
    const index = this.callCount - 1;
    const last = this.#calls.at(-1);
    if (last?.index !== index) {
      this.#calls.push(
        this.#kind === 'custom'
          ? { index, custom: { input: text } }
          : { index, function: { arguments: text } },
      );
    } else if (last.custom !== undefined) last.custom.input += text;
    else last.function!.arguments += text;
  }

  callEnd(): void {}

  /** Chat completions cannot mark one: what came of it stands, and finish_reason says that it was cut. */
  callBroken(): void {
    this.broken = true;
  }

  takeDelta(): string {
    const delta = {
      ...(this.#reasoning !== '' && { reasoning_content: this.#reasoning }),
      ...(this.#text !== '' && { content: this.#text }),
      ...(this.#calls.length > 0 && { tool_calls: this.#calls }),
    };
    this.#reasoning = '';
    this.#text = '';
    this.#calls = [];
    return JSON.stringify(delta);
  }

  takeMessage(): WholeMessage {
    const reasoning = this.#reasoning === '' ? {} : { reasoning_content: this.#reasoning };
    if (this.#calls.length === 0) return { ...reasoning, content: this.#text };
    const calls = this.#calls.map(({ index: _index, ...call }) => call);
    return {
      ...reasoning,
      content: this.#text === '' ? null : this.#text,
      tool_calls: calls,
      broken: this.broken,
    };
  }
}
