// Messages and blocks of Anthropic's API → the messages that a chat template takes. Owns what each kind of block says to
// the model: what it cannot see leaves a note, so that no turn is lost over a screenshot. Pure. Before it: schema.ts;
// after it: request.ts.
import type { ChatMessage } from '../../models/template/chat-template.ts';
import { partText } from '../../models/template/content-part.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { Parsed } from '../base/json-body.ts';
import type { Block, CountRequest } from './schema.ts';

export interface MessagesConversation {
  readonly messages: readonly ChatMessage[];
  readonly continues: boolean; // the last message is the beginning of the answer
}

/** One turn while its blocks come; neighbours of one role are one turn, as Anthropic has them. */
interface Turn {
  readonly role: string;
  readonly texts: string[];
  readonly reasoning: string[];
  readonly calls: object[];
}

// Claude Code tells Anthropic's billing a number that changes with every request. Before everything else in the prompt
// it would cost the whole prefix each time, and says nothing to a model.
const BILLING = 'x-anthropic-billing-header:';

/** Refused: a result of a call that nobody made, a block without what its kind needs, an end that nobody can go on from. */
export function conversationOf({
  system,
  messages,
}: Pick<CountRequest, 'system' | 'messages'>): Parsed<MessagesConversation> {
  const reading = new Reading(systemText(system));
  for (const [index, { role, content }] of messages.entries()) {
    const at = `messages[${index}].content`;
    const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
    for (const [place, block] of blocks.entries()) {
      const refused = reading.add(role, block, blocks.length === 1 ? at : `${at}[${place}]`);
      if (refused !== null) return { ok: false, fault: refused };
    }
    if (blocks.length === 0) reading.turnOf(role);
  }
  return reading.finish(messages.length - 1);
}

class Reading {
  readonly #messages: ChatMessage[] = [];
  readonly #names = new Map<string, string>(); // call → tool
  #turn: Turn | null = null;

  constructor(system: string) {
    if (system !== '') this.#messages.push({ role: 'system', content: system });
  }

  add(role: string, block: Block, at: string): Fault | null {
    if (block.type === 'tool_result') return this.#addResult(role, block, at);
    if (block.type === 'tool_use') return this.#addCall(role, block, at);
    const turn = this.turnOf(role);
    if (block.type === 'thinking') turn.reasoning.push(block.thinking ?? '');
    else if (block.type === 'text' && typeof block.text !== 'string') {
      return missing(`${at}.text`, 'a text block needs it');
    }
    // What was redacted was readable nowhere but where it came from.
    else if (block.type !== 'redacted_thinking') turn.texts.push(blockText(block));
    return null;
  }

  turnOf(role: string): Turn {
    if (this.#turn?.role === role) return this.#turn;
    this.#close();
    this.#turn = { role, texts: [], reasoning: [], calls: [] };
    return this.#turn;
  }

  finish(lastIndex: number): Parsed<MessagesConversation> {
    const last = this.#turn;
    this.#close();
    if (last?.role !== 'assistant')
      return { ok: true, value: { messages: this.#messages, continues: false } };
    if (last.calls.length > 0) {
      const message = `messages[${lastIndex}]: a call of a tool is answered by a tool_result before anything goes on`;
      return { ok: false, fault: fault('invalid_request', message, { param: `messages[${lastIndex}]` }) };
    }
    const continues = last.texts.some((text) => text !== '');
    // An answer that begins with nothing is an answer that has not begun.
    if (!continues) this.#messages.pop();
    return { ok: true, value: { messages: this.#messages, continues } };
  }

  #addCall(role: string, block: Block, at: string): Fault | null {
    const { id, name, input } = block as Block & { readonly name?: unknown; readonly input?: unknown };
    if (role !== 'assistant') return missing(at, 'only an assistant uses a tool');
    if (!id) return missing(`${at}.id`, 'a tool_use block needs it');
    if (typeof name !== 'string' || name === '') return missing(`${at}.name`, 'a tool_use block needs it');
    if (typeof input !== 'object' || Array.isArray(input)) {
      return missing(`${at}.input`, 'a tool_use block needs it, an object');
    }
    this.#names.set(id, name);
    this.turnOf(role).calls.push({ id, type: 'function', function: { name, arguments: input ?? {} } });
    return null;
  }

  #addResult(role: string, block: Block, at: string): Fault | null {
    const id = block.tool_use_id;
    if (role !== 'user') return missing(at, 'only a user tells the result of a tool');
    if (!id) return missing(`${at}.tool_use_id`, 'a tool_result block needs it');
    const name = this.#names.get(id);
    if (name === undefined) {
      return missing(`${at}.tool_use_id`, `no tool_use before it has the id ${JSON.stringify(id)}`);
    }
    this.#close();
    const text = contentText(block['content']);
    const content = block.is_error === true && !/^\W*(tool_use_)?error/i.test(text) ? `Error: ${text}` : text;
    this.#messages.push({ role: 'tool', tool_call_id: id, name, content });
    return null;
  }

  #close(): void {
    const turn = this.#turn;
    this.#turn = null;
    if (turn === null) return;
    const reasoning = turn.reasoning.filter((text) => text !== '').join('\n');
    this.#messages.push({
      role: turn.role,
      content: turn.texts.join('\n'),
      ...(reasoning !== '' && { reasoning_content: reasoning }), // shown again where the template does so
      ...(turn.calls.length > 0 && { tool_calls: turn.calls }),
    });
  }
}

function systemText(system: CountRequest['system']): string {
  if (typeof system === 'string') return system;
  const told = (system ?? []).map(blockText).filter((text) => !text.startsWith(BILLING));
  return told.filter((text) => text !== '').join('\n\n');
}

function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  return Array.isArray(content) ? (content as readonly unknown[]).map(blockText).join('\n') : '';
}

/** What a block says in words. */
function blockText(block: unknown): string {
  const fields = fieldsOf(block);
  const { type, title, source, content } = fields;
  if (type === 'document') return withTitle(title, documentText(fieldsOf(source)));
  if (type === 'search_result') return withTitle(title, contentText(content));
  return partText(block) ?? `[${typeof type === 'string' ? type : 'a block'}: not for this model to read]`;
}

function documentText({ type, data, content }: Readonly<Record<string, unknown>>): string {
  if (type === 'text' && typeof data === 'string') return data;
  return type === 'content' ? contentText(content) : '[a document that this model cannot read]';
}

function withTitle(title: unknown, text: string): string {
  return typeof title === 'string' && title !== '' ? `${title}\n${text}` : text;
}

function missing(param: string, message: string): Fault {
  return fault('invalid_request', `${param}: ${message}`, { param });
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
