// Tool calls and reasoning inside the text of an answer, on their way through this process: an upstream sends them apart
// from text, the routes read them out of text. Owns the private characters that frame them and both ends of that way; they never
// reach a client or an upstream. Before it: answer.ts; after it: the readers of openai/answer-reader.ts's users.
import type { AnswerParts, AnswerReader } from '../openai/answer-reader.ts';
import type { WireTool } from '../openai/tool-set.ts';
import { customInputKey } from '../tools/definition.ts';

const OPEN = '\ue0f0'; // then the tool's name
const NAMED = '\ue0f1'; // then the arguments as JSON
const CLOSE = '\ue0f2';
const REASONING = '\ue0f3'; // then reasoning
const ANSWER = '\ue0f4'; // its end

/** Text that cannot be taken for a frame. */
export function unframed(text: string): string {
  return /[\ue0f0-\ue0f4]/.test(text) ? text.replace(/[\ue0f0-\ue0f4]/g, '\ufffd') : text;
}

export function callOpening(name: string): string {
  return OPEN + unframed(name) + NAMED;
}

export const callClosing = CLOSE;

export function framedReasoning(text: string): string {
  return REASONING + unframed(text) + ANSWER;
}

/** Reads framed text; a tool that was not offered is shown under the name it was called by. */
export function framedReader(tools: readonly WireTool[], parts: AnswerParts): AnswerReader {
  const byName = new Map(tools.map((tool) => [tool.tool.name, tool]));
  let state: 'text' | 'reasoning' | 'name' | 'arguments' = 'text';
  let held = ''; // of a name, or of a custom tool's arguments: told once they are whole
  let tool: WireTool | null = null;
  const take = (piece: string): void => {
    if (piece === '') return;
    if (state === 'text') parts.text(piece);
    else if (state === 'reasoning') parts.reasoning(piece);
    else if (state === 'name' || tool?.tool.kind === 'custom') held += piece;
    else parts.callDelta(piece);
  };
  const cross = (border: string): void => {
    if (border === REASONING || border === ANSWER) state = border === ANSWER ? 'text' : 'reasoning';
    else if (border === OPEN) state = 'name';
    else if (border === NAMED && state === 'name') {
      tool = byName.get(held) ?? strange(held);
      held = '';
      state = 'arguments';
      parts.callStart(tool);
    } else if (border === CLOSE && state === 'arguments') {
      if (tool?.tool.kind === 'custom') parts.callDelta(customInput(held));
      held = '';
      state = 'text';
      parts.callEnd();
    }
  };
  return {
    get inCall() {
      return state === 'name' || state === 'arguments';
    },
    push: (text) => {
      let start = 0;
      for (const border of text.matchAll(/[\ue0f0-\ue0f4]/g)) {
        take(text.slice(start, border.index));
        cross(border[0]);
        start = border.index + 1;
      }
      take(start === 0 ? text : text.slice(start));
    },
    end: () => {
      if (state === 'arguments') parts.callBroken();
      state = 'text';
    },
  };
}

function strange(name: string): WireTool {
  const tool = { kind: 'function', name, description: null, parameters: null, strict: false } as const;
  return { tool, wireName: name, namespace: null };
}

/** A custom tool went to the upstream as a function of one text. */
function customInput(json: string): string {
  try {
    const value = JSON.parse(json) as Readonly<Record<string, unknown>> | null;
    const input = value?.[customInputKey];
    if (typeof input === 'string') return input;
  } catch {
    // it wrote the input itself
  }
  return json;
}
