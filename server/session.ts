// One conversation: its transcript, at most one answer at a time, and prefill ahead of the question. Owns the life
// cycle append → prefill → generate → end and the answer's outbox; never sees frames, keys or sockets.
// Before it: native/connection.ts; after it: generation.ts for answers, the engine itself for prefill.
import assert from 'node:assert/strict';
import type { SamplingParams } from '../kernels/backend.ts';
import type { Clock } from '../kernels/clock.ts';
import type { ChatMessage } from '../models/chat-template.ts';
import type { SequenceEnd, SequenceEngine } from './engine/request.ts';
import { type Fault, fault, faultOfFailure, faultOfRefusal } from './errors.ts';
import type {
  GenerationDelta,
  GenerationEnd,
  GenerationRequest,
  RunningGeneration,
  TextGenerator,
} from './generation.ts';
import { Outbox, type OutboxBatch } from './outbox.ts';
import { type AppendOutcome, Transcript, type TranscriptModel } from './transcript.ts';

/** What every session of a server shares. */
export interface SessionWorld {
  readonly model: TranscriptModel;
  readonly engine: SequenceEngine;
  readonly generator: TextGenerator;
  readonly clock: Clock;
  readonly bounds: SessionBounds;
}

export interface SessionBounds {
  readonly tokensMax: number; // one session's transcript
  readonly blockSize: number; // tokens; prefill keeps whole blocks only
  readonly unsentTokensMax: number; // drawn and not yet taken by the reader: generation pauses
  readonly replayTokensMax: number; // sent and kept
}

/** Who receives a session's answers. Called from the engine's commit or from the session's own methods. */
export interface SessionReader {
  /** Whether it can take tokens now. After a no, Session.flush() tells that it can again. */
  isReady(): boolean;
  onTokens(generation: number, batch: OutboxBatch): void;
  onEnd(end: AnswerEnd): void; // after the last of its tokens, once per generation
  onPrefilled(report: PrefillReport): void;
}

/** What one question asks for; the session adds the prompt. `maxTokens: null` goes as far as the context does. */
export type Question = Omit<GenerationRequest, 'tokens' | 'choiceCount' | 'cacheSalt' | 'maxTokens'> & {
  readonly generation: number; // chosen by the asker, above every earlier one of the session
  readonly maxTokens: number | null;
};

export interface AnswerEnd {
  readonly generation: number;
  readonly reason: GenerationEnd['reason'];
  readonly text: string; // what came after the text of the last token
  readonly stopString: string | null;
  readonly fault: Fault | null; // only if 'failed'
  readonly position: number; // tokens in the session now
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly queueMs: number;
  readonly ttftMs: number | null; // asked → first token drawn
  readonly tpotMs: number | null; // (last − first) / (tokens − 1)
  readonly totalMs: number; // asked → end
}

export interface PrefillReport {
  readonly outcome: 'done' | 'superseded' | 'refused' | 'failed';
  readonly position: number; // tokens from the start of the transcript
  readonly cachedTokens: number;
  readonly computedTokens: number;
  readonly queueMs: number;
}

interface Answer {
  readonly generation: number;
  readonly outbox: Outbox;
  readonly askedMs: number;
  running: RunningGeneration | null; // null once the generator has ended it
  text: string;
  cancelled: boolean;
  keep: boolean;
  paused: boolean;
  firstMs: number; // −1 before the first token
  lastMs: number;
  end: AnswerEnd | null;
  told: boolean; // the reader has its end
}

const BATCH_TOKENS_MAX = 256; // in one delivery to a reader that fell behind

export class Session {
  readonly id: string;
  readonly owner: string; // whose it is; also keeps prefixes of different owners apart
  lastUsedMs: number;
  readonly #world: SessionWorld;
  readonly #transcript: Transcript;
  #reader: SessionReader | null;
  #answer: Answer | null = null;
  #prefill: { readonly sequenceId: number; readonly position: number; superseded: boolean } | null = null;
  #prefilledCount = 0; // tokens already asked for ahead of time
  #prefillDue = false;
  #closed = false;

  constructor(id: string, owner: string, world: SessionWorld, reader: SessionReader) {
    this.id = id;
    this.owner = owner;
    this.#world = world;
    this.#reader = reader;
    this.#transcript = new Transcript(world.model, this.#tokensMax);
    this.lastUsedMs = world.clock.nowMs();
  }

  get tokenCount(): number {
    return this.#transcript.tokenCount;
  }

  /** The engine works for it, or its reader has not got the whole answer yet. */
  get busy(): boolean {
    return this.#prefill !== null || this.generating;
  }

  get generating(): boolean {
    return this.#answer !== null && !this.#answer.told;
  }

  /** Adds to the transcript and starts computing it. Refused while an answer is running. */
  append(content: Content): AppendOutcome {
    if (this.#closed || this.generating) return { ok: false, fault: this.#busyFault() };
    const outcome = this.#lay(content);
    if (!outcome.ok) return outcome;
    this.#prefilledCount = Math.min(this.#prefilledCount, outcome.start);
    this.#schedulePrefill();
    return outcome;
  }

  /** Starts an answer, or says why not. A prefill under way gives way; the blocks it finished are found again. */
  generate(question: Question): Fault | null {
    if (this.#closed || this.generating) return this.#busyFault();
    const previous = this.#answer?.generation ?? -1;
    if (question.generation <= previous) {
      const message = `generation ${question.generation} must be above ${previous}, the session's latest`;
      return fault('invalid_request', message, { param: 'generation' });
    }
    const opened = this.#transcript.openAnswer();
    if (!opened.ok) return opened.fault;
    this.#prefilledCount = Math.min(this.#prefilledCount, opened.start);
    const request = this.#request(question);
    if (request.maxTokens <= 0 && question.maxTokens !== 0) {
      this.#transcript.closeAnswer({ keep: false, text: '' });
      return this.#fullFault();
    }
    const answer = this.#newAnswer(question.generation);
    const started = this.#world.generator.start(request, {
      onDelta: (delta) => this.#onDelta(answer, delta),
      onEnd: (end) => this.#onEnd(answer, end),
    });
    if (!started.ok) {
      this.#transcript.closeAnswer({ keep: false, text: '' });
      return faultOfRefusal(started);
    }
    answer.running = started;
    this.#answer = answer;
    if (this.#prefill !== null) {
      this.#prefill.superseded = true;
      this.#world.engine.cancel(this.#prefill.sequenceId);
    }
    return null;
  }

  /** Draws no more; what was drawn before is delivered, then the end. False: that generation is not running. */
  cancel(generation: number, keep: boolean): boolean {
    const answer = this.#answer;
    if (answer === null || answer.generation !== generation || answer.running === null) return false;
    if (answer.cancelled) return true;
    answer.cancelled = true;
    answer.keep = keep;
    answer.running.cancel();
    return true;
  }

  /** The reader can take more. */
  flush(): void {
    if (this.#answer !== null) this.#deliver(this.#answer);
  }

  /** Ends everything without a further word to the reader. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader = null;
    this.#answer?.running?.cancel();
    if (this.#prefill !== null) this.#world.engine.cancel(this.#prefill.sequenceId);
  }

  #lay(content: Content): AppendOutcome {
    if (content.messages !== null) return this.#transcript.appendMessages(content.messages);
    if (content.tokens !== null) return this.#transcript.appendTokens(content.tokens);
    return this.#transcript.appendText(content.text, content.suffix);
  }

  #busyFault(): Fault {
    if (this.#closed) return fault('unknown_session', 'the session is closed');
    const { generation } = this.#answer!;
    return fault('session_busy', `generation ${generation} is running; one answer at a time`);
  }

  #newAnswer(generation: number): Answer {
    return {
      generation,
      outbox: new Outbox(this.#world.bounds.replayTokensMax),
      askedMs: this.#world.clock.nowMs(),
      running: null,
      text: '',
      cancelled: false,
      keep: true,
      paused: false,
      firstMs: -1,
      lastMs: -1,
      end: null,
      told: false,
    };
  }

  /** Prompt and answer together stay within the session's bound and the engine's. */
  #request({ generation: _, ...question }: Question): GenerationRequest {
    const { tokens } = this.#transcript;
    const room = this.#tokensMax - tokens.length;
    const maxTokens = Math.min(question.maxTokens ?? Number.POSITIVE_INFINITY, room);
    return { ...question, tokens, choiceCount: 1, maxTokens, cacheSalt: this.owner };
  }

  get #tokensMax(): number {
    return Math.min(this.#world.bounds.tokensMax, this.#world.engine.contextTokensMax);
  }

  #fullFault(): Fault {
    const message = `the session is full: ${this.tokenCount} of at most ${this.#tokensMax} tokens`;
    return fault('context_length_exceeded', message);
  }

  #onDelta(answer: Answer, delta: GenerationDelta): void {
    if (this.#closed) return;
    const nowMs = this.#world.clock.nowMs();
    if (delta.tokens.length > 0) {
      if (answer.firstMs < 0) answer.firstMs = nowMs;
      answer.lastMs = nowMs;
      this.#transcript.pushAnswer(delta.tokens);
    }
    answer.text += delta.text;
    answer.outbox.push(delta, nowMs);
    this.#deliver(answer);
  }

  #onEnd(answer: Answer, end: GenerationEnd): void {
    answer.running = null;
    const nowMs = this.#world.clock.nowMs();
    this.lastUsedMs = nowMs;
    if (this.#closed) return;
    this.#transcript.closeAnswer({ keep: answer.keep, text: answer.text });
    const tokenCount = answer.outbox.nextIndex;
    answer.end = {
      generation: answer.generation,
      reason: end.reason,
      text: answer.outbox.tail,
      stopString: end.stopString,
      fault: end.failure === null ? null : faultOfFailure(end.failure),
      position: this.tokenCount,
      promptTokens: end.promptTokens,
      cachedTokens: end.cachedTokens,
      outputTokens: tokenCount,
      queueMs: end.queueMs,
      ttftMs: tokenCount > 0 ? answer.firstMs - answer.askedMs : null,
      tpotMs: tokenCount > 1 ? (answer.lastMs - answer.firstMs) / (tokenCount - 1) : null,
      totalMs: nowMs - answer.askedMs,
    };
    this.#deliver(answer);
  }

  /** Hands on what the reader can take. A reader that is behind pauses this generation and nobody else's. */
  #deliver(answer: Answer): void {
    const reader = this.#reader;
    if (reader === null || answer.told) return;
    while (reader.isReady()) {
      const batch = answer.outbox.take(BATCH_TOKENS_MAX);
      if (batch === null) break;
      reader.onTokens(answer.generation, batch);
    }
    if (answer.outbox.unsentCount === 0 && answer.end !== null && reader.isReady()) {
      answer.told = true;
      this.lastUsedMs = this.#world.clock.nowMs();
      reader.onEnd(answer.end);
      return;
    }
    const behind = !reader.isReady() && answer.outbox.unsentCount >= this.#world.bounds.unsentTokensMax;
    if (behind === answer.paused || answer.running === null) return;
    answer.paused = behind;
    if (behind) answer.running.pause();
    else answer.running.resume();
  }

  /** Not at once: several appends and the question itself often arrive together. */
  #schedulePrefill(): void {
    if (this.#prefillDue) return;
    this.#prefillDue = true;
    this.#world.clock.defer(() => {
      this.#prefillDue = false;
      this.#startPrefill();
    });
  }

  #startPrefill(): void {
    if (this.#closed || this.generating || this.#prefill !== null) return;
    const { blockSize } = this.#world.bounds;
    const position = this.#transcript.tokenCount - (this.#transcript.tokenCount % blockSize);
    if (position <= this.#prefilledCount) {
      this.#reportPrefill({
        outcome: 'done',
        position,
        cachedTokens: position,
        computedTokens: 0,
        queueMs: 0,
      });
      return;
    }
    const submitted = this.#world.engine.submit(
      {
        tokens: this.#transcript.tokens.subarray(0, position),
        maxTokens: 0,
        sampling: NO_SAMPLING,
        constraint: null,
        ignoreStopTokens: true,
        speculation: null,
        priority: 'background',
        cacheSalt: this.owner,
        deadlineMs: null,
      },
      { onTokens: () => assert.fail('a prefill draws no tokens'), onEnd: (end) => this.#onPrefillEnd(end) },
    );
    if (submitted.ok) {
      this.#prefill = { sequenceId: submitted.sequenceId, position, superseded: false };
      return;
    }
    // Best effort: the question will compute what is missing.
    this.#reportPrefill({ outcome: 'refused', position, cachedTokens: 0, computedTokens: 0, queueMs: 0 });
  }

  #onPrefillEnd({ reason, usage }: SequenceEnd): void {
    const prefill = this.#prefill;
    assert(prefill !== null, 'a prefill ends once');
    this.#prefill = null;
    this.lastUsedMs = this.#world.clock.nowMs();
    if (this.#closed) return;
    const done = reason === 'length';
    if (done) this.#prefilledCount = prefill.position;
    this.#reportPrefill({
      outcome: done ? 'done' : prefill.superseded ? 'superseded' : 'failed',
      position: prefill.position,
      cachedTokens: usage.cachedTokens,
      computedTokens: done ? usage.promptTokens - usage.cachedTokens : 0,
      queueMs: usage.queueMs,
    });
    if (done && this.#transcript.tokenCount - prefill.position >= this.#world.bounds.blockSize) {
      this.#schedulePrefill(); // grew meanwhile
    }
  }

  #reportPrefill(report: PrefillReport): void {
    this.#reader?.onPrefilled(report);
  }
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

/** A prefill draws nothing, but every sequence carries sampling parameters. */
const NO_SAMPLING: SamplingParams = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: null,
  seed: 0,
  stream: 0,
  logprobs: null,
  minTokens: 0,
  stopTokenIds: [],
};
