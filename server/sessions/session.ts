// One conversation: its transcript, at most one answer at a time, and prefill ahead of the question. Owns the life
// cycle append → prefill → generate → end, and what a reader that comes back still gets; never sees frames, keys or
// sockets. Before it: native/session-desk.ts; after it: session-answer.ts for answers, prefill-ahead.ts for what comes
// before them.

import type { Clock } from '../../kernels/clock.ts';
import { type Fault, fault } from '../base/errors.ts';
import type { SequenceEngine } from '../engine/request.ts';
import type { TextGenerator } from '../generation/generation.ts';
import type { LongTexts } from '../text/long-texts.ts';
import { AnswerLine, type ReadPoint, type SessionReader } from './answer-line.ts';
import type { Content } from './content.ts';
import { PrefillAhead } from './prefill-ahead.ts';
import {
  type AnswerBounds,
  type AnswerSplit,
  type AnswerState,
  SessionAnswer,
  type SessionAnswerParts,
} from './session-answer.ts';
import {
  askedAgain,
  type Question,
  type SessionKeeper,
  type SessionSampling,
  type SessionState,
  savedQuestion,
} from './session-state.ts';
import {
  type AppendOutcome,
  type Replacement,
  type Span,
  Transcript,
  type TranscriptModel,
} from './transcript.ts';

/** What every session of a server shares. */
export interface SessionParts {
  readonly model: TranscriptModel;
  readonly engine: SequenceEngine;
  readonly generator: TextGenerator;
  readonly texts: Pick<LongTexts, 'run'>; // for what is laid out after its message has been acted on
  readonly clock: Clock;
  readonly bounds: SessionBounds;
  readonly keeper?: SessionKeeper | null; // where sessions outlive their server
  /** For an answer whose reasoning is told apart, by the end of its prompt; null: this model's is not known. */
  readonly newSplit?: ((promptEnd: string) => AnswerSplit) | null;
}

export interface SessionBounds extends AnswerBounds {
  readonly tokensMax: number; // one session's transcript
  readonly blockSize: number; // tokens; prefill keeps whole blocks only
}

/** What a session may begin with. */
export interface SessionStart {
  readonly sampling?: SessionSampling;
  readonly transcript?: Transcript; // of a fork; this session's alone from now on
  readonly state?: SessionState; // of a session elsewhere, which this one goes on as
  readonly drawn?: Int32Array | null; // of the answer to its question, as far as is known
}

const PROMPT_END_TOKENS = 32; // more than the mark that a prompt may end with

interface Steer {
  readonly content: Content;
  readonly question: Question;
}

export class Session {
  readonly id: string;
  readonly owner: string; // whose it is; also keeps prefixes of different owners apart
  readonly sampling: SessionSampling;
  readonly openedMs: number;
  lastUsedMs: number;
  readonly #parts: SessionParts;
  readonly #transcript: Transcript;
  readonly #prefill: PrefillAhead;
  readonly #line: AnswerLine;
  #steer: Steer | null = null; // waits for the running answer to stop
  #closed = false;
  #asked: Pick<SessionState, 'transcript' | 'question'> | null = null; // with a keeper: the question that is being answered
  #drawn: Int32Array | null; // of the next answer: guesses
  #generationMin: number; // numbers below were used elsewhere

  constructor(
    id: string,
    owner: string,
    parts: SessionParts,
    reader: SessionReader,
    start: SessionStart = {},
  ) {
    this.id = id;
    this.owner = owner;
    this.sampling = start.state?.sampling ?? start.sampling ?? {};
    this.#parts = parts;
    this.#line = new AnswerLine(reader);
    this.openedMs = parts.clock.nowMs();
    this.lastUsedMs = this.openedMs;
    const { state } = start;
    this.#drawn = start.drawn ?? null;
    this.#generationMin = state === undefined ? 0 : state.generation + (state.question === null ? 1 : 0);
    this.#transcript =
      state === undefined
        ? (start.transcript ?? new Transcript(parts.model, this.#tokensMax))
        : Transcript.from(state.transcript, parts.model, this.#tokensMax);
    if (state?.answer != null) this.#line.add(SessionAnswer.from(state.answer, this.#answerParts(0, null)));
    this.#prefill = new PrefillAhead({
      engine: parts.engine,
      clock: parts.clock,
      transcript: this.#transcript,
      blockSize: parts.bounds.blockSize,
      cacheSalt: owner,
      mayStart: () => !this.#closed && !this.generating && this.#steer === null,
      onReport: (report) => {
        this.#use();
        this.#line.reader?.onPrefilled(report);
      },
    });
  }

  /** What another server has to know to go on with it. Not while a steer waits, which is told once it has happened. */
  get state(): SessionState {
    const generation = Math.max(this.#line.latest?.generation ?? -1, this.#generationMin - 1);
    const asked = this.#asked ?? { transcript: this.#transcript.state, question: null };
    return { sampling: this.sampling, ...asked, answer: this.#line.ended, generation };
  }

  get tokenCount(): number {
    return this.#transcript.tokenCount;
  }

  /** Somebody listens. */
  get attached(): boolean {
    return this.#line.reader !== null;
  }

  /** The engine works for it, or a reader that is there has not got the whole answer yet. */
  get busy(): boolean {
    if (this.#prefill.running || this.#steer !== null) return true;
    return this.attached ? this.generating : (this.#line.latest?.drawing ?? false);
  }

  get generating(): boolean {
    return this.#line.latest !== null && !this.#line.latest.told;
  }

  /** The latest answer that was accepted; null before the first. */
  get answer(): AnswerState | null {
    if (this.#steer !== null) {
      return { generation: this.#steer.question.generation, running: true, firstIndex: 0, nextIndex: 0 };
    }
    return this.#line.latest?.state ?? null;
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
    if (!outcome.ok) return outcome;
    this.#changed(null);
    this.#prefill.schedule();
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
    this.#changed(null);
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
    const latest = this.#line.latest;
    const refused = this.#closedFault() ?? this.#numberFault(steer.question.generation);
    if (refused !== null) return refused;
    if (this.#steer !== null || (latest?.running && latest.generation !== generation)) {
      return fault('session_busy', `generation ${latest!.generation} is running, and cannot be steered`);
    }
    if (latest?.running) {
      this.#steer = steer;
      latest.cancel(keep);
    } else this.#follow(steer);
    return null;
  }

  /** Draws no more; what was drawn before is delivered, then the end. False: that generation is not running. */
  cancel(generation: number, keep: boolean): boolean {
    if (this.#steer?.question.generation === generation) {
      this.#steer = null; // it never began
      this.#line.note((reader) =>
        reader.onRefused(generation, fault('cancelled', 'cancelled before it began')),
      );
      return true;
    }
    const latest = this.#line.latest;
    return latest?.generation === generation && latest.cancel(keep);
  }

  /**
   * Another reader, from where it says on; null wants only what comes. Nothing is delivered before flush(). A fault
   * (what it lacks is no longer kept) changes nothing.
   */
  attach(reader: SessionReader, from: ReadPoint | null): Fault | null {
    return this.#closedFault() ?? this.#line.attach(reader, from);
  }

  /** Nobody listens any more; what is drawn is kept, up to the replay bound. */
  detach(): void {
    this.#use();
    this.#line.detach();
  }

  /** The reader can take more. */
  flush(): void {
    this.#line.flush();
  }

  /** Ends everything without a further word to the reader. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#steer = null;
    this.#line.detach();
    this.#line.latest?.cancel(true);
    this.#prefill.supersede();
    this.#parts.generator.forget(this.owner, this.id);
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

  #changed(asked: Pick<SessionState, 'transcript' | 'question'> | null): void {
    this.#asked = asked;
    if (!this.#closed) this.#parts.keeper?.changed(this);
  }

  #ask(given: Question): Fault | null {
    const { keeper = null, clock } = this.#parts;
    const nowMs = clock.nowMs();
    const saved = keeper === null ? null : savedQuestion(given, nowMs, () => keeper.freshSeed());
    const question = saved === null ? given : askedAgain(saved, nowMs, this.#drawn);
    this.#drawn = null;
    const before = saved === null ? null : this.#transcript.state;
    const opened = this.#transcript.openAnswer();
    if (!opened.ok) return opened.fault;
    this.#prefill.forget(opened.start);
    const answer = this.#newAnswer(question);
    const refused = this.#start(answer, question);
    if (refused !== null) {
      this.#transcript.closeAnswer({ keep: false, text: '' });
      return refused;
    }
    this.#line.add(answer);
    this.#prefill.supersede();
    if (before !== null) this.#changed({ transcript: before, question: saved });
    return null;
  }

  #newAnswer({ generation, frameIntervalMs, reasoning }: Question): SessionAnswer {
    const { newSplit = null } = this.#parts;
    const split = reasoning && newSplit !== null ? newSplit(this.#transcript.tail(PROMPT_END_TOKENS)) : null;
    return new SessionAnswer(generation, this.#answerParts(frameIntervalMs, split));
  }

  #answerParts(frameIntervalMs: number, split: AnswerSplit | null): SessionAnswerParts {
    const { clock, bounds } = this.#parts;
    return {
      ...{ frameIntervalMs, split, clock, bounds, transcript: this.#transcript },
      reader: (answer) => this.#line.readerFor(answer),
      onDrawn: (tokens) => this.#parts.keeper?.drew(this, tokens),
      onEnding: ({ fault: failed }) => {
        if (failed?.code !== 'shutdown') this.#changed(null);
      },
      onEnded: () => this.#onEnded(),
    };
  }

  #onEnded(): void {
    this.#use();
    const steer = this.#steer;
    if (steer === null || this.#closed) {
      this.#steer = null;
      return;
    }
    // It stays the session's steer while the tokens of a long text are waited for.
    let laid: AppendOutcome | null = null;
    const follow = (outcome: AppendOutcome) => {
      this.#steer = null;
      this.#follow(steer, outcome);
    };
    this.#parts.texts.run(
      () => {
        laid = this.#lay(steer.content);
      },
      {
        over: () => this.#closed || this.#steer !== steer,
        failed: (error) =>
          follow({ ok: false, fault: fault('internal_error', `the text: ${String(error)}`) }),
        ended: () => follow(laid!),
      },
    );
  }

  /** The reader hears of it once the answer before is told. */
  #follow({ content, question }: Steer, laid = this.#lay(content)): void {
    const { generation } = question;
    if (laid.ok) {
      const position = this.#transcript.tokenCount;
      const tokenCount = position - laid.start;
      this.#line.note((reader) => reader.onSteered(generation, { tokenCount, position }));
    }
    const refused = laid.ok ? this.#ask(question) : laid.fault;
    if (refused !== null && laid.ok) this.#changed(null);
    if (refused !== null) this.#line.note((reader) => reader.onRefused(generation, refused));
  }

  /** Prompt and answer together stay within the session's bound and the engine's. */
  #start(answer: SessionAnswer, { generation: _, frameIntervalMs: __, ...question }: Question): Fault | null {
    const { tokens } = this.#transcript;
    const room = this.#tokensMax - tokens.length;
    if (room <= 0 && question.maxTokens !== 0) {
      const message = `the session is full: ${tokens.length} of at most ${this.#tokensMax} tokens`;
      return fault('context_length_exceeded', message);
    }
    const maxTokens = Math.min(question.maxTokens ?? room, room);
    const request = {
      ...question,
      tokens,
      choiceCount: 1,
      maxTokens,
      cacheSalt: this.owner,
      session: this.id,
    };
    return answer.start(this.#parts.generator, request);
  }

  get #tokensMax(): number {
    return Math.min(this.#parts.bounds.tokensMax, this.#parts.engine.contextTokensMax);
  }

  #closedFault(): Fault | null {
    return this.#closed ? fault('unknown_session', 'the session is closed') : null;
  }

  #busyFault(): Fault | null {
    const closed = this.#closedFault();
    if (closed !== null || (!this.generating && this.#steer === null)) return closed;
    return fault(
      'session_busy',
      `generation ${this.#line.latest!.generation} is running; one answer at a time`,
    );
  }

  #numberFault(generation: number): Fault | null {
    const latest = Math.max(this.#line.latest?.generation ?? -1, this.#generationMin - 1);
    if (generation > latest) return null;
    const message = `generation ${generation} must be above ${latest}, the session's latest`;
    return fault('invalid_request', message, { param: 'generation' });
  }

  #use(): void {
    this.lastUsedMs = this.#parts.clock.nowMs();
  }
}
