// Reads an upstream's framed text (upstream/framed-calls.ts) as the parts of an answer. Before it: lane-world.ts.
import { customInputKey } from '../tools/definition.ts';
import { ANSWER, CLOSE, NAMED, OPEN, REASONING } from '../upstream/framed-calls.ts';
import type { AnswerParts, AnswerReader } from './answer-reader.ts';
import type { WireTool } from './tool-set.ts';

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
