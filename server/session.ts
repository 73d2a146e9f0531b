// One conversation: its transcript, at most one answer at a time, and prefill ahead of the question. Owns the life
// cycle append → prefill → generate → end, and what a reader that comes back still gets; never sees frames, keys or
// sockets. Before it: native/session-desk.ts; after it: session-answer.ts for answers, prefill-ahead.ts for what comes
// before them.
import type { Clock } from '../kernels/clock.ts';
import type { ChatMessage } from '../models/chat-template.ts';
import type { SequenceEngine } from './engine/request.ts';
import { type Fault, fault } from './errors.ts';
import type { GenerationRequest, TextGenerator } from './generation.ts';
import { PrefillAhead, type PrefillReport } from './prefill-ahead.ts';
import { type AnswerBounds, type AnswerReader, type AnswerState, SessionAnswer } from './session-answer.ts';
import {
  type AppendOutcome,
  type Replacement,
  type Span,
  Transcript,
  type TranscriptModel,
} from './transcript.ts';

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
  /** A steer: the answer before has stopped, and the last `tokenCount` tokens are what `generation` brought. */
  onSteered(generation: number, appended: { readonly tokenCount: number; readonly position: number }): void;
  /** A steer: the answer before has stopped, but its content (no onSteered before) or its question was refused. */
  onRefused(generation: number, refused: Fault): void;
}

/** What a reader that comes back has: everything before token `index` of `generation`. */
export interface ReadPoint {
  readonly generation: number;
  readonly index: number;
}

/** Defaults of a session's questions, over the model's own. */
export type SessionSampling = {
  readonly [Name in
    | 'temperature'
    | 'topP'
    | 'topK'
    | 'minP'
    | 'repetitionPenalty'
    | 'frequencyPenalty'
    | 'presencePenalty']?: number | undefined;
};

/** What a session may begin with. */
export interface SessionStart {
  readonly sampling?: SessionSampling;
  readonly transcript?: Transcript; // of a fork; this session's alone from now on
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

interface Steer {
  readonly content: Content;
  readonly question: Question;
}

const ANSWERS_KEPT = 2; // a steered answer may not have been read when its successor begins

export class Session {
  readonly id: string;
  readonly owner: string; // whose it is; also keeps prefixes of different owners apart
  readonly sampling: SessionSampling;
  readonly openedMs: number;
  lastUsedMs: number;
  readonly #world: SessionWorld;
  readonly #transcript: Transcript;
  readonly #prefill: PrefillAhead;
  #reader: SessionReader | null;
  #answers: SessionAnswer[] = []; // the latest last, at most ANSWERS_KEPT
  #steer: Steer | null = null; // waits for the running answer to stop
  #notes: ((reader: SessionReader) => void)[] = []; // of a steer, at most two
  #notesAfter: SessionAnswer | null = null; // the answer that it stopped; the notes wait until that is told
  #closed = false;

  constructor(
    id: string,
    owner: string,
    world: SessionWorld,
    reader: SessionReader,
    start: SessionStart = {},
  ) {
    this.id = id;
    this.owner = owner;
    this.sampling = start.sampling ?? {};
    this.#world = world;
    this.#reader = reader;
    this.openedMs = world.clock.nowMs();
    this.lastUsedMs = this.openedMs;
    this.#transcript = start.transcript ?? new Transcript(world.model, this.#tokensMax);
    this.#prefill = new PrefillAhead({
      engine: world.engine,
      clock: world.clock,
      transcript: this.#transcript,
      blockSize: world.bounds.blockSize,
      cacheSalt: owner,
      mayStart: () => !this.#closed && !this.generating && this.#steer === null,
      onReport: (report) => {
        this.#use();
        this.#reader?.onPrefilled(report);
      },
    });
  }

  get tokenCount(): number {
    return this.#transcript.tokenCount;
  }

  /** Somebody listens. */
  get attached(): boolean {
    return this.#reader !== null;
  }

  /** The engine works for it, or a reader that is there has not got the whole answer yet. */
  get busy(): boolean {
    if (this.#prefill.running || this.#steer !== null) return true;
    return this.#reader !== null ? this.generating : (this.#latest?.drawing ?? false);
  }

  get generating(): boolean {
    return this.#latest !== null && !this.#latest.told;
  }

  /** The latest answer that was accepted; null before the first. */
  get answer(): AnswerState | null {
    if (this.#steer !== null) {
      return { generation: this.#steer.question.generation, running: true, firstIndex: 0, nextIndex: 0 };
    }
    return this.#latest?.state ?? null;
  }

  /** Text of the last `countMax` tokens. */
  tail(countMax: number): string {
    return this.#transcript.tail(countMax);
  }

  /** Adds to the transcript and starts computing it. Refused while an answer is running. */
  append(content: Content): AppendOutcome {
    const refused = this.#busyFault();
    if (refused !== null) return { ok: false, fault: refused };
    const outcome = this.#lay(content);
    if (outcome.ok) this.#prefill.schedule();
    return outcome;
  }

  /** Replaces a span of the transcript and starts computing what follows the first change. */
  edit(span: Span, replacement: Replacement): AppendOutcome {
    const refused = this.#busyFault();
    if (refused !== null) return { ok: false, fault: refused };
    const outcome = this.#transcript.edit(span, replacement);
    if (!outcome.ok) return outcome;
    this.#prefill.forget(outcome.start);
    this.#prefill.restart();
    return outcome;
  }

  /** A transcript of its own with the beginning of this one; see Transcript.fork. */
  fork(count: number | null): ReturnType<Transcript['fork']> {
    return this.#transcript.fork(count);
  }

  /** Starts an answer, or says why not. A prefill under way gives way; the blocks it finished are found again. */
  generate(question: Question): Fault | null {
    return this.#busyFault() ?? this.#numberFault(question.generation) ?? this.#ask(question);
  }

  /**
   * Stops `generation` at a token border, appends, and goes on with the next question, all without the client. If that
   * generation has ended meanwhile, the rest happens at once.
   */
  steer(generation: number, keep: boolean, steer: Steer): Fault | null {
    const latest = this.#latest;
    const refused = this.#closedFault() ?? this.#numberFault(steer.question.generation);
    if (refused !== null) return refused;
    if (this.#steer !== null || (latest?.running && latest.generation !== generation)) {
      return fault('session_busy', `generation ${latest!.generation} is running, and cannot be steered`);
    }
    if (!latest?.running) return this.#follow(steer);
    this.#steer = steer;
    latest.cancel(keep);
    return null;
  }

  /** Draws no more; what was drawn before is delivered, then the end. False: that generation is not running. */
  cancel(generation: number, keep: boolean): boolean {
    if (this.#steer?.question.generation === generation) {
      this.#steer = null; // it never began
      this.#notesAfter = this.#latest;
      this.#note((reader) => reader.onRefused(generation, fault('cancelled', 'cancelled before it began')));
      return true;
    }
    const latest = this.#latest;
    return latest?.generation === generation && latest.cancel(keep);
  }

  /**
   * Another reader, from where it says on; null wants only what comes. Nothing is delivered before flush(). A fault
   * (what it lacks is no longer kept) changes nothing.
   */
  attach(reader: SessionReader, from: ReadPoint | null): Fault | null {
    const refused = this.#closedFault() ?? (from === null ? null : this.#rewind(from));
    if (refused !== null) return refused;
    if (from === null) {
      for (const answer of this.#answers)
        if (answer === this.#latest) answer.skip();
        else answer.settle();
    }
    this.#notes = []; // whoever comes back is told where the session stands
    this.#reader = reader;
    return null;
  }

  /** Nobody listens any more; what is drawn is kept, up to the replay bound. */
  detach(): void {
    this.#reader = null;
    this.#use();
    for (const answer of this.#answers) answer.deliver(); // sets its pace
  }

  /** The reader can take more. */
  flush(): void {
    for (const answer of this.#answers) answer.deliver();
    this.#tellNotes();
  }

  /** Ends everything without a further word to the reader. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#reader = null;
    this.#steer = null;
    this.#latest?.cancel(true);
    this.#prefill.supersede();
  }

  get #latest(): SessionAnswer | null {
    return this.#answers.at(-1) ?? null;
  }

  #lay(content: Content): AppendOutcome {
    const outcome = this.#layOut(content);
    if (outcome.ok) this.#prefill.forget(outcome.start);
    return outcome;
  }

  #layOut(content: Content): AppendOutcome {
    if (content.messages !== null) return this.#transcript.appendMessages(content.messages);
    if (content.tokens !== null) return this.#transcript.appendTokens(content.tokens);
    return this.#transcript.appendText(content.text, content.suffix);
  }

  #ask(question: Question): Fault | null {
    const opened = this.#transcript.openAnswer();
    if (!opened.ok) return opened.fault;
    this.#prefill.forget(opened.start);
    const answer = this.#newAnswer(question.generation);
    const refused = this.#start(answer, question);
    if (refused !== null) {
      this.#transcript.closeAnswer({ keep: false, text: '' });
      return refused;
    }
    this.#answers = [...this.#answers.slice(1 - ANSWERS_KEPT), answer];
    this.#prefill.supersede();
    return null;
  }

  #newAnswer(generation: number): SessionAnswer {
    const answer = new SessionAnswer(generation, {
      clock: this.#world.clock,
      transcript: this.#transcript,
      bounds: this.#world.bounds,
      // Answers are told one after the other: a steered one may still wait for its reader.
      reader: () => {
        if (this.#answers.find(({ told }) => !told) !== answer) return null;
        if (answer === this.#latest) this.#tellNotes();
        return this.#reader;
      },
      onEnded: () => this.#onEnded(),
    });
    return answer;
  }

  #onEnded(): void {
    this.#use();
    const steer = this.#steer;
    this.#steer = null;
    if (steer === null || this.#closed) return;
    const { generation } = steer.question;
    const refused = this.#follow(steer);
    if (refused !== null) this.#note((reader) => reader.onRefused(generation, refused));
  }

  #follow({ content, question }: Steer): Fault | null {
    this.#notesAfter = this.#latest;
    const laid = this.#lay(content);
    if (!laid.ok) return laid.fault;
    const position = this.#transcript.tokenCount;
    const tokenCount = position - laid.start;
    this.#note((reader) => reader.onSteered(question.generation, { tokenCount, position }));
    return this.#ask(question);
  }

  #note(note: (reader: SessionReader) => void): void {
    this.#notes.push(note);
    this.#tellNotes();
  }

  #tellNotes(): void {
    const reader = this.#reader;
    if (reader === null || this.#notesAfter?.told === false) return;
    for (const note of this.#notes.splice(0)) note(reader);
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

  /** Makes the kept answers tell again what comes after `from`. */
  #rewind({ generation, index }: ReadPoint): Fault | null {
    const latest = this.#latest;
    if (latest === null || generation > latest.generation) return null; // the question never arrived
    const at = this.#answers.findIndex((answer) => answer.generation === generation);
    if (at === -1) {
      const message = `generation ${generation} is no longer kept, the latest is ${latest.generation}`;
      return fault('replay_gone', message, { param: 'generation' });
    }
    const again = this.#answers.slice(at);
    const gone = again.find(
      ({ state }, i) => (i === 0 ? index : 0) < state.firstIndex || (i === 0 && index > state.nextIndex),
    );
    if (gone !== undefined) {
      const { firstIndex, nextIndex } = gone.state;
      const message = `tokens ${firstIndex} to ${nextIndex} of generation ${gone.generation} are kept, not ${index}`;
      return fault('replay_gone', message, { param: 'index' });
    }
    for (const answer of this.#answers.slice(0, at)) answer.settle();
    for (const [i, answer] of again.entries()) answer.rewind(i === 0 ? index : 0);
    return null;
  }

  get #tokensMax(): number {
    return Math.min(this.#world.bounds.tokensMax, this.#world.engine.contextTokensMax);
  }

  #closedFault(): Fault | null {
    return this.#closed ? fault('unknown_session', 'the session is closed') : null;
  }

  #busyFault(): Fault | null {
    const closed = this.#closedFault();
    if (closed !== null || (!this.generating && this.#steer === null)) return closed;
    return fault('session_busy', `generation ${this.#latest!.generation} is running; one answer at a time`);
  }

  #numberFault(generation: number): Fault | null {
    const latest = this.#latest?.generation ?? -1;
    if (generation > latest) return null;
    const message = `generation ${generation} must be above ${latest}, the session's latest`;
    return fault('invalid_request', message, { param: 'generation' });
  }

  #use(): void {
    this.lastUsedMs = this.#world.clock.nowMs();
  }
}
