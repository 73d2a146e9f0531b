// One conversation: its transcript, at most one answer at a time, and prefill ahead of the question. Owns the life
// cycle append → prefill → generate → end; never sees frames, keys or sockets. Before it: native/connection.ts; after
// it: session-answer.ts for answers, prefill-ahead.ts for what comes before them.
import type { Clock } from '../kernels/clock.ts';
import type { ChatMessage } from '../models/chat-template.ts';
import type { SequenceEngine } from './engine/request.ts';
import { type Fault, fault } from './errors.ts';
import type { GenerationRequest, TextGenerator } from './generation.ts';
import { PrefillAhead, type PrefillReport } from './prefill-ahead.ts';
import { type AnswerBounds, type AnswerReader, SessionAnswer } from './session-answer.ts';
import { type AppendOutcome, Transcript, type TranscriptModel } from './transcript.ts';

/** What every session of a server shares. */
export interface SessionWorld {
  readonly model: TranscriptModel;
  readonly engine: SequenceEngine;
  readonly generator: TextGenerator;
  readonly clock: Clock;
  readonly bounds: SessionBounds;
}

export interface SessionBounds extends AnswerBounds {
  readonly tokensMax: number; // one session's transcript
  readonly blockSize: number; // tokens; prefill keeps whole blocks only
}

/** Who listens to a session. */
export interface SessionReader extends AnswerReader {
  onPrefilled(report: PrefillReport): void;
}

/** What an append brings: exactly one of the three kinds. */
export type Content =
  | { readonly text: string; readonly suffix: string | null; readonly tokens: null; readonly messages: null }
  | {
      readonly text: null;
      readonly suffix: null;
      readonly tokens: readonly number[];
      readonly messages: null;
    }
  | {
      readonly text: null;
      readonly suffix: null;
      readonly tokens: null;
      readonly messages: readonly ChatMessage[];
    };

/** What one question asks for; the session adds the prompt. `maxTokens: null` goes as far as the context does. */
export type Question = Omit<GenerationRequest, 'tokens' | 'choiceCount' | 'cacheSalt' | 'maxTokens'> & {
  readonly generation: number; // chosen by the asker, above every earlier one of the session
  readonly maxTokens: number | null;
};

export class Session {
  readonly id: string;
  readonly owner: string; // whose it is; also keeps prefixes of different owners apart
  lastUsedMs: number;
  readonly #world: SessionWorld;
  readonly #transcript: Transcript;
  readonly #prefill: PrefillAhead;
  #reader: SessionReader | null;
  #answer: SessionAnswer | null = null; // the latest
  #closed = false;

  constructor(id: string, owner: string, world: SessionWorld, reader: SessionReader) {
    this.id = id;
    this.owner = owner;
    this.#world = world;
    this.#reader = reader;
    this.lastUsedMs = world.clock.nowMs();
    this.#transcript = new Transcript(world.model, this.#tokensMax);
    this.#prefill = new PrefillAhead({
      engine: world.engine,
      clock: world.clock,
      transcript: this.#transcript,
      blockSize: world.bounds.blockSize,
      cacheSalt: owner,
      mayStart: () => !this.#closed && !this.generating,
      onReport: (report) => {
        this.#use();
        this.#reader?.onPrefilled(report);
      },
    });
  }

  get tokenCount(): number {
    return this.#transcript.tokenCount;
  }

  /** The engine works for it, or its reader has not got the whole answer yet. */
  get busy(): boolean {
    return this.#prefill.running || this.generating;
  }

  get generating(): boolean {
    return this.#answer !== null && !this.#answer.told;
  }

  /** Adds to the transcript and starts computing it. Refused while an answer is running. */
  append(content: Content): AppendOutcome {
    const refused = this.#busyFault();
    if (refused !== null) return { ok: false, fault: refused };
    const outcome = this.#lay(content);
    if (!outcome.ok) return outcome;
    this.#prefill.forget(outcome.start);
    this.#prefill.schedule();
    return outcome;
  }

  /** Starts an answer, or says why not. A prefill under way gives way; the blocks it finished are found again. */
  generate(question: Question): Fault | null {
    const refused = this.#busyFault() ?? this.#numberFault(question.generation);
    if (refused !== null) return refused;
    const opened = this.#transcript.openAnswer();
    if (!opened.ok) return opened.fault;
    this.#prefill.forget(opened.start);
    const answer = new SessionAnswer(question.generation, {
      clock: this.#world.clock,
      transcript: this.#transcript,
      bounds: this.#world.bounds,
      reader: () => this.#reader,
      onEnded: () => this.#use(),
    });
    const fault = this.#start(answer, question);
    if (fault !== null) {
      this.#transcript.closeAnswer({ keep: false, text: '' });
      return fault;
    }
    this.#answer = answer;
    this.#prefill.supersede();
    return null;
  }

  /** Draws no more; what was drawn before is delivered, then the end. False: that generation is not running. */
  cancel(generation: number, keep: boolean): boolean {
    return this.#answer?.generation === generation && this.#answer.cancel(keep);
  }

  /** The reader can take more. */
  flush(): void {
    this.#answer?.deliver();
  }

  /** Ends everything without a further word to the reader. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#reader = null;
    this.#answer?.cancel(true);
    this.#prefill.supersede();
  }

  #lay(content: Content): AppendOutcome {
    if (content.messages !== null) return this.#transcript.appendMessages(content.messages);
    if (content.tokens !== null) return this.#transcript.appendTokens(content.tokens);
    return this.#transcript.appendText(content.text, content.suffix);
  }

  /** Prompt and answer together stay within the session's bound and the engine's. */
  #start(answer: SessionAnswer, { generation: _, ...question }: Question): Fault | null {
    const { tokens } = this.#transcript;
    const room = this.#tokensMax - tokens.length;
    if (room <= 0 && question.maxTokens !== 0) {
      const message = `the session is full: ${tokens.length} of at most ${this.#tokensMax} tokens`;
      return fault('context_length_exceeded', message);
    }
    const maxTokens = Math.min(question.maxTokens ?? room, room);
    const request = { ...question, tokens, choiceCount: 1, maxTokens, cacheSalt: this.owner };
    return answer.start(this.#world.generator, request);
  }

  get #tokensMax(): number {
    return Math.min(this.#world.bounds.tokensMax, this.#world.engine.contextTokensMax);
  }

  #busyFault(): Fault | null {
    if (this.#closed) return fault('unknown_session', 'the session is closed');
    if (!this.generating) return null;
    return fault('session_busy', `generation ${this.#answer!.generation} is running; one answer at a time`);
  }

  #numberFault(generation: number): Fault | null {
    const latest = this.#answer?.generation ?? -1;
    if (generation > latest) return null;
    const message = `generation ${generation} must be above ${latest}, the session's latest`;
    return fault('invalid_request', message, { param: 'generation' });
  }

  #use(): void {
    this.lastUsedMs = this.#world.clock.nowMs();
  }
}
