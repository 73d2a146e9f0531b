// A model's own output → text and tool calls, as it comes. A call is told the moment its name is known and closed the
// moment its arguments are, without waiting for the closing tag. What is no call after all comes out as text; white
// space next to calls belongs to neither. Before it: server/generation/generation.ts; after it: the API routes.
import type { Tool } from './definition.ts';
import { customInputKey } from './definition.ts';
import type { ToolDialect } from './dialect.ts';
import { JsonScanner, JsonStringReader } from './json-scanner.ts';

export type ToolEvent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'call-opened'; readonly index: number; readonly tool: Tool } // index: from 0 within the answer
  /** Of a function: JSON text as the model wrote it; of a custom tool: its input, unescaped. */
  | { readonly kind: 'arguments'; readonly index: number; readonly delta: string }
  | { readonly kind: 'call-closed'; readonly index: number; readonly arguments: string } // all deltas together
  /** An opened call that was cut off or is not JSON. `raw` is all the model wrote of it, tags included. */
  | { readonly kind: 'call-broken'; readonly index: number; readonly raw: string };

const headLengthMax = 4096; // characters before the arguments begin; longer ones are parsed only when they are whole

type Phase = 'text' | 'head' | 'arguments' | 'input' | 'tail';

export class CallParser {
  readonly #tools: ReadonlyMap<string, Tool>;
  readonly #dialect: ToolDialect;
  readonly #head: RegExp;
  #phase: Phase;
  #pending = ''; // not yet told: a possible tag, white space, the head of a call
  #raw = ''; // of the call in progress
  #arguments = '';
  #whole = new JsonScanner(); // of the call's object
  #wholeScanned = 0;
  #value = new JsonScanner(); // of its arguments
  #input = new JsonStringReader();
  #tool: Tool | null = null;
  #callCount = 0;
  #hasText = false;
  #events: ToolEvent[] = [];

  constructor(tools: readonly Tool[], dialect: ToolDialect) {
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.#dialect = dialect;
    this.#head = new RegExp(
      `^\\s*\\{\\s*"name"\\s*:\\s*("(?:[^"\\\\]|\\\\.)*")\\s*,\\s*"${dialect.argumentsKey}"\\s*:\\s*`,
    );
    this.#phase = 'text';
  }

  /** A call is being written, as far as can be told: to stop now would cut it off. */
  get inCall(): boolean {
    if (this.#phase === 'text') return this.#pending.trim() !== '';
    return this.#phase !== 'tail';
  }

  /** Everything that has become certain with this piece. */
  push(piece: string): ToolEvent[] {
    this.#pending += piece;
    for (let goesOn = true; goesOn; ) goesOn = this.#advance();
    return this.#take();
  }

  /**
   * The answer has ended. `cut`: by its bound or a stop string, so that the beginning of a tag may be no text. What is
   * there of a call that has no name yet is markup, and shown to nobody.
   */
  end(cut: boolean): ToolEvent[] {
    const { open } = this.#dialect;
    if (this.#phase === 'arguments' || this.#phase === 'input') this.#break();
    else if (this.#phase === 'head') {
      // Without tags an object is a call only as far as it looks like one.
      if (open === '' && !couldOpenCall(this.#pending)) this.#tell(this.#raw + this.#pending);
    } else if (this.#phase === 'text') {
      const left = this.#pending.slice(0, this.#pending.length - (cut ? partialTag(this.#pending, open) : 0));
      if (left.trim() !== '' || this.#callCount === 0) this.#tell(left);
    }
    this.#pending = '';
    return this.#take();
  }

  #take(): ToolEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** False when more text is needed. */
  #advance(): boolean {
    switch (this.#phase) {
      case 'text':
        return this.#dialect.open === '' ? this.#findObject() : this.#findTag();
      case 'head':
        return this.#readHead();
      case 'arguments':
        return this.#readArguments();
      case 'input':
        return this.#readInput();
      case 'tail':
        return this.#readTail();
    }
  }

  #findTag(): boolean {
    const { open } = this.#dialect;
    const at = this.#pending.indexOf(open);
    if (at >= 0) {
      const before = this.#pending.slice(0, at).trimEnd();
      this.#pending = this.#pending.slice(at + open.length);
      if (before !== '') this.#tell(before);
      this.#openHead(open);
      return true;
    }
    // White space waits: it is dropped if a call follows.
    const sure = this.#pending.slice(0, this.#pending.length - partialTag(this.#pending, open)).trimEnd();
    if (sure !== '') {
      this.#tell(sure);
      this.#pending = this.#pending.slice(sure.length);
    }
    return false;
  }

  /** Without tags only what begins the answer, or follows a call, is one. */
  #findObject(): boolean {
    const start = this.#pending.trimStart();
    if (start === '') return false;
    if (start.startsWith('{') && !this.#hasText) {
      this.#openHead(this.#pending.slice(0, this.#pending.length - start.length));
      this.#pending = start;
      return true;
    }
    this.#tell(this.#pending);
    this.#pending = '';
    return false;
  }

  #openHead(raw: string): void {
    this.#phase = 'head';
    this.#raw = raw;
    this.#whole = new JsonScanner();
    this.#wholeScanned = 0;
  }

  #readHead(): boolean {
    const match = this.#pending.length <= headLengthMax ? this.#head.exec(this.#pending) : null;
    const rest = match === null ? '' : this.#pending.slice(match[0].length);
    if (match !== null && rest !== '') {
      const tool = this.#tools.get(parseJson(match[1]!) as string);
      if (tool === undefined) return this.#giveUp();
      const isInput = tool.kind === 'custom';
      const opening = isInput ? inputOpening.exec(rest) : null;
      if (isInput && opening === null && couldOpenInput(rest)) return false;
      this.#openCall(tool);
      const used = match[0].length + (opening?.[0].length ?? 0);
      this.#raw += this.#pending.slice(0, used);
      this.#pending = this.#pending.slice(used);
      this.#phase = opening === null ? 'arguments' : 'input';
      return true;
    }
    return this.#readWhole();
  }

  /** A call whose keys come in another order is told when it is whole. */
  #readWhole(): boolean {
    const end = this.#whole.scan(this.#pending, this.#wholeScanned);
    this.#wholeScanned = this.#pending.length;
    const start = this.#pending.trimStart();
    if (start !== '' && !start.startsWith('{')) return this.#giveUp();
    if (end < 0) return false;
    const call = parseJson(this.#pending.slice(0, end)) as Record<string, unknown> | undefined;
    const tool = this.#tools.get(call?.['name'] as string);
    const given = call?.['arguments'] ?? call?.['parameters'];
    if (tool === undefined || given === undefined) return this.#giveUp();
    this.#openCall(tool);
    this.#pending = this.#pending.slice(end);
    this.#addArguments(argumentsText(given, tool));
    this.#closeCall();
    this.#pending = `}${this.#pending}`; // what #readTail expects
    return true;
  }

  #openCall(tool: Tool): void {
    this.#tool = tool;
    this.#arguments = '';
    this.#value = new JsonScanner();
    this.#input = new JsonStringReader();
    this.#events.push({ kind: 'call-opened', index: this.#callCount, tool });
  }

  #readArguments(): boolean {
    if (this.#pending === '') return false;
    const end = this.#value.scan(this.#pending);
    const piece = end < 0 ? this.#pending : this.#pending.slice(0, end);
    this.#raw += piece;
    this.#pending = this.#pending.slice(piece.length);
    // Input of an unexpected shape is told when it is whole.
    if (this.#tool!.kind === 'custom') this.#arguments += piece;
    else this.#addArguments(piece);
    if (end < 0) return false;
    const value = parseJson(this.#arguments);
    if (value === undefined) this.#break();
    else {
      if (this.#tool!.kind === 'custom') {
        this.#arguments = '';
        this.#addArguments(argumentsText(value, this.#tool!));
      }
      this.#closeCall();
    }
    return true;
  }

  #readInput(): boolean {
    if (this.#pending === '') return false;
    let read: { text: string; end: number };
    try {
      read = this.#input.read(this.#pending);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#break();
      return true;
    }
    const used = read.end < 0 ? this.#pending.length : read.end;
    this.#raw += this.#pending.slice(0, used);
    this.#pending = this.#pending.slice(used);
    this.#addArguments(read.text);
    if (read.end < 0) return false;
    this.#closeCall();
    this.#pending = this.#pending.replace(/^\s*\}/, '');
    return true;
  }

  #addArguments(delta: string): void {
    this.#arguments += delta;
    if (delta !== '') this.#events.push({ kind: 'arguments', index: this.#callCount, delta });
  }

  #closeCall(): void {
    this.#events.push({ kind: 'call-closed', index: this.#callCount++, arguments: this.#arguments });
    this.#phase = 'tail';
  }

  /** The brackets, tags and separators after the arguments. */
  #readTail(): boolean {
    const { close } = this.#dialect;
    if (close === '') {
      this.#pending = this.#pending.replace(/^[\s}]*;?\s*/, '');
      if (this.#pending !== '') this.#phase = 'text';
      return this.#pending !== '';
    }
    const wrapping = new RegExp(`^[\\s}]*${close}`).exec(this.#pending);
    if (wrapping !== null) {
      this.#pending = this.#pending.slice(wrapping[0].length);
      this.#phase = 'text';
      return this.#pending !== '';
    }
    const left = this.#pending.replace(/^[\s}]+/, '');
    if (left === '' || close.startsWith(left)) return false;
    this.#pending = left;
    this.#phase = 'text';
    return true;
  }

  /** It looked like a call. */
  #giveUp(): boolean {
    const { open } = this.#dialect;
    this.#phase = 'text';
    if (open === '') {
      this.#tell(this.#raw + this.#pending);
      this.#pending = '';
      return false;
    }
    this.#tell(this.#raw);
    return true;
  }

  #break(): void {
    this.#events.push({ kind: 'call-broken', index: this.#callCount++, raw: this.#raw });
    this.#phase = 'text';
  }

  #tell(text: string): void {
    if (text === '') return;
    this.#hasText = true;
    this.#events.push({ kind: 'text', text });
  }
}

const inputOpening = new RegExp(`^\\s*\\{\\s*"${customInputKey}"\\s*:\\s*"`);

function couldOpenCall(text: string): boolean {
  const bare = text.replace(/\s/g, '');
  return bare.startsWith('{"name":"') || '{"name":"'.startsWith(bare);
}

/** Whether more text could make it the opening of a custom tool's input. */
function couldOpenInput(text: string): boolean {
  const bare = text.replace(/\s/g, '');
  return `{"${customInputKey}":"`.startsWith(bare);
}

/** Length of the longest end of the text that begins the tag. */
export function partialTag(text: string, tag: string): number {
  for (let length = Math.min(text.length, tag.length - 1); length > 0; length--) {
    if (text.endsWith(tag.slice(0, length))) return length;
  }
  return 0;
}

function argumentsText(given: unknown, tool: Tool): string {
  if (tool.kind === 'custom') {
    const input = (given as Record<string, unknown> | null)?.[customInputKey] ?? given;
    return typeof input === 'string' ? input : JSON.stringify(input);
  }
  // Some models write the arguments as a string that holds JSON.
  return typeof given === 'string' ? given : JSON.stringify(given);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
