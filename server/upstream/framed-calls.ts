// Tool calls and reasoning inside the text of an answer, on their way through this process: an upstream sends them apart
// from text, the routes read them out of text. Owns the private characters that frame them and both ends of that way; they never
// reach a client or an upstream. Before it: answer.ts; after it: the readers of chat/answer-reader.ts's users.

export const OPEN = '\ue0f0'; // then the tool's name
export const NAMED = '\ue0f1'; // then the arguments as JSON
export const CLOSE = '\ue0f2';
export const REASONING = '\ue0f3'; // then reasoning
export const ANSWER = '\ue0f4'; // its end

/** Text that cannot be taken for a frame. */
export function unframed(text: string): string {
  return /[\ue0f0-\ue0f4]/.test(text) ? text.replace(/[\ue0f0-\ue0f4]/g, '\ufffd') : text;
}

export function callOpening(name: string): string {
  return OPEN + unframed(name) + NAMED;
}

export function framedReasoning(text: string): string {
  return REASONING + unframed(text) + ANSWER;
}
