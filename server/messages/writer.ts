// One answer in Anthropic's shape: its message, and the events by which it comes to be. Owns blocks, their numbers and
// order, and why it ended; a call that was cut off is never said to be whole: its block does not stop, and no whole answer
// shows it. Never runs anything. Before it: answer.ts feeds it; after it: http/sse.ts.
import { jsonValue } from '../base/json-text.ts';
import type { AnswerEvents } from '../chat/answer-reader.ts';
import type { WireTool } from '../chat/tool-set.ts';
import type { GenerationEnd } from '../generation/generation.ts';
import type { PrefixReport } from '../generation/prefix-report.ts';
import type { ThinkingShown } from './request.ts';

export interface MessageUsage {
  readonly input_tokens: number; // neither found in the cache nor kept there
  readonly cache_creation_input_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly output_tokens: number;
  readonly service_tier: 'standard';
  readonly sparklane?: { readonly prefix: PrefixReport }; // ours: why the prompt was computed
}

export interface WriterOptions {
  readonly id: string;
  readonly model: string;
  readonly freshId: () => string;
  readonly thinking: ThinkingShown;
  readonly maxTokens: number; // as asked
  readonly edited: boolean; // context edits were asked for: none is applied
  readonly emit: ((event: string, json: string) => void) | null; // null: told whole
}

type Kind = 'text' | 'thinking' | 'tool_use';

interface OpenBlock {
  readonly kind: Kind;
  readonly start: Readonly<Record<string, unknown>>;
  readonly deltaStart: string; // JSON up to the delta's text
  text: string;
}

const DELTAS: Readonly<Record<Kind, string>> = {
  text: '"text_delta","text":',
  thinking: '"thinking_delta","thinking":',
  tool_use: '"input_json_delta","partial_json":',
};

export class MessageWriter implements AnswerEvents {
  readonly #options: WriterOptions;
  readonly #content: object[] = []; // blocks that are whole
  #blockCount = 0; // begun
  #open: OpenBlock | null = null;
  #space = ''; // white space that a text may begin with
  #called = false;
  #broken = false;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  start(usage: MessageUsage): void {
    this.#emit('message_start', {
      message: this.#message({ stop_reason: null, stop_sequence: null }, usage),
    });
    this.#emit('ping', {});
  }

  reasoning(text: string): void {
    const { thinking } = this.#options;
    if (thinking === 'hidden') return;
    if (this.#open?.kind !== 'thinking') this.#begin('thinking', { thinking: '', signature: '' });
    if (thinking === 'shown') this.#delta(text);
  }

  text(text: string): void {
    if (this.#open?.kind !== 'text') {
      this.#space += text;
      // A block of nothing but space would be refused when it comes back.
      if (this.#space.trim() === '') return;
      const whole = this.#space;
      this.#begin('text', { text: '' });
      this.#delta(whole);
    } else this.#delta(text);
  }

  callStart({ wireName: name }: WireTool): void {
    this.#begin('tool_use', { id: `toolu_${this.#options.freshId()}`, name, input: {} });
  }

  callDelta(text: string): void {
    this.#delta(text);
  }

  callEnd(whole: boolean): void {
    if (whole && inputOf(this.#open?.text ?? '') !== null) {
      this.#called = true;
      this.#stop();
    } else {
      this.#broken = true;
      this.#open = null;
    }
  }

  /** The last events; the whole message where nobody listened. */
  end(end: GenerationEnd, usage: MessageUsage): object {
    this.#stop();
    const ending = { stop_reason: this.#reason(end), stop_sequence: end.stopString };
    const managed = this.#options.edited ? { context_management: { applied_edits: [] } } : {};
    this.#emit('message_delta', { delta: ending, usage, ...managed });
    this.#emit('message_stop', {});
    return { ...this.#message(ending, usage), content: this.#content, ...managed };
  }

  #reason({ reason, stopString, outputTokens }: GenerationEnd): string {
    if (stopString !== null) return 'stop_sequence';
    if (reason === 'length') {
      return outputTokens < this.#options.maxTokens ? 'model_context_window_exceeded' : 'max_tokens';
    }
    if (this.#broken) return 'max_tokens';
    return this.#called ? 'tool_use' : 'end_turn';
  }

  #message(ending: object, usage: MessageUsage): object {
    const { id, model } = this.#options;
    return { id, type: 'message', role: 'assistant', model, content: [], ...ending, usage };
  }

  #begin(kind: Kind, start: Readonly<Record<string, unknown>>): void {
    this.#stop();
    this.#space = '';
    const index = this.#blockCount++;
    const deltaStart = `{"type":"content_block_delta","index":${index},"delta":{"type":${DELTAS[kind]}`;
    this.#open = { kind, start, deltaStart, text: '' };
    this.#emit('content_block_start', { index, content_block: { type: kind, ...start } });
  }

  #delta(text: string): void {
    const block = this.#open;
    if (block === null || text === '') return;
    block.text += text;
    this.#options.emit?.('content_block_delta', `${block.deltaStart}${JSON.stringify(text)}}}`);
  }

  #stop(): void {
    const block = this.#open;
    this.#open = null;
    if (block === null) return;
    const { kind, start, text } = block;
    const index = this.#blockCount - 1;
    if (kind === 'thinking') {
      // Clients send it back with the block and nobody checks it: what was thought is no secret here.
      const signature = Buffer.from(`${this.#options.id}/${index}`).toString('base64');
      this.#emit('content_block_delta', { index, delta: { type: 'signature_delta', signature } });
      this.#content.push({ type: kind, thinking: text, signature });
    } else if (kind === 'text') this.#content.push({ type: kind, text });
    else this.#content.push({ type: kind, ...start, input: inputOf(text) });
    this.#emit('content_block_stop', { index });
  }

  #emit(event: string, payload: object): void {
    this.#options.emit?.(event, JSON.stringify({ type: event, ...payload }));
  }
}

/** null: no object. */
function inputOf(json: string): object | null {
  if (json === '') return {};
  const input = jsonValue(json);
  return typeof input === 'object' ? input : null;
}
