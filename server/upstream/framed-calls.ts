// Tool calls inside the text of an answer, on their way through this process: an upstream sends calls apart from text, the
// routes read calls out of text. Owns the three private characters that frame a call and both ends of that way; they never
// reach a client or an upstream. Before it: answer.ts; after it: the readers of openai/answer-reader.ts's users.
import type { AnswerParts, AnswerReader } from '../openai/answer-reader.ts';
import type { WireTool } from '../openai/tool-set.ts';
import { customInputKey } from '../tools/definition.ts';

const OPEN = '\ue0f0'; // then the tool's name
const NAMED = '\ue0f1'; // then the arguments as JSON
const CLOSE = '\ue0f2';

/** Text that cannot be taken for a frame. */
export function unframed(text: string): string {
  return /[\ue0f0-\ue0f2]/.test(text) ? text.replace(/[\ue0f0-\ue0f2]/g, '\ufffd') : text;
}

export function callOpening(name: string): string {
  return OPEN + unframed(name) + NAMED;
}

export const callClosing = CLOSE;

/** Reads framed text; a tool that was not offered is shown under the name it was called by. */
export function framedReader(tools: readonly WireTool[], parts: AnswerParts): AnswerReader {
  const byName = new Map(tools.map((tool) => [tool.tool.name, tool]));
  let state: 'text' | 'name' | 'arguments' = 'text';
  let held = ''; // of a name, or of a custom tool's arguments: told once they are whole
  let tool: WireTool | null = null;
  const take = (piece: string): void => {
    if (piece === '') return;
    if (state === 'text') parts.text(piece);
    else if (state === 'name' || tool?.tool.kind === 'custom') held += piece;
    else parts.callDelta(piece);
  };
  const cross = (border: string): void => {
    if (border === OPEN) state = 'name';
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
      return state !== 'text';
    },
    push: (text) => {
      let start = 0;
      for (const border of text.matchAll(/[\ue0f0-\ue0f2]/g)) {
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
