// From the model's text to what it means: text for the user, calls of tools as they are written. Owns which of the
// request's tools a call means. Before it: responses/run.ts and openai/chat-tool-events.ts feed it; after it: server/tools/call-parser.ts.
import { CallParser } from '../tools/call-parser.ts';
import type { ToolDialect } from '../tools/dialect.ts';
import { ForeignReader } from '../tools/foreign-reader.ts';
import type { ForeignSyntax } from '../tools/foreign-syntax.ts';
import type { WireTool } from './tool-set.ts';

export interface AnswerParts {
  reasoning(text: string): void; // before the answer, marks left out
  text(text: string): void;
  callStart(tool: WireTool): void;
  callDelta(text: string): void; // of the arguments' JSON, or of a custom tool's input
  callEnd(): void;
  callBroken(): void; // it was cut off, or never became JSON
}

export interface AnswerReader {
  readonly inCall: boolean; // to stop now would cut a call off
  push(text: string): void;
  /** No more text comes; what was held back because it might have begun a call is told now. `cut`: the answer was. */
  end(cut: boolean): void;
}

/** For answers without tools. */
export function plainReader(parts: Pick<AnswerParts, 'text'>): AnswerReader {
  return {
    inCall: false,
    push: (text) => {
      if (text !== '') parts.text(text);
    },
    end: () => {},
  };
}

/** Calls in a syntax of the model's own are told once they are whole. */
export function foreignReader(
  tools: readonly WireTool[],
  syntax: ForeignSyntax,
  parts: AnswerParts,
): AnswerReader {
  const byName = new Map(tools.map((tool) => [tool.tool.name, tool]));
  const asked = tools.map(({ tool }) => tool);
  return new ForeignReader(syntax, asked, {
    text: (text) => parts.text(text),
    call: ({ name }, argumentsText) => {
      parts.callStart(byName.get(name)!);
      parts.callDelta(argumentsText);
      parts.callEnd();
    },
    broken: ({ name }) => {
      parts.callStart(byName.get(name)!);
      parts.callBroken();
    },
  });
}

export function toolReader(
  tools: readonly WireTool[],
  dialect: ToolDialect,
  parts: AnswerParts,
): AnswerReader {
  const byName = new Map(tools.map((tool) => [tool.tool.name, tool]));
  const parser = new CallParser(
    tools.map(({ tool }) => tool),
    dialect,
  );
  const tell = (events: ReturnType<CallParser['push']>): void => {
    for (const event of events) {
      if (event.kind === 'text') parts.text(event.text);
      else if (event.kind === 'call-opened') parts.callStart(byName.get(event.tool.name)!);
      else if (event.kind === 'arguments') parts.callDelta(event.delta);
      else if (event.kind === 'call-closed') parts.callEnd();
      else parts.callBroken();
    }
  };
  return {
    get inCall() {
      return parser.inCall;
    },
    push: (text) => tell(parser.push(text)),
    end: (cut) => tell(parser.end(cut)),
  };
}
