// LongTexts: a tokenizer whose long texts are tokenised elsewhere, because at up to 1 ms per 1,000 characters one of
// them would hold up everybody, and a chat template that lays long conversations out there (20 µs a message). Owns what `run` means: a part of the server that needs tokens at once is run, given up
// where it meets a long text that is not known yet, and run again once it is. So whatever it does before it asks for
// tokens must be without effect; what comes after happens once. Texts met outside of `run` are tokenised on the spot.
// Before it: http/http-call.ts and the sockets; after it: the tokenizer, or text-thread.ts.
import {
  type ChatMessage,
  ChatTemplateError,
  type RenderOptions,
} from '../../models/template/chat-template.ts';
import type { EncodeMode } from '../../models/tokenizer/tokenizer.ts';
import { contained } from '../base/contained.ts';
import type { ServedModel } from './served-model.ts';

export type Encoded =
  | { readonly ok: true; readonly tokens: Int32Array }
  | { readonly ok: false; readonly error: Error };

/** `refused`: the template's own word, as ChatTemplateError says it. */
export type RenderedElsewhere =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly refused: string }
  | { readonly ok: false; readonly error: Error };

export interface EncodeElsewhere {
  /** `done` comes once, never in the caller's stack. */
  encode(text: string, mode: EncodeMode, done: (encoded: Encoded) => void): void;
  /** Likewise; without it conversations are laid out here. */
  render?(
    messages: readonly ChatMessage[],
    options: RenderOptions,
    done: (rendered: RenderedElsewhere) => void,
  ): void;
}

type TextTokenizer = ServedModel['tokenizer'];
type TextTemplate = NonNullable<ServedModel['chatTemplate']>;

const HERE_LENGTH_MAX = 8192; // characters tokenised on the spot: 2 ms of code, 8 ms of white space
const HERE_MESSAGES_MAX = 256; // laid out on the spot: 5 ms
const KEPT_LENGTH_MAX = 4 * 2 ** 20; // characters of texts whose tokens are kept for those who come again
const WAITS_MAX = 128; // of one run; a bisection over a conversation takes some

type Known = Int32Array | string | ChatTemplateError; // tokens, a conversation laid out, or why it cannot be

/** Thrown through whatever runs; never seen outside of `run`. */
class Pending extends Error {
  readonly key: string;
  readonly start: (done: (known: Known | null, error: Error | null) => void) => void;

  constructor(key: string, start: Pending['start']) {
    super('waits for the tokens of a text');
    this.key = key;
    this.start = start;
  }
}

/** What one run has by now, however often it is run again. */
interface Run {
  readonly found: Map<string, Known>; // by key
  readonly made: Map<string, unknown>; // `once`
}

export interface RunEnd {
  /** Nobody waits any more: it is not run again. */
  readonly over: () => boolean;
  /** It threw. In the caller's stack, if it did so the first time. */
  readonly failed: (error: unknown) => void;
  /** It ran to its end. */
  readonly ended?: () => void;
}

export class LongTexts {
  readonly tokenizer: TextTokenizer; // the model's, but for `encode`
  readonly chatTemplate: TextTemplate | null; // the model's, but for `render`
  readonly #own: TextTokenizer;
  readonly #elsewhere: EncodeElsewhere | null;
  readonly #kept = new Map<string, Int32Array>(); // latest last
  #keptLength = 0;
  #found: Run['found'] | null = null; // of the present run; null: nobody could wait
  #made: Run['made'] | null = null; // likewise; null: nothing is run

  constructor(
    tokenizer: TextTokenizer,
    elsewhere: EncodeElsewhere | null,
    template: TextTemplate | null = null,
  ) {
    this.#own = tokenizer;
    this.#elsewhere = elsewhere;
    this.tokenizer = {
      vocabSize: tokenizer.vocabSize,
      startIds: tokenizer.startIds,
      encode: (text, mode = 'raw') => this.#encode(text, mode),
      decode: (ids, options) => tokenizer.decode(ids, options),
      tokenBytes: (id) => tokenizer.tokenBytes(id),
      isSpecial: (id) => tokenizer.isSpecial(id),
      specialTokenId: (text) => tokenizer.specialTokenId(text),
    };
    this.chatTemplate = template === null ? null : this.#templateOver(template);
  }

  /** True: it ran to its end, or failed, within this call. */
  run(part: () => void, end: RunEnd): boolean {
    return this.#run(part, end, { found: new Map(), made: new Map() });
  }

  /** What a run has made under a name it does not make again when it is run again: for what takes long, or has ids. */
  once<T>(name: string, make: () => T): T {
    const made = this.#made;
    if (made === null) return make();
    if (!made.has(name)) made.set(name, make());
    return made.get(name) as T;
  }

  #run(part: () => void, end: RunEnd, run: Run): boolean {
    const [found, made] = [this.#found, this.#made];
    this.#found = this.#elsewhere === null || run.found.size >= WAITS_MAX ? null : run.found;
    this.#made = run.made;
    try {
      part();
    } catch (error) {
      if (error instanceof Pending) this.#wait(error, run.found, () => this.#again(part, end, run), end);
      else end.failed(error);
      return !(error instanceof Pending);
    } finally {
      this.#found = found;
      this.#made = made;
    }
    end.ended?.();
    return true;
  }

  #again(part: () => void, end: RunEnd, run: Run): void {
    if (!end.over()) this.#run(part, end, run);
  }

  #wait({ key, start }: Pending, found: Run['found'], then: () => void, end: RunEnd): void {
    start((known, error) => {
      if (known === null) {
        if (!end.over()) end.failed(error);
        return;
      }
      contained(() => {
        found.set(key, known);
        if (known instanceof Int32Array) this.#keep(key, known);
        then();
      }, end.failed);
    });
  }

  #templateOver(template: TextTemplate): TextTemplate {
    return {
      render: (messages, options) => this.#render(template, messages, options),
      ...(template.reads !== undefined && { reads: (name: string) => template.reads!(name) }),
      ...(template.reasoning !== undefined && { reasoning: template.reasoning }),
      ...(template.source !== undefined && { source: template.source }),
    };
  }

  #render(template: TextTemplate, messages: readonly ChatMessage[], options: RenderOptions): string {
    const elsewhere = this.#elsewhere;
    const isShort = messages.length <= HERE_MESSAGES_MAX;
    if (isShort || elsewhere?.render === undefined || this.#found === null)
      return template.render(messages, options);
    const key = `render\0${JSON.stringify([messages, options])}`;
    const known = this.#found.get(key);
    if (typeof known === 'string') return known;
    if (known instanceof ChatTemplateError) throw known;
    throw new Pending(key, (done) =>
      elsewhere.render!(messages, options, (rendered) => {
        if (rendered.ok) done(rendered.text, null);
        else if ('refused' in rendered) done(new ChatTemplateError(rendered.refused), null);
        else done(null, rendered.error);
      }),
    );
  }

  #encode(text: string, mode: EncodeMode): Int32Array {
    if (text.length <= HERE_LENGTH_MAX || this.#elsewhere === null) return this.#own.encode(text, mode);
    const key = keyOf(text, mode);
    const known = this.#found?.get(key) ?? this.#kept.get(key);
    if (known instanceof Int32Array) return known;
    if (this.#found === null) return this.#own.encode(text, mode);
    const elsewhere = this.#elsewhere;
    throw new Pending(key, (done) =>
      elsewhere.encode(text, mode, (encoded) => {
        if (encoded.ok) done(encoded.tokens, null);
        else done(null, encoded.error);
      }),
    );
  }

  #keep(key: string, tokens: Int32Array): void {
    this.#forget(key);
    this.#kept.set(key, tokens);
    this.#keptLength += key.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptLength <= KEPT_LENGTH_MAX) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    if (this.#kept.delete(key)) this.#keptLength -= key.length;
  }
}

function keyOf(text: string, mode: EncodeMode): string {
  return `${mode}\0${text}`;
}
