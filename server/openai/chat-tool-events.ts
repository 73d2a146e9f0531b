// Chat answers that may reason or call tools: `reasoning_content`, text and `tool_calls` deltas in the chunks of
// chat-events.ts. Owns the reading of each choice's text and the numbers of its calls; never runs anything. Before it: chat/answer.ts; after it: chat-events.ts.

import type { AnswerShape, WholeChoice } from '../chat/answer.ts';
import type { AnswerEvents, AnswerReader } from '../chat/answer-reader.ts';
import type { ReadyAnswer } from '../chat/answering.ts';
import { withReasoning } from '../chat/reasoning.ts';
import type { WireTool } from '../chat/tool-set.ts';
import type { Usage } from '../chat/usage.ts';
import type { GenerationDelta, GenerationEnd } from '../generation/generation.ts';
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
  readonly #newReader: ReadyAnswer['newReader'];
  readonly #freshId: () => string;
  readonly #countReasoning: (text: string) => number;
  readonly #legacy: boolean;
  readonly #choices: ChoiceReading[] = []; // by choice

  constructor(
    events: ChatEvents,
    {
      newReader,
      freshId,
      countReasoning,
      legacy,
    }: Pick<ReadyAnswer, 'newReader'> & {
      readonly legacy: boolean; // `function_call` instead of `tool_calls`: the request had functions
      readonly freshId: () => string;
      readonly countReasoning: (text: string) => number; // tokens
    },
  ) {
    this.#events = events;
    this.#newReader = newReader;
    this.#freshId = freshId;
    this.#countReasoning = countReasoning;
    this.#legacy = legacy;
  }

  opening(choice: number): string {
    return this.#events.opening(choice);
  }

  onDelta(choice: number, delta: GenerationDelta): void {
    this.#reading(choice).push(delta);
  }

  onEnd(choice: number, { reason }: GenerationEnd): void {
    this.#reading(choice).end(reason === 'length');
  }

  delta(choice: number, delta: GenerationDelta): string | null {
    return this.#events.delta(choice, delta, this.#reading(choice).takeDelta());
  }

  ending(choice: number, reason: 'stop' | 'length', usage: Usage | null): string {
    const reading = this.#reading(choice);
    const form = this.#legacy ? 'function_call' : 'tool_calls';
    const called = reading.callCount > 0 ? form : null;
    const shown = finishOf(reason, { called, broken: reading.broken });
    return this.#events.ending(choice, shown, usage && this.#counted(usage), reading.takeDelta());
  }

  usage(usage: Usage): string {
    return this.#events.usage(this.#counted(usage));
  }

  whole(choices: readonly WholeChoice[], usage: Usage): unknown {
    const messages = choices.map((_, choice) => this.#reading(choice).takeMessage());
    return this.#events.whole(choices, this.#counted(usage), messages);
  }

  #counted(usage: Usage): Usage {
    const tokens = this.#choices.reduce((sum, { reasoned }) => sum + this.#countReasoning(reasoned), 0);
    return withReasoning(usage, tokens);
  }

  #reading(choice: number): ChoiceReading {
    this.#choices[choice] ??= new ChoiceReading(this.#newReader, this.#freshId, this.#legacy);
    return this.#choices[choice];
  }
}

/** What one choice has said since it was last asked. */
class ChoiceReading implements AnswerEvents {
  readonly #reader: AnswerReader;
  readonly #freshId: () => string;
  readonly #legacy: boolean;
  callCount = 0;
  broken = false; // a call was cut off, by whatever
  reasoned = ''; // all of it
  #kind: 'function' | 'custom' = 'function';
  #reasoning = '';
  #text = '';
  #calls: CallDelta[] = [];

  constructor(newReader: ReadyAnswer['newReader'], freshId: () => string, legacy: boolean) {
    this.#freshId = freshId;
    this.#legacy = legacy;
    this.#reader = newReader(this);
  }

  push(delta: GenerationDelta): void {
    this.#reader.push(delta);
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

  /** Chat completions cannot mark a broken one: what came of it stands, and finish_reason says that it was cut. */
  callEnd(whole: boolean): void {
    this.broken ||= !whole;
  }

  takeDelta(): string {
    const delta = {
      ...(this.#reasoning !== '' && { reasoning_content: this.#reasoning }),
      ...(this.#text !== '' && { content: this.#text }),
      ...this.#shownCalls((call) => call),
    };
    this.#reasoning = '';
    this.#text = '';
    this.#calls = [];
    return JSON.stringify(delta);
  }

  takeMessage(): WholeMessage {
    const reasoning = this.#reasoning === '' ? {} : { reasoning_content: this.#reasoning };
    if (this.#calls.length === 0) return { ...reasoning, content: this.#text };
    return {
      ...reasoning,
      content: this.#text === '' ? null : this.#text,
      ...this.#shownCalls(({ index: _index, ...call }) => call),
      broken: this.broken,
    };
  }

  /** Before tools an answer had one call. */
  #shownCalls(show: (call: CallDelta) => object): Pick<WholeMessage, 'tool_calls' | 'function_call'> {
    if (!this.#legacy) return this.#calls.length === 0 ? {} : { tool_calls: this.#calls.map(show) };
    const first = this.#calls.find(({ index }) => index === 0)?.function;
    return first === undefined ? {} : { function_call: first };
  }
}
