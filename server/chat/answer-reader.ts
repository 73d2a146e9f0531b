// From the model's text to what it means: text for the user, calls of tools as they are written. Owns which of the
// request's tools a call means. Before it: responses/run.ts and openai/chat-tool-events.ts feed it; after it: server/tools/call-parser.ts.

import type { GenerationDelta } from '../generation/generation.ts';
import { CallParser } from '../tools/call-parser.ts';
import type { ToolDialect } from '../tools/dialect.ts';
import { ForeignReader } from '../tools/foreign-reader.ts';
import type { ForeignSyntax } from '../tools/foreign-syntax.ts';
import type { WireTool } from './tool-set.ts';

/** What is told of one choice of an answer, whoever makes it. */
export interface AnswerEvents {
  reasoning(text: string): void; // before the answer, marks left out
  text(text: string): void;
  callStart(tool: WireTool): void;
  callDelta(text: string): void; // of the arguments' JSON, or of a custom tool's input
  callEnd(whole: boolean): void; // else it was cut off, or never became JSON
}

type Said = Pick<GenerationDelta, 'text' | 'events'>;

export interface AnswerReader {
  readonly inCall: boolean; // to stop now would cut a call off
  push(delta: Said): void;
  /** No more text comes; what was held back because it might have begun a call is told now. `cut`: the answer was. */
  end(cut: boolean): void;
}

/** For answers without tools. */
export function plainReader(events: Pick<AnswerEvents, 'text'>): AnswerReader {
  return {
    inCall: false,
    push: ({ text }) => {
      if (text !== '') events.text(text);
    },
    end: () => {},
  };
}

/** Calls in a syntax of the model's own are told once they are whole. */
export function foreignReader(
  tools: readonly WireTool[],
  syntax: ForeignSyntax,
  events: AnswerEvents,
): AnswerReader {
  const byName = new Map(tools.map((tool) => [tool.tool.name, tool]));
  const asked = tools.map(({ tool }) => tool);
  const reader = new ForeignReader(syntax, asked, {
    text: (text) => events.text(text),
    call: ({ name }, argumentsText) => {
      events.callStart(byName.get(name)!);
      events.callDelta(argumentsText);
      events.callEnd(true);
    },
    broken: ({ name }) => {
      events.callStart(byName.get(name)!);
      events.callEnd(false);
    },
  });
  return {
    get inCall() {
      return reader.inCall;
    },
    push: ({ text }) => reader.push(text),
    end: (cut) => reader.end(cut),
  };
}

export function toolReader(
  tools: readonly WireTool[],
  dialect: ToolDialect,
  events: AnswerEvents,
): AnswerReader {
  const byName = new Map(tools.map((tool) => [tool.tool.name, tool]));
  const parser = new CallParser(
    tools.map(({ tool }) => tool),
    dialect,
  );
  const tell = (read: ReturnType<CallParser['push']>): void => {
    for (const event of read) {
      if (event.kind === 'text') events.text(event.text);
      else if (event.kind === 'call-opened') events.callStart(byName.get(event.tool.name)!);
      else if (event.kind === 'arguments') events.callDelta(event.delta);
      else events.callEnd(event.kind === 'call-closed');
    }
  };
  return {
    get inCall() {
      return parser.inCall;
    },
    push: ({ text }) => tell(parser.push(text)),
    end: (cut) => tell(parser.end(cut)),
  };
}
