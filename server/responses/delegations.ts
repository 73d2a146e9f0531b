// Delegations: results of background work that their conversations have not heard of yet. Owns them, bounded, until a turn
// of the conversation takes them along: as an item before its input, and as the first item of its answer.
// Before it: background.ts brings them; after it: routes.ts and socket-lane.ts take them.
import { contentText } from '../base/content.ts';
import type { Item } from './items.ts';
import type { ResponseObject } from './response-object.ts';

const SESSIONS_MAX = 1024; // that have something waiting; the oldest is forgotten
const RESULTS_MAX = 16; // per session
const RESULT_LENGTH_MAX = 32_768; // characters that are told; the whole stays with the response

export class Delegations {
  readonly #results = new Map<string, Item[]>(); // by session key, oldest first

  add(sessionKey: string, item: Item): void {
    const waiting = this.#results.get(sessionKey) ?? [];
    this.#results.delete(sessionKey);
    this.#results.set(sessionKey, [...waiting, item].slice(-RESULTS_MAX));
    if (this.#results.size > SESSIONS_MAX) {
      const [oldest] = this.#results.keys();
      this.#results.delete(oldest!);
    }
  }

  waiting(sessionKey: string | null): readonly Item[] {
    return sessionKey === null ? [] : (this.#results.get(sessionKey) ?? []);
  }

  /** An answer has begun that carries them. */
  delivered(sessionKey: string | null, items: readonly Item[]): void {
    if (sessionKey === null || items.length === 0) return;
    const left = this.waiting(sessionKey).filter((item) => !items.includes(item));
    if (left.length === 0) this.#results.delete(sessionKey);
    else this.#results.set(sessionKey, left);
  }
}

/** A message of the assistant, which every client knows; `delegation` says where it comes from. */
export function resultItem(response: ResponseObject, lane: string, freshId: () => string): Item {
  const { id, status } = response;
  const text = `[Background task ${id}, ${lane}: ${String(status)}]\n${resultText(response)}`;
  return {
    id: `msg_${freshId()}`,
    type: 'message',
    status: 'completed',
    role: 'assistant',
    content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
    delegation: { response_id: id, lane, status },
  };
}

function resultText(response: ResponseObject): string {
  const error = response['error'] as { readonly message?: string } | null;
  if (error !== null && error !== undefined) return error.message ?? '';
  const said: string[] = [];
  for (const item of response['output'] as readonly Item[]) {
    if (item.type === 'message') said.push(contentText(item['content']));
    else if (item.type.endsWith('_call')) said.push(`It waits for the output of ${String(item['name'])}.`);
  }
  const text = said.join('\n');
  return text.length <= RESULT_LENGTH_MAX
    ? text
    : `${text.slice(0, RESULT_LENGTH_MAX)}\n[cut: read ${response.id}]`;
}
