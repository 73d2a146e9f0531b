// The tokens of one conversation. Owns how text, token ids and chat messages are laid end to end, and which tokens
// an answer leaves behind; never runs anything. A transcript is either raw (text and ids) or a chat (messages laid
// out by the model's template); its first append decides. Before it: session.ts; after it: the engine copies it.
import assert from 'node:assert/strict';
import type { FimTokens, Model } from '../../models/model.ts';
import { type ChatMessage, ChatTemplateError } from '../../models/template/chat-template.ts';
import { type Fault, fault } from '../base/errors.ts';
import { tooManyTokens, tooMuchSaid } from '../text/prompt-text.ts';
import { strangerIn } from '../text/stranger.ts';

/** Tokens from `start` on are new; nearly always all of those before the append stand. */
export type AppendOutcome =
  | { readonly ok: true; readonly start: number }
  | { readonly ok: false; readonly fault: Fault };

/** What a transcript needs of a model; a Model (models/model.ts) is one. */
export interface TranscriptModel {
  readonly tokenizer: Pick<Model['tokenizer'], 'startIds' | 'encode' | 'decode' | 'vocabSize' | 'tokenBytes'>;
  readonly chatTemplate: Pick<NonNullable<Model['chatTemplate']>, 'render'> | null;
  readonly fim: FimTokens | null;
  readonly spec: Pick<Model['spec'], 'vocabSize' | 'eosTokenIds'>;
}

interface Chat {
  messages: readonly ChatMessage[];
  text: string; // what the tokens say, special tokens included, the messages' own guarded (models/tokenizer/text-guard.ts)
}

/** All of a transcript, as plain data. */
export interface TranscriptState {
  readonly raw: boolean;
  readonly tokens: Int32Array; // a copy
  readonly chat: { readonly messages: readonly ChatMessage[]; readonly text: string } | null;
  readonly marks: readonly { readonly text: number; readonly tokens: number }[];
}

/** Part of a transcript to be replaced: tokens of a raw one, messages of a chat. */
export interface Span {
  readonly start: number;
  readonly count: number;
}

/** What comes in its place: tokens of a raw transcript, messages of a chat. */
export type Replacement =
  | { readonly tokens: ArrayLike<number>; readonly messages: null }
  | { readonly tokens: null; readonly messages: readonly ChatMessage[] };

export type ForkOutcome =
  | { readonly ok: true; readonly transcript: Transcript }
  | { readonly ok: false; readonly fault: Fault };

/** The first `tokens` tokens of a chat say exactly the first `text` characters of its text. */
interface Mark {
  readonly text: number;
  readonly tokens: number;
}

interface OpenAnswer {
  readonly start: number; // tokens before the answer's opening
  readonly textStart: string; // chat: what they say
  readonly first: number; // tokens before the first token of the answer
}

const GROWTH_TOKENS = 1024;

export class Transcript {
  readonly #model: TranscriptModel;
  readonly #tokensMax: number;
  #tokens = new Int32Array(GROWTH_TOKENS);
  #count = 0;
  #raw = false;
  #chat: Chat | null = null;
  #marks: Mark[] = []; // chat: where appends and answers ended, ascending; at most one per token
  #answer: OpenAnswer | null = null;

  /** Never holds more than `tokensMax` tokens. */
  constructor(model: TranscriptModel, tokensMax: number) {
    this.#model = model;
    this.#tokensMax = tokensMax;
  }

  /** One that was told by `state` of another. Throws nothing: a state is what a transcript said of itself. */
  static from(state: TranscriptState, model: TranscriptModel, tokensMax: number): Transcript {
    const transcript = new Transcript(model, tokensMax);
    transcript.#raw = state.raw;
    transcript.#chat = state.chat === null ? null : { ...state.chat };
    transcript.#marks = [...state.marks];
    transcript.#push(state.tokens);
    return transcript;
  }

  /** All of it, as a copy. Not while an answer is open. */
  get state(): TranscriptState {
    assert(this.#answer === null, 'an answer is open');
    const chat = this.#chat === null ? null : { ...this.#chat };
    return { raw: this.#raw, tokens: this.tokens.slice(), chat, marks: [...this.#marks] };
  }

  get tokenCount(): number {
    return this.#count;
  }

  /** All tokens; a view that the next change of the transcript invalidates. */
  get tokens(): Int32Array {
    return this.#tokens.subarray(0, this.#count);
  }

  /** `suffix` lays both out for filling in the middle; only before anything else. Changes nothing on a fault. */
  appendText(text: string, suffix: string | null): AppendOutcome {
    if (this.#chat !== null) return mixed('text');
    const { tokenizer, fim } = this.#model;
    const contextTokensMax = this.#tokensMax - this.#count;
    const least = tooManyTokens(text, tokenizer, {
      contextTokensMax,
      mode: suffix === null ? 'raw' : 'plain',
    });
    if (least !== null) return this.#tooLong(`more than ${this.#count + least}`, 'text');
    if (suffix === null) {
      const start = this.#count === 0 ? tokenizer.startIds : [];
      return this.#appendRaw([...start, ...tokenizer.encode(text)], 'text');
    }
    if (fim === null) return unsupported('suffix', 'this model has no tokens for filling in the middle');
    if (this.#count > 0) return invalid('suffix', 'filling in the middle needs an empty session');
    const before = tokenizer.encode(text, 'plain');
    const after = tokenizer.encode(suffix, 'plain');
    return this.#appendRaw([fim.prefixId, ...before, fim.suffixId, ...after, fim.middleId], 'text');
  }

  /** Every id must be below the vocabulary's size. Changes nothing on a fault. */
  appendTokens(tokens: readonly number[]): AppendOutcome {
    if (this.#chat !== null) return mixed('tokens');
    const { vocabSize } = this.#model.spec;
    const stray = tokens.findIndex((id) => id < 0 || id >= vocabSize);
    if (stray >= 0) {
      return invalid(`tokens[${stray}]`, `token ${tokens[stray]} is not in [0, ${vocabSize})`);
    }
    return this.#appendRaw(tokens, 'tokens');
  }

  /** Renders the whole chat and adds what is new at its end. Changes nothing on a fault. */
  appendMessages(messages: readonly ChatMessage[]): AppendOutcome {
    if (this.#raw) return mixed('messages');
    const chat = this.#chat ?? { messages: [], text: '' };
    const all = [...chat.messages, ...messages];
    const least = tooMuchSaid(messages, this.#model.tokenizer, this.#tokensMax);
    if (least !== null) return this.#tooLong(`more than ${least}`, 'messages');
    const rendered = this.#render(all, false);
    if (!rendered.ok) return rendered;
    const rewritten = this.#rewrite(chat.text, rendered.text);
    if (rewritten.ok) this.#chat = { messages: all, text: rendered.text };
    return rewritten;
  }

  /** Replaces a span; `start` of the outcome is the first token that changed. Changes nothing on a fault. */
  edit(span: Span, replacement: Replacement): AppendOutcome {
    assert(this.#answer === null, 'no edit while an answer is open');
    if (replacement.messages !== null) return this.#editChat(span, replacement.messages);
    if (this.#chat !== null) {
      return replacement.tokens.length === 0 ? this.#editChat(span, []) : mixed('tokens');
    }
    const outside = outsideFault(span, this.#count, 'tokens');
    if (outside !== null) return outside;
    const { tokens } = replacement;
    const after = this.#tokens.slice(span.start + span.count, this.#count);
    const refused = this.#checkRoom(span.start + tokens.length + after.length, 'tokens');
    if (refused !== null) return refused;
    const all = new Int32Array(span.start + tokens.length + after.length);
    all.set(this.#tokens.subarray(0, span.start));
    all.set(tokens, span.start);
    all.set(after, span.start + tokens.length);
    const start = this.#sharedCount(all, 0);
    this.#count = start;
    this.#push(all.subarray(start));
    return { ok: true, start };
  }

  /**
   * A copy of the beginning: `count` tokens of a raw transcript, messages of a chat; null takes all. An answer that is
   * open stays behind in a chat, and is taken as far as it goes in a raw one.
   */
  fork(count: number | null): ForkOutcome {
    const copy = new Transcript(this.#model, this.#tokensMax);
    copy.#raw = this.#raw;
    copy.#tokens = this.#tokens.slice(0, this.#count);
    copy.#count = this.#count;
    if (this.#chat === null) {
      if (count !== null && count > this.#count)
        return outsideFault({ start: 0, count }, this.#count, 'tokens')!;
      copy.#count = count ?? this.#count;
      return { ok: true, transcript: copy };
    }
    if (this.#answer !== null) return { ok: false, fault: fault('session_busy', 'an answer is running') };
    copy.#chat = { ...this.#chat };
    copy.#marks = [...this.#marks];
    const { messages } = this.#chat;
    if (count === null || count === messages.length) return { ok: true, transcript: copy };
    const cut = copy.edit({ start: count, count: messages.length - count }, { tokens: null, messages: [] });
    return cut.ok ? { ok: true, transcript: copy } : cut;
  }

  /** Text of the last `countMax` tokens, special tokens included. */
  tail(countMax: number): string {
    const tokens = this.#tokens.subarray(Math.max(0, this.#count - countMax), this.#count);
    return this.#model.tokenizer.decode(tokens, { keepSpecial: true });
  }

  /** Makes the transcript a prompt: a chat gets the opening of the assistant's turn. Not while an answer is open. */
  openAnswer(): AppendOutcome {
    assert(this.#answer === null, 'one answer at a time');
    const chat = this.#chat;
    const before = { start: this.#count, textStart: chat?.text ?? '' };
    let outcome: AppendOutcome = { ok: true, start: this.#count };
    if (chat !== null) {
      const rendered = this.#render(chat.messages, true);
      if (!rendered.ok) return rendered;
      outcome = this.#rewrite(chat.text, rendered.text);
      if (!outcome.ok) return outcome;
      chat.text = rendered.text;
    }
    if (this.#count === 0) return invalid('session', 'the session is empty: append something first');
    this.#answer = { ...before, first: this.#count };
    return outcome;
  }

  /** Tokens of the open answer. The engine has bounded them by the context. */
  pushAnswer(tokens: readonly number[]): void {
    assert(this.#answer !== null, 'no answer is open');
    this.#push(tokens);
  }

  /**
   * The answer ends. Kept: a raw transcript loses a final stop token (what follows is the same text going on), a
   * chat takes `text` as the assistant's message. Not kept: the transcript is what it was before openAnswer().
   */
  closeAnswer(end: { readonly keep: boolean; readonly text: string }): void {
    const answer = this.#answer;
    assert(answer !== null, 'no answer is open');
    this.#answer = null;
    if (!end.keep) {
      this.#drop(answer);
      return;
    }
    const last = this.#tokens[this.#count - 1];
    if (this.#chat !== null) {
      const spoken = this.#tokens.subarray(answer.first, this.#count);
      this.#chat.messages = [...this.#chat.messages, { role: 'assistant', content: end.text }];
      this.#chat.text += this.#model.tokenizer.decode(spoken, { keepSpecial: true });
      this.#mark(this.#chat.text);
    } else if (this.#count > answer.first && this.#model.spec.eosTokenIds.includes(last!)) {
      this.#count--;
    }
  }

  #drop(answer: OpenAnswer): void {
    this.#count = answer.start;
    if (this.#chat === null) return;
    while (this.#marks.length > 0 && this.#marks.at(-1)!.tokens > this.#count) this.#marks.pop();
    const opened = this.#chat.text;
    this.#chat.text = answer.textStart;
    if (opened.startsWith(answer.textStart)) return;
    // The opening had changed history: lay out again what stood here before, for which there was room.
    assert(this.#rewrite(opened, answer.textStart).ok);
  }

  #appendRaw(tokens: ArrayLike<number>, field: string): AppendOutcome {
    const start = this.#count;
    const refused = this.#checkRoom(start + tokens.length, field) ?? this.#checkKnown(tokens, field);
    if (refused !== null) return refused;
    this.#raw = true;
    this.#push(tokens);
    return { ok: true, start };
  }

  #editChat(span: Span, messages: readonly ChatMessage[]): AppendOutcome {
    if (this.#chat === null) return this.#raw ? mixed('messages') : outsideFault(span, 0, 'messages')!;
    const outside = outsideFault(span, this.#chat.messages.length, 'messages');
    if (outside !== null) return outside;
    const all = this.#chat.messages.toSpliced(span.start, span.count, ...messages);
    const rendered: Rendered = all.length === 0 ? { ok: true, text: '' } : this.#render(all, false);
    if (!rendered.ok) return rendered;
    const rewritten = this.#rewrite(this.#chat.text, rendered.text);
    if (rewritten.ok) this.#chat = { messages: all, text: rendered.text };
    return rewritten;
  }

  /**
   * Turns tokens that say `from` into tokens that say `to`. Nearly always `to` only adds to `from`; a template that
   * changes history (trims an answer, drops old reasoning) or an edit costs a comparison and the tokens after the
   * last mark before the difference. Tokens before it stand as they were drawn.
   */
  #rewrite(from: string, to: string): AppendOutcome {
    const { tokenizer } = this.#model;
    const adds = to.startsWith(from);
    const mark = adds ? { text: from.length, tokens: this.#count } : this.#markBefore(sharedLength(from, to));
    const tokens = tokenizer.encode(to.slice(mark.text), 'guarded');
    const start = adds ? this.#count : this.#sharedCount(tokens, mark.tokens);
    const added = adds ? tokens : tokens.subarray(start - mark.tokens);
    const refused = this.#checkRoom(start + added.length, 'messages') ?? this.#checkKnown(added, 'messages');
    if (refused !== null) return refused;
    if (!adds) while (this.#marks.length > 0 && this.#marks.at(-1)!.tokens > mark.tokens) this.#marks.pop();
    this.#count = start;
    this.#push(added);
    this.#mark(to);
    return { ok: true, start };
  }

  #mark(text: string): void {
    const last = this.#marks.at(-1);
    if (last !== undefined && last.tokens >= this.#count) return;
    this.#marks.push({ text: text.length, tokens: this.#count });
  }

  /** The last mark whose text lies within the first `length` characters. */
  #markBefore(length: number): Mark {
    return this.#marks.findLast(({ text }) => text <= length) ?? { text: 0, tokens: 0 };
  }

  /** Tokens from the start that stay when those from `from` on are to be `tokens`. */
  #sharedCount(tokens: Int32Array, from: number): number {
    const bound = Math.min(this.#count - from, tokens.length);
    let count = 0;
    while (count < bound && this.#tokens[from + count] === tokens[count]) count++;
    return from + count;
  }

  #render(messages: readonly ChatMessage[], addGenerationPrompt: boolean): Rendered {
    const template = this.#model.chatTemplate;
    if (template === null) return unsupported('messages', 'this model has no chat template');
    try {
      return { ok: true, text: template.render(messages, { addGenerationPrompt }) };
    } catch (error) {
      if (error instanceof ChatTemplateError) return invalid('messages', error.message);
      throw error;
    }
  }

  #checkRoom(count: number, param: string): Refused | null {
    return count <= this.#tokensMax ? null : this.#tooLong(`${count}`, param);
  }

  #tooLong(count: string, param: string): Refused {
    const message = `the session would hold ${count} tokens, its bound is ${this.#tokensMax}`;
    return { ok: false, fault: fault('context_length_exceeded', message, { param }) };
  }

  #checkKnown(tokens: ArrayLike<number>, param: string): Refused | null {
    const stranger = strangerIn(tokens, this.#model);
    return stranger === null ? null : invalid(param, `the text holds ${stranger}`);
  }

  #push(tokens: ArrayLike<number>): void {
    const count = this.#count + tokens.length;
    if (count > this.#tokens.length) {
      const grown = new Int32Array(
        Math.max(count, Math.min(2 * this.#tokens.length, this.#tokens.length + 65_536)),
      );
      grown.set(this.#tokens.subarray(0, this.#count));
      this.#tokens = grown;
    }
    this.#tokens.set(tokens, this.#count);
    this.#count = count;
  }
}

type Refused = Extract<AppendOutcome, { ok: false }>;
type Rendered = { readonly ok: true; readonly text: string } | Refused;

function outsideFault({ start, count }: Span, length: number, unit: string): Refused | null {
  if (start + count <= length) return null;
  return invalid('start', `the span ends at ${start + count}, the session has ${length} ${unit}`);
}

/** Characters at the start that are the same in both. */
function sharedLength(a: string, b: string): number {
  const bound = Math.min(a.length, b.length);
  let length = 0;
  while (length < bound && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

function invalid(param: string, message: string): Refused {
  return { ok: false, fault: fault('invalid_request', message, { param }) };
}

function unsupported(param: string, message: string): Refused {
  return { ok: false, fault: fault('unsupported', message, { param }) };
}

function mixed(param: string): Refused {
  return invalid(
    param,
    'a session is either a chat (messages) or raw (text, tokens); its first append decided',
  );
}
