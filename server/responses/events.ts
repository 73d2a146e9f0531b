// ResponseEvents: the one builder of the Responses API's events. Owns their order, numbers and shapes and the items of
// the answer; never knows how an event travels (SSE and WebSocket frames carry the same JSON). Text deltas are put
// together from strings made once per item: this is per token and stream.
// Before it: run.ts; after it: the framers, routes.ts and socket.ts.
import assert from 'node:assert/strict';
import type { Fault } from '../base/errors.ts';
import type { WireTool } from '../chat/tool-set.ts';
import { responseError } from './faults.ts';
import type { Item } from './items.ts';
import {
  NOTHING_YET,
  promptUsage,
  type ResponseHead,
  type ResponseObject,
  type ResponseState,
  type ResponseStatus,
  type ResponseUsage,
  responseObject,
} from './response-object.ts';

export interface ResponseEvent {
  readonly type: string;
  readonly json: string; // one line, an object that begins with its type
}

/** Which tokens a piece of text came from; parts of a delta without text of their own count with the next one. */
export interface TokenSpan {
  readonly index: number; // of the first token within the output
  readonly count: number;
}

export interface EventParts {
  readonly head: ResponseHead;
  readonly freshId: () => string;
  readonly epochSeconds: () => number;
  readonly emit: (event: ResponseEvent) => void;
}

interface OpenMessage {
  readonly kind: 'message';
  readonly id: string;
  readonly index: number;
  readonly deltaStart: string; // JSON up to the sequence number
  readonly texts: string[];
  readonly logprobs: unknown[];
}

interface OpenReasoning {
  readonly kind: 'reasoning';
  readonly id: string;
  readonly index: number;
  readonly texts: string[];
}

interface OpenCall {
  readonly kind: 'call';
  readonly id: string;
  readonly index: number;
  readonly callId: string;
  readonly wire: WireTool;
  readonly texts: string[];
}

export class ResponseEvents {
  readonly #service: EventParts;
  readonly #output: Item[] = []; // finished items
  #open: OpenMessage | OpenReasoning | OpenCall | null = null;
  #sequence = 0;
  #failure: Fault | null = null;
  #state: ResponseState = { ...NOTHING_YET, status: 'queued' };

  constructor(service: EventParts) {
    this.#service = service;
  }

  get id(): string {
    return this.#service.head.id;
  }

  /** As it stands now; an item that is being written is not part of it. */
  get response(): ResponseObject {
    return responseObject(this.#service.head, this.#state);
  }

  get status(): ResponseStatus {
    return this.#state.status;
  }

  /** Why it failed. */
  get failure(): Fault | null {
    return this.#failure;
  }

  /** Finished items, the answer so far. */
  get output(): readonly Item[] {
    return this.#output;
  }

  /** For events of the connection that count with those of the response. */
  nextSequenceNumber(): number {
    return this.#sequence++;
  }

  created(): void {
    this.#enter('in_progress');
    this.#emitResponse('response.created');
    this.inProgress();
  }

  /** Again and again while nothing else is to be said: it keeps clients from giving up. */
  inProgress(): void {
    this.#emitResponse('response.in_progress');
  }

  /** Likewise between events that have to keep their numbers: the one before comes once more. */
  beat(): ResponseEvent {
    const type = 'response.in_progress';
    const json = JSON.stringify({ type, sequence_number: this.#sequence - 1, response: this.response });
    return { type, json };
  }

  /** An item that was made elsewhere, whole. Before anything of the answer itself. */
  foreign(item: Item): void {
    const index = this.#output.length;
    this.#emit('response.output_item.added', { output_index: index, item });
    this.#finishItem(index, item);
  }

  /** Reasoning before the answer; opens an item where none is open. */
  reasoning(text: string): void {
    const { id, index, texts } = this.#open?.kind === 'reasoning' ? this.#open : this.#openReasoning();
    texts.push(text);
    const at = { item_id: id, output_index: index, content_index: 0 };
    this.#emit('response.reasoning_text.delta', { ...at, delta: text });
  }

  /** Text of the answer; opens a message where none is open. `logprobs` of exactly the span's tokens. */
  text(text: string, span: TokenSpan, logprobs: readonly unknown[]): void {
    const message = this.#open?.kind === 'message' ? this.#open : this.#openMessage();
    if (text !== '') message.texts.push(text);
    for (const logprob of logprobs) message.logprobs.push(logprob);
    const shown = logprobs.length === 0 ? '[]' : JSON.stringify(logprobs);
    this.#service.emit({
      type: 'response.output_text.delta',
      json:
        `${message.deltaStart}${this.#sequence++},"delta":${JSON.stringify(text)},"logprobs":${shown}` +
        `,"token_index":${span.index},"token_count":${span.count}}`,
    });
  }

  /** A call has begun: its tool is known, its arguments are not. Ends an open message. */
  openCall(wire: WireTool): void {
    this.closeItem('completed');
    const { freshId } = this.#service;
    const id = `${wire.tool.kind === 'custom' ? 'ctc' : 'fc'}_${freshId()}`;
    const call: OpenCall = {
      kind: 'call',
      id,
      index: this.#output.length,
      callId: `call_${freshId()}`,
      wire,
      texts: [],
    };
    this.#open = call;
    this.#emit('response.output_item.added', {
      output_index: call.index,
      item: callItem(call, 'in_progress', ''),
    });
  }

  /** A piece of the arguments' JSON, or of a custom tool's input. */
  callDelta(delta: string): void {
    const call = this.#openCallOrFail();
    call.texts.push(delta);
    const type =
      call.wire.tool.kind === 'custom'
        ? 'response.custom_tool_call_input.delta'
        : 'response.function_call_arguments.delta';
    this.#emit(type, { item_id: call.id, output_index: call.index, delta });
  }

  /** The call is complete and goes out at once: clients run it while the answer goes on. */
  closeCall(): void {
    const call = this.#openCallOrFail();
    this.#open = null;
    const text = call.texts.join('');
    const at = { item_id: call.id, output_index: call.index };
    if (call.wire.tool.kind === 'custom')
      this.#emit('response.custom_tool_call_input.done', { ...at, input: text });
    else {
      const done = { ...at, name: call.wire.wireName, arguments: text };
      this.#emit('response.function_call_arguments.done', done);
    }
    this.#finishItem(call.index, callItem(call, 'completed', text));
  }

  /** Ends the item that is open, if any. A call that never became complete is not part of the answer. */
  closeItem(status: 'completed' | 'incomplete'): void {
    const open = this.#open;
    this.#open = null;
    if (open?.kind === 'message') this.#closeMessage(open, status);
    else if (open?.kind === 'reasoning') this.#closeReasoning(open, status);
    else if (open?.kind === 'call') {
      this.#finishItem(open.index, callItem(open, 'incomplete', open.texts.join('')));
    }
  }

  complete(usage: ResponseUsage): void {
    if (this.#output.length === 0 && this.#open === null) this.#openMessage();
    this.closeItem('completed');
    this.#end('completed', { usage });
  }

  /** Complete without an answer: the prompt is being computed for a later one. */
  acknowledge(promptTokens: number): void {
    this.#end('completed', { usage: promptUsage(promptTokens) });
  }

  incomplete(reason: 'max_output_tokens' | 'steered', usage: ResponseUsage): void {
    this.closeItem('incomplete');
    this.#end('incomplete', { usage, incompleteReason: reason });
  }

  fail(failure: Fault): void {
    this.#failure = failure;
    this.closeItem('incomplete');
    this.#end('failed', { error: responseError(failure) });
  }

  /** Nobody is told: who cancelled knows, who left cannot hear. */
  cancelled(): void {
    this.#open = null;
    this.#enter('cancelled');
  }

  #openMessage(): OpenMessage {
    this.closeItem('completed');
    const id = `msg_${this.#service.freshId()}`;
    const index = this.#output.length;
    const at = { item_id: id, output_index: index, content_index: 0 };
    const start = JSON.stringify({ type: 'response.output_text.delta', ...at });
    const message: OpenMessage = {
      kind: 'message',
      id,
      index,
      deltaStart: `${start.slice(0, -1)},"sequence_number":`,
      texts: [],
      logprobs: [],
    };
    this.#open = message;
    const item = { id, type: 'message', status: 'in_progress', role: 'assistant', content: [] };
    this.#emit('response.output_item.added', { output_index: index, item });
    this.#emit('response.content_part.added', { ...at, part: textPart('', []) });
    return message;
  }

  #closeMessage({ id, index, texts, logprobs }: OpenMessage, status: 'completed' | 'incomplete'): void {
    const text = texts.join('');
    const at = { item_id: id, output_index: index, content_index: 0 };
    const part = textPart(text, logprobs);
    this.#emit('response.output_text.done', { ...at, text, logprobs });
    this.#emit('response.content_part.done', { ...at, part });
    this.#finishItem(index, { id, type: 'message', status, role: 'assistant', content: [part] });
  }

  #openReasoning(): OpenReasoning {
    this.closeItem('completed');
    const id = `rs_${this.#service.freshId()}`;
    const index = this.#output.length;
    const open: OpenReasoning = { kind: 'reasoning', id, index, texts: [] };
    this.#open = open;
    const item = { id, type: 'reasoning', status: 'in_progress', summary: [], content: [] };
    this.#emit('response.output_item.added', { output_index: index, item });
    const part = { type: 'reasoning_text', text: '' };
    this.#emit('response.content_part.added', { item_id: id, output_index: index, content_index: 0, part });
    return open;
  }

  #closeReasoning({ id, index, texts }: OpenReasoning, status: 'completed' | 'incomplete'): void {
    const text = texts.join('');
    const at = { item_id: id, output_index: index, content_index: 0 };
    const part = { type: 'reasoning_text', text };
    this.#emit('response.reasoning_text.done', { ...at, text });
    this.#emit('response.content_part.done', { ...at, part });
    this.#finishItem(index, { id, type: 'reasoning', status, summary: [], content: [part] });
  }

  #finishItem(index: number, item: Item): void {
    this.#output.push(item);
    this.#state = { ...this.#state, output: [...this.#output] };
    this.#emit('response.output_item.done', { output_index: index, item });
  }

  #openCallOrFail(): OpenCall {
    assert(this.#open?.kind === 'call', 'no call is open');
    return this.#open;
  }

  #enter(status: ResponseStatus): void {
    this.#state = { ...this.#state, status };
  }

  #end(status: 'completed' | 'incomplete' | 'failed', more: Partial<ResponseState>): void {
    const completedAt = status === 'completed' ? this.#service.epochSeconds() : null;
    this.#state = { ...this.#state, status, completedAt, ...more };
    this.#emitResponse(`response.${status}`);
  }

  #emitResponse(type: string): void {
    this.#emit(type, { response: this.response });
  }

  #emit(type: string, fields: Readonly<Record<string, unknown>>): void {
    const json = JSON.stringify({ type, sequence_number: this.#sequence++, ...fields });
    this.#service.emit({ type, json });
  }
}

function textPart(text: string, logprobs: readonly unknown[]): object {
  return { type: 'output_text', annotations: [], logprobs, text };
}

function callItem({ id, callId, wire }: OpenCall, status: string, text: string): Item {
  const name = {
    call_id: callId,
    name: wire.wireName,
    ...(wire.namespace !== null && { namespace: wire.namespace }),
  };
  return wire.tool.kind === 'custom'
    ? { id, type: 'custom_tool_call', status, ...name, input: text }
    : { id, type: 'function_call', status, ...name, arguments: text };
}
