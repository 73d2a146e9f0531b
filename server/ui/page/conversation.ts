// One conversation of the playground: its turns, and what editing, steering and stopping make of them. Pure: every function
// answers a new conversation. Before it: playground.tsx; after it: chat-request.ts.
import type { AnswerStats } from './answer-meter.ts';

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string; // JSON, as far as it has come
}

export type TurnState = 'writing' | 'done' | 'stopped' | 'steered' | 'cut' | 'failed';

export interface Turn {
  readonly id: number;
  readonly role: 'user' | 'assistant' | 'tool';
  readonly text: string;
  readonly reasoning: string; // of the assistant, before its answer
  readonly calls: readonly ToolCall[]; // of the assistant
  readonly callId: string | null; // of a tool: which call it answers
  readonly steering: boolean; // of the user: said while an answer was being written
  readonly state: TurnState;
  readonly stats: AnswerStats | null; // of the assistant
  readonly note: string; // why it failed, or which lane answered and why
}

export interface Conversation {
  readonly turns: readonly Turn[];
  readonly nextId: number;
}

export const emptyConversation: Conversation = { turns: [], nextId: 1 };

const blank = {
  text: '',
  reasoning: '',
  calls: [],
  callId: null,
  steering: false,
  state: 'done',
  stats: null,
  note: '',
} as const satisfies Omit<Turn, 'id' | 'role'>;

/** The user says something, and the answer that follows is being written. */
export function ask(conversation: Conversation, text: string): Conversation {
  return answering(added(conversation, { role: 'user', text }));
}

/** An answer to the turns as they are. */
function answering(conversation: Conversation): Conversation {
  return added(conversation, { role: 'assistant', state: 'writing' });
}

/** The running answer stops where it is; what the user says follows it, then another answer. */
export function steer(conversation: Conversation, text: string): Conversation {
  const stopped = settle(conversation, 'steered');
  return answering(added(stopped, { role: 'user', text, steering: true }));
}

/** The tool's results, in the order of the calls, and an answer to them. */
export function answerCalls(conversation: Conversation, results: ReadonlyMap<string, string>): Conversation {
  let next = conversation;
  for (const [callId, text] of results) next = added(next, { role: 'tool', callId, text });
  return answering(next);
}

/** A turn of the user is said otherwise: what came after it is gone, and another answer is written. */
export function edit(conversation: Conversation, id: number, text: string): Conversation {
  const at = conversation.turns.findIndex((turn) => turn.id === id);
  if (at < 0) return conversation;
  const turns = [...conversation.turns.slice(0, at), { ...conversation.turns[at]!, text }];
  return answering({ ...conversation, turns });
}

/** Another answer in the place of this one; what came after it is gone. */
export function regenerate(conversation: Conversation, id: number): Conversation {
  const at = conversation.turns.findIndex((turn) => turn.id === id);
  if (at < 0) return conversation;
  return answering({ ...conversation, turns: conversation.turns.slice(0, at) });
}

/** The answer being written, changed. Nothing if none is. */
export function write(conversation: Conversation, change: Partial<Omit<Turn, 'id' | 'role'>>): Conversation {
  const latest = conversation.turns.at(-1);
  if (latest?.state !== 'writing') return conversation;
  return { ...conversation, turns: [...conversation.turns.slice(0, -1), { ...latest, ...change }] };
}

/** The answer being written ends. An empty one that was stopped leaves no trace. */
export function settle(conversation: Conversation, state: TurnState, note = ''): Conversation {
  const latest = conversation.turns.at(-1);
  if (latest?.state !== 'writing') return conversation;
  const isEmpty = latest.text === '' && latest.reasoning === '' && latest.calls.length === 0;
  if (isEmpty && (state === 'stopped' || state === 'steered')) {
    return { ...conversation, turns: conversation.turns.slice(0, -1) };
  }
  return write(conversation, { state, ...(note !== '' && { note }) });
}

export function isWriting({ turns }: Conversation): boolean {
  return turns.at(-1)?.state === 'writing';
}

/** The calls that wait for a result: those of the last turn. */
export function openCalls({ turns }: Conversation): readonly ToolCall[] {
  const latest = turns.at(-1);
  return latest?.role === 'assistant' && latest.state === 'done' ? latest.calls : [];
}

function added(conversation: Conversation, turn: Partial<Turn> & Pick<Turn, 'role'>): Conversation {
  const { turns, nextId } = conversation;
  return { turns: [...turns, { ...blank, ...turn, id: nextId }], nextId: nextId + 1 };
}
